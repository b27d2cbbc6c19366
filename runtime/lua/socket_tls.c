// TLS of cosockets: contexts by what is asked of the peer and shown to it, the handshake, OpenSSL's handles for libraries.
// Invariant: contexts are shared by all sockets of the worker's state; those with a client certificate are few and the oldest go.
#include "lua/socket.h"

#include "base/check.h"
#include "base/err.h"
#include "core/anchors.h"
#include "io/tls.h"

enum { CERT_CONTEXTS_MAX = 16 };

// A context with a client certificate.
struct client_context {
    list_t links;
    tls_ctx_t *ctx;
    bool verify;
    str_t cert, key; // copies behind the struct
    char bytes[];
};

static int make(bridge_t *b, bool verify, tls_cert_t *cert, tls_ctx_t **out, const char **why)
{
    tls_client_opts_t o = {.verify = verify, .cert = cert, .no_alpn = true};
    if (verify && !(o.store = anchors_get(b->worker->anchors, why)))
        return ERR_INVALID;
    return tls_client_create(&o, out, why);
}

static tls_ctx_t *plain_context(bridge_t *b, bool verify, const char **why)
{
    tls_ctx_t **place = &b->client_tls[verify];
    if (!*place && make(b, verify, NULL, place, why) != 0)
        *place = NULL;
    return *place;
}

static void context_free(struct client_context *c)
{
    list_unlink(&c->links);
    tls_release(c->ctx);
    free(c);
}

static struct client_context *find(const bridge_t *b, bool verify, str_t cert, str_t key,
                                   unsigned *n)
{
    for (list_t *i = b->cert_contexts.next; i != &b->cert_contexts; i = i->next, ++*n) {
        struct client_context *c = CONTAINER_OF(i, struct client_context, links);
        if (c->verify == verify && str_eq(c->cert, cert) && str_eq(c->key, key))
            return c;
    }
    return NULL;
}

static tls_ctx_t *cert_context(bridge_t *b, bool verify, str_t cert, str_t key,
                               const char **why)
{
    unsigned n = 0;
    struct client_context *c = find(b, verify, cert, key, &n);
    if (c)
        return c->ctx;
    tls_cert_t *pair = NULL;
    tls_ctx_t *ctx = NULL;
    if (tls_cert_create(cert, key, &pair, why) != 0)
        return NULL;
    int rc = make(b, verify, pair, &ctx, why);
    tls_cert_release(pair);
    if (rc != 0)
        return NULL;
    if (n == CERT_CONTEXTS_MAX)
        context_free(CONTAINER_OF(b->cert_contexts.next, struct client_context, links));
    c = mem_zalloc(sizeof *c + cert.n + key.n);
    c->ctx = ctx;
    c->verify = verify;
    memcpy(c->bytes, cert.p, cert.n);
    memcpy(c->bytes + cert.n, key.p, key.n);
    c->cert = str_make(c->bytes, cert.n);
    c->key = str_make(c->bytes + cert.n, key.n);
    list_push_back(&b->cert_contexts, &c->links);
    return ctx;
}

void socket_contexts_close(bridge_t *b)
{
    for (int i = 0; i < 2; i++)
        if (b->client_tls[i])
            tls_release(b->client_tls[i]);
    while (!list_empty(&b->cert_contexts))
        context_free(CONTAINER_OF(b->cert_contexts.next, struct client_context, links));
}

// ---- the handshake ----

// nil and what OpenResty says of a handshake that failed.
static int push_handshake_error(lua_State *L, sock_t *sock, int err)
{
    bool name = false;
    if (err != ERR_TLS_VERIFY)
        return push_error(L, err == ERR_TIMEOUT ? "timeout" : "handshake failed");
    int verdict = sock_tls_verdict(sock, &name);
    if (name)
        return push_error(L, "certificate host mismatch");
    lua_pushnil(L);
    lua_pushfstring(L, "%d: %s", verdict, sock_tls_verdict_text(verdict));
    return 2;
}

static void on_secured(void *arg, sock_t *sock, int err, const char *why)
{
    csock_t *s = arg;
    (void)why;
    thread_t *t = csock_end_wait(s, &s->opener);
    if (err == 0) {
        lua_pushboolean(t->co, 1);
        thread_resume(t, 1);
        return;
    }
    int n = push_handshake_error(t->co, sock, err);
    csock_close(s);
    thread_resume(t, n);
}

// sslhandshake(sni, verify[, certificate, key (PEM)])
static int l_sslhandshake(lua_State *L)
{
    csock_t *s = csock_check(L);
    str_t sni = arg_str_opt(L, 2);
    bool verify = lua_toboolean(L, 3);
    if (!s->sock)
        return push_error(L, "closed");
    if (s->opener || s->reader || s->writer)
        return push_error(L, s->opener   ? "socket busy connecting"
                             : s->reader ? "socket busy reading"
                                         : "socket busy writing");
    if (sock_is_tls(s->sock)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    bridge_t *b = thread_check(L)->task->bridge;
    const char *why = "no TLS context";
    tls_ctx_t *ctx = lua_isnoneornil(L, 4)
                         ? plain_context(b, verify, &why)
                         : cert_context(b, verify, arg_str(L, 4), arg_str(L, 5), &why);
    if (!ctx)
        return push_error(L, why);
    sock_pause(s->sock);
    sock_start_tls(s->sock, ctx, sni, s->connect_ms, on_secured, s);
    return csock_wait(L, s, &s->opener, 0, NULL);
}

// tlsinfo() -> SSL * (light userdata), resumed | nil
static int l_tlsinfo(lua_State *L)
{
    csock_t *s = csock_check(L);
    void *handle = s->sock ? sock_tls_handle(s->sock) : NULL;
    if (!handle)
        return 0;
    lua_pushlightuserdata(L, handle);
    lua_pushboolean(L, sock_tls_resumed(s->sock));
    return 2;
}

const luaL_Reg csock_tls_methods[] = {
    {"sslhandshake", l_sslhandshake}, {"tlsinfo", l_tlsinfo}, {NULL, NULL}};

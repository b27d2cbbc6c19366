// TLS contexts: what is spoken, who is trusted, which session is taken up again. Bytes move in
// tls_pump.c. Invariant: a client session is kept in the context it was verified under, and
// only for the name it was verified for.
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "io/addr.h"
#include "io/tls_cert.h"
#include "io/tls_impl.h"

enum { KEPT_SESSIONS = 64 };

typedef struct kept {
    char *name; // owned
    SSL_SESSION *session;
    uint64_t used;
} kept_t;

struct tls_ctx {
    atomic_uint refs;
    SSL_CTX *ssl;
    bool server;
    tls_pick_fn pick;
    void *arg;
    bool verify;
    kept_t kept[KEPT_SESSIONS]; // client: the latest session of a name; least recently used
                                // goes first
    uint64_t uses;
};

static const unsigned char ALPN_HTTP11[] = "\x08http/1.1";

static tls_ctx_t *ctx_new(bool server)
{
    tls_ctx_t *c = mem_zalloc(sizeof *c);
    atomic_init(&c->refs, 1);
    c->server = server;
    c->ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    ASSERT(c->ssl, "memory for a TLS context");
    SSL_CTX_set_app_data(c->ssl, c);
    SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS);
    return c;
}

tls_ctx_t *tls_acquire(tls_ctx_t *c)
{
    unsigned before = atomic_fetch_add(&c->refs, 1);
    ASSERT(before > 0, "a TLS context in use is acquired");
    return c;
}

static void drop_kept(kept_t *k)
{
    free(k->name);
    SSL_SESSION_free(k->session);
    *k = (kept_t){0};
}

void tls_release(tls_ctx_t *c)
{
    if (!c)
        return;
    unsigned before = atomic_fetch_sub(&c->refs, 1);
    ASSERT(before > 0, "a TLS context is released as often as acquired");
    if (before > 1)
        return;
    for (int i = 0; i < KEPT_SESSIONS; i++)
        drop_kept(&c->kept[i]);
    SSL_CTX_free(c->ssl);
    free(c);
}

// ---- server ----

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    tls_ctx_t *c = arg;
    const tls_cert_t *cert =
        c->pick(c->arg, str_from(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)));
    if (!cert) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (tls_cert_use(cert, ssl))
        return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// A client that offers other protocols only is refused: what it would send is not ours to read
// (ALPACA).
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < in_n; i += 1u + in[i]) {
        if (in[i] == ALPN_HTTP11[0] && i + 1u + in[i] <= in_n &&
            memcmp(in + i, ALPN_HTTP11, ALPN_HTTP11[0] + 1u) == 0) {
            *out = in + i + 1;
            *out_n = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

tls_ctx_t *tls_server_create(tls_pick_fn pick, void *arg)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];
    ASSERT(pick, "a TLS server picks certificates");
    tls_ctx_t *c = ctx_new(true);
    c->pick = pick;
    c->arg = arg;
    int rc = RAND_bytes(id, sizeof id);
    ASSERT(rc == 1, "the system gives random bytes");
    SSL_CTX_set_session_id_context(c->ssl, id, sizeof id);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF); // tickets need no memory here
    SSL_CTX_set_tlsext_servername_callback(c->ssl, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(c->ssl, c);
    SSL_CTX_set_alpn_select_cb(c->ssl, on_alpn, NULL);
    return c;
}

void tls_server_set_ticket_secret(tls_ctx_t *c, const uint8_t secret[TLS_TICKET_SECRET_BYTES])
{
    ASSERT(c->server, "a server issues tickets");
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];
    memcpy(id, secret, sizeof id); // the first 16 bytes are the key's public name
    memset(id + 16, 0, sizeof id - 16);
    SSL_CTX_set_session_id_context(c->ssl, id, sizeof id);
    long rc = SSL_CTX_set_tlsext_ticket_keys(c->ssl, (void *)(uintptr_t)secret,
                                             TLS_TICKET_SECRET_BYTES);
    ASSERT(rc == 1, "OpenSSL takes an 80-byte ticket secret");
}

// ---- client ----

static kept_t *find_kept(tls_ctx_t *c, const char *name)
{
    for (int i = 0; i < KEPT_SESSIONS; i++) {
        if (c->kept[i].name && strcmp(c->kept[i].name, name) == 0)
            return &c->kept[i];
    }
    return NULL;
}

// The place for a name: its own, a free one, or that of the least recently used.
static kept_t *place_for(tls_ctx_t *c, const char *name)
{
    kept_t *k = find_kept(c, name);
    for (int i = 0; !k && i < KEPT_SESSIONS; i++) {
        if (!c->kept[i].name)
            k = &c->kept[i];
    }
    if (!k) {
        k = &c->kept[0];
        for (int i = 1; i < KEPT_SESSIONS; i++)
            k = c->kept[i].used < k->used ? &c->kept[i] : k;
    }
    return k;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    tls_ctx_t *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *name = SSL_get_app_data(ssl);
    if (!name || !SSL_SESSION_is_resumable(session))
        return 0;
    kept_t *k = place_for(c, name);
    char *copy = mem_alloc(strlen(name) + 1);
    strcpy(copy, name);
    drop_kept(k);
    *k = (kept_t){.name = copy, .session = session, .used = ++c->uses};
    return 1; // the session is ours now
}

void tls_forget_session(tls_ctx_t *c, const char *name)
{
    kept_t *k = find_kept(c, name);
    if (k)
        drop_kept(k);
}

// Verification by these anchors. Without verification none are needed.
static int trust(tls_ctx_t *c, const tls_client_opts_t *o, const char **why)
{
    tls_store_t *store = o->store ? tls_store_acquire(o->store) : NULL;
    if (!store && tls_store_create(o->ca_pem, &store, why) != 0)
        return ERR_INVALID;
    SSL_CTX_set_cert_store(c->ssl, store); // takes it
    return 0;
}

int tls_server_require_client(tls_ctx_t *c, str_t ca_pem, const char **why)
{
    ASSERT(c->server, "a server asks its clients");
    ERR_clear_error();
    if (ca_pem.n == 0)
        return tls_why(why, "holds no certificate");
    const tls_client_opts_t own = {.ca_pem = ca_pem};
    int err = trust(c, &own, why);
    if (err == 0)
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return err;
}

int tls_client_create(const tls_client_opts_t *o, tls_ctx_t **out, const char **why)
{
    ERR_clear_error();
    tls_ctx_t *c = ctx_new(false);
    c->verify = o->verify;
    if ((o->verify || o->ca_pem.n > 0) && trust(c, o, why) != 0)
        goto fail;
    if (o->cert && !tls_cert_use_ctx(o->cert, c->ssl)) {
        tls_why(why, "client certificate cannot be used");
        goto fail;
    }
    SSL_CTX_set_verify(c->ssl, o->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (o->limit_depth)
        SSL_CTX_set_verify_depth(c->ssl, o->verify_depth);
    if (!o->no_alpn)
        SSL_CTX_set_alpn_protos(c->ssl, ALPN_HTTP11, sizeof ALPN_HTTP11 - 1);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ssl, on_new_session);
    ERR_clear_error();
    *out = c;
    return 0;
fail:
    tls_release(c);
    return ERR_INVALID;
}

// ---- a connection ----

static bool expect_name(SSL *ssl, const char *name, bool verify)
{
    addr_t ip;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    bool literal = addr_from_ip(str_from(name), 0, &ip) == 0;
    if (!literal && SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    if (!verify)
        return true;
    if (literal && name[0] == '[')
        return X509_VERIFY_PARAM_set1_ip(param, ip.in6.sin6_addr.s6_addr, 16) == 1;
    if (literal)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

SSL *tls_ssl_create(tls_ctx_t *c, const char *name)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(c->ssl);
    ASSERT(ssl, "memory for a TLS connection");
    if (c->server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    SSL_set_app_data(ssl, (void *)(uintptr_t)name);
    if (!expect_name(ssl, name, c->verify)) {
        SSL_free(ssl);
        return NULL;
    }
    kept_t *k = find_kept(c, name);
    if (k) {
        k->used = ++c->uses;
        SSL_set_session(ssl, k->session);
    }
    return ssl;
}

void tls_ssl_destroy(SSL *ssl)
{
    // Without this, OpenSSL declares the session of a connection that ended abruptly unfit for
    // resumption.
    if (ssl && SSL_is_init_finished(ssl))
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}

bool tls_got_http(void)
{
    int reason = ERR_GET_REASON(ERR_peek_last_error());
    return reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST;
}

void tls_reason(const SSL *ssl, char *out, size_t cap)
{
    long verify = SSL_get_verify_result(ssl);
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (verify != X509_V_OK && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
        reason = X509_verify_cert_error_string(verify);
    snprintf(out, cap, "%s", reason ? reason : "unknown TLS error");
    ERR_clear_error();
}

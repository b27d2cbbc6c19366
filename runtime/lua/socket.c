// Cosockets: streams that look blocking to Lua. Making, connecting, TLS, writing, keeping alive, closing; reading is in
// socket_read.c, idle connections in socket_pool.c, OpenResty's interface in lualib/ngx/socket.lua.
#include "lua/socket.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"

static const char TCP_TYPE[] = "moongate.tcp";
enum { TIMEOUT_MS = 60 * 1000 };

const char *csock_error(int err)
{
    switch (err) {
    case ERR_EOF:
        return "closed";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_DNS_NAME:
        return "host could not be resolved (3: Host not found)";
    case ERR_DNS_FAIL:
        return "host could not be resolved (2: Server failure)";
    default:
        return err_text(err);
    }
}

// ---- waiting ----

static void drop_anchor(csock_t *s, const thread_t *t)
{
    ASSERT(s->waits > 0, "an anchor is dropped once for each wait");
    if (--s->waits == 0) {
        luaL_unref(t->task->bridge->L, LUA_REGISTRYINDEX, s->anchor);
        s->anchor = LUA_NOREF;
    }
}

// The thread is gone: its connection has lost its place in the protocol.
static void wait_cancel(thread_t *t)
{
    csock_t *s = t->op;
    thread_t **places[] = {&s->reader, &s->writer, &s->opener};
    for (int i = 0; i < 3; i++)
        if (*places[i] == t)
            *places[i] = NULL;
    io_timer_stop(&t->timer);
    if (s->connector)
        connect_cancel(s->connector);
    s->connector = NULL;
    csock_close(s);
    drop_anchor(s, t);
}

int csock_wait(lua_State *L, csock_t *s, thread_t **place, uint32_t timeout_ms,
               void (*on_timeout)(io_timer_t *))
{
    thread_t *t = thread_check(L);
    if (s->waits++ == 0) {
        lua_pushvalue(L, 1);
        s->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    *place = t;
    if (on_timeout) {
        t->timer.fn = on_timeout;
        io_timer_start(&t->timer, timeout_ms);
    }
    return thread_wait(L, wait_cancel, s);
}

thread_t *csock_end_wait(csock_t *s, thread_t **place)
{
    thread_t *t = *place;
    *place = NULL;
    io_timer_stop(&t->timer);
    drop_anchor(s, t);
    return t;
}

// ---- life ----

csock_t *csock_check(lua_State *L)
{
    csock_t *s = luaL_checkudata(L, 1, TCP_TYPE);
    const bridge_t *b = bridge_self();
    if (s->owner && (!b->task || s->owner != b->task->serial))
        luaL_error(L, "bad request");
    return s;
}

void csock_close(csock_t *s)
{
    sock_t *sock = s->sock;
    s->sock = NULL;
    list_unlink(&s->links);
    if (sock)
        sock_close(sock);
    free(s->pool);
    s->pool = NULL;
}

void sockets_close(list_t *sockets)
{
    while (!list_empty(sockets)) {
        csock_t *s = CONTAINER_OF(sockets->next, csock_t, links);
        csock_close(s);
    }
}

static int l_gc(lua_State *L)
{
    csock_t *s = luaL_checkudata(L, 1, TCP_TYPE);
    ASSERT(s->waits == 0, "a socket that is waited on is anchored");
    csock_close(s);
    buf_dispose(&s->in);
    free((char *)(uintptr_t)s->pattern.p);
    s->pattern = str_make(NULL, 0);
    return 0;
}

static csock_t *push_new(lua_State *L, const task_t *task)
{
    csock_t *s = lua_newuserdata(L, sizeof *s);
    *s = (csock_t){.anchor = LUA_NOREF,
                   .connect_ms = TIMEOUT_MS,
                   .send_ms = TIMEOUT_MS,
                   .read_ms = TIMEOUT_MS};
    list_init(&s->links);
    s->owner = task ? task->serial : 0;
    luaL_getmetatable(L, TCP_TYPE);
    lua_setmetatable(L, -2);
    return s;
}

static int l_tcp(lua_State *L)
{
    push_new(L, bridge_self()->task);
    return 1;
}

static void begin(csock_t *s, task_t *task, sock_t *sock, unsigned reused)
{
    ASSERT(!s->sock, "a cosocket has one connection at a time");
    s->sock = sock;
    s->reused = reused;
    s->eof = false;
    s->err = 0;
    buf_clear(&s->in);
    list_push_back(&task->sockets, &s->links);
    sock_own(sock, &csock_events, s);
}

void csock_adopt(lua_State *L, task_t *task, sock_t *sock)
{
    begin(push_new(L, task), task, sock, 0);
}

// ---- connecting ----

static void on_connected(void *arg, int err, sock_t *sock)
{
    csock_t *s = arg;
    s->connector = NULL;
    thread_t *t = csock_end_wait(s, &s->opener);
    if (err == 0) {
        begin(s, t->task, sock, 0);
        lua_pushboolean(t->co, 1);
        thread_resume(t, 1);
        return;
    }
    thread_resume(t, push_error(t->co, csock_error(err)));
}

static char *copy_cstr(str_t s)
{
    char *p = mem_alloc(s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

// connect(host | "unix:/path", port, pool key[, pool size])
static int l_connect(lua_State *L)
{
    csock_t *s = csock_check(L);
    bridge_t *b = bridge_self();
    thread_check(L);
    str_t host = arg_str(L, 2), key = arg_str(L, 4);
    lua_Number port = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, port >= 0 && port <= 65535, 3, "port out of range");
    if (s->opener)
        return push_error(L, "socket busy connecting");
    if (s->reader || s->writer)
        return push_error(L, s->reader ? "socket busy reading" : "socket busy writing");
    csock_close(s);
    s->owner = b->task->serial;
    s->pool = copy_cstr(key);
    s->pool_size = (unsigned)luaL_optnumber(L, 5, 0);
    unsigned reused = 0;
    sock_t *idle = idle_take(b, s->pool, &reused);
    if (idle) {
        begin(s, b->task, idle, reused + 1);
        lua_pushboolean(L, 1);
        return 1;
    }
    connect_opts_t o = {.host = host,
                        .port = (uint16_t)port,
                        .timeout_ms = s->connect_ms ? s->connect_ms : 1,
                        .on_done = on_connected,
                        .arg = s};
    s->connector = sock_connect(b->worker->loop, &o);
    return csock_wait(L, s, &s->opener, 0, NULL);
}

// ---- TLS ----

static tls_ctx_t *client_context(bridge_t *b, bool verify, const char **why)
{
    tls_ctx_t **place = &b->client_tls[verify];
    tls_client_opts_t o = {.verify = verify, .ca_pem = b->worker->ca_pem};
    if (!*place && tls_client_create(&o, place, why) != 0)
        *place = NULL;
    return *place;
}

static void on_secured(void *arg, sock_t *sock, int err, const char *why)
{
    csock_t *s = arg;
    (void)sock;
    thread_t *t = csock_end_wait(s, &s->opener);
    if (err == 0) {
        lua_pushboolean(t->co, 1);
        thread_resume(t, 1);
        return;
    }
    lua_pushnil(t->co);
    if (err == ERR_TLS_VERIFY && why)
        lua_pushfstring(t->co, "certificate verify failed: %s", why);
    else
        lua_pushstring(t->co, err == ERR_TIMEOUT ? "timeout" : "handshake failed");
    csock_close(s);
    thread_resume(t, 2);
}

// sslhandshake(sni, verify)
static int l_sslhandshake(lua_State *L)
{
    csock_t *s = csock_check(L);
    str_t sni = arg_str_opt(L, 2);
    bool verify = lua_toboolean(L, 3);
    if (!s->sock)
        return push_error(L, "closed");
    if (s->opener || s->reader || s->writer)
        return push_error(L, "socket busy");
    if (sock_is_tls(s->sock)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    thread_check(L);
    const char *why = NULL;
    tls_ctx_t *ctx = client_context(bridge_self(), verify, &why);
    if (!ctx)
        return push_error(L, why ? why : "no TLS context");
    sock_pause(s->sock);
    sock_start_tls(s->sock, ctx, sni, s->connect_ms, on_secured, s);
    return csock_wait(L, s, &s->opener, 0, NULL);
}

// ---- writing ----

static void on_send_timeout(io_timer_t *timer)
{
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    csock_t *s = t->op;
    csock_end_wait(s, &s->writer);
    csock_close(s);
    thread_resume(t, push_error(t->co, "timeout"));
}

// send(text): true once the kernel has all of it.
static int l_send(lua_State *L)
{
    csock_t *s = csock_check(L);
    str_t text = arg_str(L, 2);
    if (!s->sock)
        return push_error(L, "closed");
    if (s->writer)
        return push_error(L, "socket busy writing");
    if (s->opener)
        return push_error(L, "socket busy connecting");
    int rc = s->err ? s->err : text.n ? sock_write(s->sock, &text, 1) : 0;
    if (rc != 0) {
        csock_close(s);
        return push_error(L, csock_error(rc));
    }
    if (sock_pending(s->sock) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    thread_check(L);
    return csock_wait(L, s, &s->writer, s->send_ms, on_send_timeout);
}

// ---- the rest ----

static uint32_t arg_timeout(lua_State *L, int i, uint32_t now)
{
    if (lua_isnoneornil(L, i))
        return now;
    lua_Number ms = luaL_checknumber(L, i);
    luaL_argcheck(L, ms >= -1 && ms <= 2147483647, i, "bad timeout value");
    return ms < 0 ? TIMEOUT_MS : (uint32_t)ms;
}

// settimeouts(connect, send, read) in ms; nil leaves one
static int l_settimeouts(lua_State *L)
{
    csock_t *s = csock_check(L);
    s->connect_ms = arg_timeout(L, 2, s->connect_ms);
    s->send_ms = arg_timeout(L, 3, s->send_ms);
    s->read_ms = arg_timeout(L, 4, s->read_ms);
    return 0;
}

// setkeepalive(idle_ms, size)
static int l_setkeepalive(lua_State *L)
{
    csock_t *s = csock_check(L);
    uint32_t idle_ms = arg_timeout(L, 2, TIMEOUT_MS);
    unsigned size = (unsigned)luaL_optnumber(L, 3, s->pool_size ? s->pool_size : 30);
    if (!s->sock || s->eof || s->err) {
        csock_close(s);
        return push_error(L, "closed");
    }
    if (s->reader || s->writer || s->opener)
        return push_error(L, s->reader ? "socket busy reading" : "socket busy writing");
    if (s->in.n || sock_pending(s->sock))
        return push_error(L, s->in.n ? "connection in dubious state" : "socket busy writing");
    sock_t *sock = s->sock;
    s->sock = NULL;
    idle_put(bridge_self(), s->pool, s->pool_size ? s->pool_size : size, idle_ms, sock,
             s->reused);
    csock_close(s);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_getreusedtimes(lua_State *L)
{
    csock_t *s = csock_check(L);
    if (!s->sock)
        return push_error(L, "closed");
    lua_pushnumber(L, s->reused);
    return 1;
}

static int l_close(lua_State *L)
{
    csock_t *s = csock_check(L);
    if (s->reader || s->writer || s->opener)
        return push_error(L, s->opener   ? "socket busy connecting"
                             : s->reader ? "socket busy reading"
                                         : "socket busy writing");
    if (!s->sock)
        return push_error(L, "closed");
    csock_close(s);
    buf_clear(&s->in);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_shutdown(lua_State *L)
{
    csock_t *s = csock_check(L);
    if (!s->sock)
        return push_error(L, "closed");
    sock_shutdown(s->sock);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg METHODS[] = {
    {"connect", l_connect},
    {"sslhandshake", l_sslhandshake},
    {"send", l_send},
    {"settimeouts", l_settimeouts},
    {"setkeepalive", l_setkeepalive},
    {"getreusedtimes", l_getreusedtimes},
    {"close", l_close},
    {"shutdown", l_shutdown},
    {NULL, NULL},
};

void socket_open_types(lua_State *L)
{
    luaL_newmetatable(L, TCP_TYPE);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    for (const luaL_Reg *m = METHODS; m->name; m++) {
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, m->name);
    }
    for (const luaL_Reg *m = csock_read_methods; m->name; m++) {
        lua_pushcfunction(L, m->func);
        lua_setfield(L, -2, m->name);
    }
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

const luaL_Reg native_socket[] = {{"tcp", l_tcp}, {NULL, NULL}};

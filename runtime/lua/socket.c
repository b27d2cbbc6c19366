// Cosockets: streams that look blocking to Lua. Making, connecting, writing, keeping alive, closing; reading is in socket_read.c,
// TLS in socket_tls.c, pools in socket_pool.c, OpenResty's interface in lualib/ngx/socket.lua.
#include "lua/socket.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "core/raw.h"

static const char TCP_TYPE[] = "moongate.tcp";
enum { TIMEOUT_MS = 60 * 1000 };

const char *csock_error(int err)
{
    switch (err) {
    case ERR_EOF:
        return "closed";
    case ERR_TIMEOUT:
        return "timeout";
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
    if (sock && s->lender)
        raw_end(s->lender);
    else if (sock)
        sock_close(sock);
    s->lender = NULL;
    sockpool_leave(s);
    free(s->host);
    s->host = NULL;
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

static void on_turn(io_defer_t *d);

static csock_t *push_new(lua_State *L, const task_t *task)
{
    csock_t *s = lua_newuserdata(L, sizeof *s);
    *s = (csock_t){.anchor = LUA_NOREF,
                   .connect_ms = TIMEOUT_MS,
                   .send_ms = TIMEOUT_MS,
                   .read_ms = TIMEOUT_MS};
    list_init(&s->links);
    list_init(&s->queue);
    io_defer_init(&s->turn, on_turn);
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

static void begin(csock_t *s, task_t *task, sock_t *sock)
{
    ASSERT(!s->sock, "a cosocket has one connection at a time");
    s->sock = sock;
    s->eof = false;
    s->err = 0;
    buf_clear(&s->in);
    list_push_back(&task->sockets, &s->links);
    sock_own(sock, &csock_events, s);
}

void csock_adopt(lua_State *L, task_t *task, sock_t *sock)
{
    begin(push_new(L, task), task, sock);
}

void csock_borrow(lua_State *L, task_t *task)
{
    request_t *r = task->req;
    csock_t *s = push_new(L, task);
    s->lender = r;
    s->sock = raw_begin(r, &csock_events, s, &s->in);
    list_push_back(&task->sockets, &s->links);
}

// ---- connecting ----

int csock_push_unresolved(lua_State *L, const char *host, int err)
{
    if (err != ERR_DNS_NAME && err != ERR_DNS_FAIL)
        return push_error(L, csock_error(err));
    lua_pushnil(L);
    lua_pushfstring(L, "%s could not be resolved (%s)", host,
                    err == ERR_DNS_NAME ? "3: Host not found" : "2: Server failure");
    return 2;
}

static void on_connected(void *arg, int err, sock_t *sock)
{
    csock_t *s = arg;
    s->connector = NULL;
    thread_t *t = csock_end_wait(s, &s->opener);
    if (err == 0) {
        begin(s, t->task, sock);
        lua_pushboolean(t->co, 1);
        thread_resume(t, 1);
        return;
    }
    int n = csock_push_unresolved(t->co, s->host, err);
    csock_close(s);
    thread_resume(t, n);
}

static void start_connect(csock_t *s, loop_t *loop)
{
    connect_opts_t o = {.host = str_from(s->host),
                        .port = s->port,
                        .timeout_ms = s->connect_ms,
                        .on_done = on_connected,
                        .arg = s};
    s->reused = 0;
    s->connector = sock_connect(loop, &o);
}

// Its turn after waiting for a seat in the pool.
static void on_turn(io_defer_t *d)
{
    csock_t *s = CONTAINER_OF(d, csock_t, turn);
    thread_t *t = s->opener;
    ASSERT(t, "who waits for a seat is opening");
    sock_t *idle = sockpool_take(s);
    if (!idle) {
        io_timer_stop(&t->timer);
        start_connect(s, t->task->bridge->worker->loop);
        return;
    }
    csock_end_wait(s, &s->opener);
    begin(s, t->task, idle);
    lua_pushboolean(t->co, 1);
    thread_resume(t, 1);
}

static void on_queue_timeout(io_timer_t *timer)
{
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    csock_t *s = t->op;
    csock_end_wait(s, &s->opener);
    csock_close(s);
    thread_resume(t, push_error(t->co, "timeout"));
}

char *csock_copy(str_t s)
{
    char *p = mem_alloc(s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

// The pool's options: its size and how many may wait for a connection.
static sockpool_entry_t enter_pool(lua_State *L, bridge_t *b, csock_t *s)
{
    lua_Number size = luaL_optnumber(L, 5, 0), backlog = luaL_optnumber(L, 6, -1);
    luaL_argcheck(L, size >= 0 && size <= INT32_MAX, 5, "bad \"pool_size\" option");
    luaL_argcheck(L, backlog >= -1 && backlog <= INT32_MAX, 6, "bad \"backlog\" option");
    return sockpool_enter(b, s, arg_str(L, 4), (unsigned)size, (int)backlog);
}

// connect(host | "unix:/path", port, pool key[, pool size[, backlog]])
static int l_connect(lua_State *L)
{
    csock_t *s = csock_check(L);
    bridge_t *b = bridge_self();
    thread_check(L);
    str_t host = arg_str(L, 2);
    lua_Number port = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, port >= 0 && port <= 65535, 3, "port out of range");
    if (s->opener)
        return push_error(L, "socket busy connecting");
    if (s->reader || s->writer)
        return push_error(L, s->reader ? "socket busy reading" : "socket busy writing");
    csock_close(s);
    sockpool_entry_t entry = enter_pool(L, b, s);
    if (entry == POOL_FULL)
        return push_error(L, "too many waiting connect operations");
    s->owner = b->task->serial;
    sock_t *idle = entry == POOL_SEATED ? sockpool_take(s) : NULL;
    if (idle) {
        begin(s, b->task, idle);
        lua_pushboolean(L, 1);
        return 1;
    }
    s->host = csock_copy(host);
    s->port = (uint16_t)port;
    if (entry == POOL_QUEUED)
        return csock_wait(L, s, &s->opener, s->connect_ms, on_queue_timeout);
    start_connect(s, b->worker->loop);
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
    return ms <= 0 ? TIMEOUT_MS : (uint32_t)ms;
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
    lua_Number idle_ms = luaL_optnumber(L, 2, TIMEOUT_MS);
    luaL_argcheck(L, idle_ms >= 0 && idle_ms <= INT32_MAX, 2, "bad timeout value");
    lua_Number size = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, size >= 0 && size <= INT32_MAX, 3, "bad pool size");
    if (!s->sock || s->eof || s->err) {
        csock_close(s);
        return push_error(L, "closed");
    }
    if (s->reader || s->writer || s->opener)
        return push_error(L, s->reader ? "socket busy reading" : "socket busy writing");
    if (s->in.n || sock_pending(s->sock))
        return push_error(L, s->in.n ? "connection in dubious state" : "socket busy writing");
    if (!s->pool)
        return push_error(L, "a connection that was accepted has no pool");
    sockpool_put(s, (unsigned)size, (uint32_t)idle_ms);
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

// option(number, name[, value]): sets it, or returns it
static int l_option(lua_State *L)
{
    static const char *const NAMES[] = {"keepalive", "reuseaddr", "tcp-nodelay", "sndbuf",
                                        "rcvbuf",    "keepintvl", "keepcnt",     NULL};
    static const sock_option_t OPTIONS[] = {SOCK_KEEPALIVE, SOCK_REUSEADDR, SOCK_NODELAY,
                                            SOCK_SNDBUF,    SOCK_RCVBUF,    SOCK_KEEPINTVL,
                                            SOCK_KEEPCNT};
    csock_t *s = csock_check(L);
    sock_option_t option = OPTIONS[luaL_checkoption(L, 2, NULL, NAMES)];
    int value = (int)luaL_optnumber(L, 3, 0);
    if (!s->sock)
        return push_error(L, "closed");
    int rc = lua_isnoneornil(L, 3) ? sock_option_get(s->sock, option, &value)
                                   : sock_option_set(s->sock, option, value);
    if (rc != 0)
        return push_error(L, csock_error(rc));
    lua_pushnumber(L, value);
    return 1;
}

static const luaL_Reg METHODS[] = {
    {"option", l_option},
    {"connect", l_connect},
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
    const luaL_Reg *const LISTS[] = {METHODS, csock_read_methods, csock_tls_methods, NULL};
    bridge_open_type(L, TCP_TYPE, l_gc, LISTS);
}

const luaL_Reg native_socket[] = {{"tcp", l_tcp}, {NULL, NULL}};

// UDP cosockets: one peer, datagrams kept in order until received (a few; more are dropped, as a kernel would).
#include "base/check.h"
#include "base/err.h"
#include "io/dns.h"
#include "io/sock.h"
#include "lua/bridge.h"
#include "lua/socket.h"

static const char UDP_TYPE[] = "moongate.udp";
enum { QUEUE_MAX = 64, TIMEOUT_MS = 60 * 1000, DATAGRAM_MAX = 65507 };

typedef struct datagram {
    struct datagram *next;
    size_t n;
    char bytes[];
} datagram_t;

typedef struct cudp {
    uint64_t owner; // serial of its task; 0: nobody's yet
    udp_t *udp;
    dns_query_t *query;
    thread_t *waiter; // for a name or for a datagram
    int anchor;
    char *host; // owned; looked up, or NULL
    uint16_t port;
    int err; // heard while nobody received; for the next receive
    uint32_t read_ms;
    size_t max;
    datagram_t *first, **last;
    unsigned queued;
} cudp_t;

static cudp_t *check(lua_State *L)
{
    cudp_t *u = luaL_checkudata(L, 1, UDP_TYPE);
    const task_t *task = bridge_self()->task;
    if (u->owner && (!task || u->owner != task->serial))
        luaL_error(L, "bad request");
    return u;
}

static void close_udp(cudp_t *u)
{
    if (u->udp)
        udp_close(u->udp);
    u->udp = NULL;
    while (u->first) {
        datagram_t *d = u->first;
        u->first = d->next;
        free(d);
    }
    u->last = &u->first;
    u->queued = 0;
}

static thread_t *end_wait(cudp_t *u)
{
    thread_t *t = u->waiter;
    u->waiter = NULL;
    io_timer_stop(&t->timer);
    luaL_unref(t->task->bridge->L, LUA_REGISTRYINDEX, u->anchor);
    return t;
}

static void wait_cancel(thread_t *t)
{
    cudp_t *u = t->op;
    if (u->query)
        dns_cancel(u->query);
    u->query = NULL;
    end_wait(u);
    close_udp(u);
}

static int udp_wait(lua_State *L, cudp_t *u)
{
    u->waiter = thread_check(L);
    lua_pushvalue(L, 1);
    u->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    return thread_wait(L, wait_cancel, u);
}

static void on_datagram(void *arg, const char *p, size_t n)
{
    cudp_t *u = arg;
    thread_t *t = u->waiter;
    if (t) {
        end_wait(u);
        lua_pushlstring(t->co, p, n < u->max ? n : u->max);
        thread_resume(t, 1);
        return;
    }
    if (u->queued >= QUEUE_MAX)
        return;
    datagram_t *d = mem_alloc(sizeof *d + n);
    d->next = NULL;
    d->n = n;
    memcpy(d->bytes, p, n);
    *u->last = d;
    u->last = &d->next;
    u->queued++;
}

static void on_error(void *arg, int err)
{
    cudp_t *u = arg;
    if (!u->waiter) {
        u->err = err;
        return;
    }
    thread_t *t = end_wait(u);
    thread_resume(t, push_error(t->co, csock_error(err)));
}

static bool open_peer(cudp_t *u, const addr_t *peer)
{
    close_udp(u);
    u->err = 0;
    u->udp = udp_open(bridge_self()->worker->loop, peer, on_datagram, u);
    if (u->udp)
        udp_on_error(u->udp, on_error);
    return u->udp != NULL;
}

static int push_opened(lua_State *L, bool opened)
{
    if (!opened)
        return push_error(L, "cannot open a socket to that peer");
    lua_pushboolean(L, 1);
    return 1;
}

static void on_resolved(void *arg, int err, const dns_answer_t *a)
{
    cudp_t *u = arg;
    u->query = NULL;
    addr_t peer;
    if (err == 0) {
        peer = a->records[0].addr;
        if (peer.sa.sa_family == AF_INET6)
            peer.in6.sin6_port = htons(u->port);
        else
            peer.in.sin_port = htons(u->port);
    }
    thread_t *t = end_wait(u);
    if (err == 0) {
        thread_resume(t, push_opened(t->co, open_peer(u, &peer)));
        return;
    }
    int n = csock_push_unresolved(t->co, u->host, err);
    free(u->host);
    u->host = NULL;
    thread_resume(t, n);
}

// setpeername(host, port) | ("unix:/path")
static int l_setpeername(lua_State *L)
{
    cudp_t *u = check(L);
    str_t host = arg_str(L, 2);
    lua_Number port = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, port >= 0 && port <= 65535, 3, "bad port number");
    u->owner = thread_check(L)->task->serial;
    u->port = (uint16_t)port;
    addr_t peer;
    if (u->waiter)
        return push_error(L, "socket busy");
    if (str_starts(host, STR("unix:")) ? addr_parse(host, &peer) == 0
                                       : addr_from_ip(host, u->port, &peer) == 0)
        return push_opened(L, open_peer(u, &peer));
    free(u->host);
    u->host = csock_copy(host);
    u->query = dns_lookup(dns_of(bridge_self()->worker->loop), host, DNS_ADDR, on_resolved, u);
    return udp_wait(L, u);
}

static int l_send(lua_State *L)
{
    cudp_t *u = check(L);
    str_t text = arg_str(L, 2);
    if (!u->udp)
        return push_error(L, "closed");
    int rc = udp_send(u->udp, text);
    if (rc != 0)
        return push_error(L, csock_error(rc));
    lua_pushboolean(L, 1);
    return 1;
}

static void on_timeout(io_timer_t *timer)
{
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    cudp_t *u = t->op;
    end_wait(u);
    thread_resume(t, push_error(t->co, "timeout"));
}

// receive([max])
static int l_receive(lua_State *L)
{
    cudp_t *u = check(L);
    lua_Number max = luaL_optnumber(L, 2, DATAGRAM_MAX);
    u->max = max < 1 ? 1 : (size_t)max;
    if (!u->udp)
        return push_error(L, "closed");
    if (u->waiter)
        return push_error(L, "socket busy reading");
    datagram_t *d = u->first;
    if (d) {
        u->first = d->next;
        if (!u->first)
            u->last = &u->first;
        u->queued--;
        lua_pushlstring(L, d->bytes, d->n < u->max ? d->n : u->max);
        free(d);
        return 1;
    }
    int err = u->err;
    u->err = 0;
    if (err)
        return push_error(L, csock_error(err));
    thread_t *t = thread_check(L);
    t->timer.fn = on_timeout;
    io_timer_start(&t->timer, u->read_ms);
    return udp_wait(L, u);
}

static int l_settimeout(lua_State *L)
{
    cudp_t *u = check(L);
    lua_Number ms = luaL_checknumber(L, 2);
    u->read_ms = ms > 0 ? (uint32_t)ms : TIMEOUT_MS;
    return 0;
}

static int l_close(lua_State *L)
{
    cudp_t *u = check(L);
    if (!u->udp)
        return push_error(L, "closed");
    if (u->waiter)
        return push_error(L, "socket busy reading");
    close_udp(u);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_gc(lua_State *L)
{
    cudp_t *u = luaL_checkudata(L, 1, UDP_TYPE);
    ASSERT(!u->waiter, "a socket that is waited on is anchored");
    close_udp(u);
    free(u->host);
    u->host = NULL;
    return 0;
}

static int l_udp(lua_State *L)
{
    cudp_t *u = lua_newuserdata(L, sizeof *u);
    const task_t *task = bridge_self()->task;
    *u = (cudp_t){.owner = task ? task->serial : 0, .anchor = LUA_NOREF, .read_ms = TIMEOUT_MS};
    u->last = &u->first;
    luaL_getmetatable(L, UDP_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

static const luaL_Reg METHODS[] = {
    {"setpeername", l_setpeername}, {"send", l_send},   {"receive", l_receive},
    {"settimeout", l_settimeout},   {"close", l_close}, {NULL, NULL},
};

void udp_open_type(lua_State *L)
{
    static const luaL_Reg *const LISTS[] = {METHODS, NULL};
    bridge_open_type(L, UDP_TYPE, l_gc, LISTS);
}

const luaL_Reg native_udp[] = {{"udp", l_udp}, {NULL, NULL}};

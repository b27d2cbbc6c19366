// Reading from a cosocket: lines, counts, all, any, until a pattern; cut anywhere by the network.
// Invariant: what a read does not take stays in `in` for the next one.
#include "lua/socket.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"

enum { HELD_MAX = 1 << 20 };

static int push_taken(csock_t *s, lua_State *L, size_t n, size_t drop)
{
    lua_pushlstring(L, buf_str(&s->in).p, n);
    buf_consume(&s->in, n + drop);
    s->scanned = 0;
    return 1;
}

// A line without its LF and without any CR.
static int take_line(csock_t *s, lua_State *L)
{
    str_t in = buf_str(&s->in);
    ptrdiff_t at = str_chr(str_from_at(in, s->scanned), '\n');
    if (at < 0) {
        s->scanned = in.n;
        return 0;
    }
    size_t n = s->scanned + (size_t)at, kept = 0;
    char *p = s->in.p + s->in.head;
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\r')
            p[kept++] = p[i];
    return push_taken(s, L, kept, n - kept + 1);
}

// Bytes up to the pattern. Second result: the pattern was reached.
static int take_until(csock_t *s, lua_State *L)
{
    str_t in = buf_str(&s->in);
    ptrdiff_t at = str_find(str_from_at(in, s->scanned), s->pattern);
    size_t overlap = s->pattern.n - 1;
    size_t safe = at >= 0 ? s->scanned + (size_t)at : in.n > overlap ? in.n - overlap : 0;
    bool piece = s->want && safe >= s->want && !(at >= 0 && safe == s->want);
    if (piece) {
        push_taken(s, L, s->want, 0);
        lua_pushboolean(L, 0);
        return 2;
    }
    if (at < 0) {
        s->scanned = safe;
        return 0;
    }
    push_taken(s, L, safe + (s->inclusive ? s->pattern.n : 0), s->inclusive ? 0 : s->pattern.n);
    lua_pushboolean(L, 1);
    return 2;
}

int csock_try_read(csock_t *s, lua_State *L)
{
    switch (s->kind) {
    case READ_LINE:
        return take_line(s, L);
    case READ_BYTES:
        return s->in.n >= s->want ? push_taken(s, L, s->want, 0) : 0;
    case READ_ANY:
        return s->in.n ? push_taken(s, L, s->in.n < s->want ? s->in.n : s->want, 0) : 0;
    case READ_ALL:
        return s->eof ? push_taken(s, L, s->in.n, 0) : 0;
    case READ_UNTIL:
        return take_until(s, L);
    }
    UNREACHABLE("a kind of read");
}

int csock_push_partial(csock_t *s, lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    if (s->kind == READ_ANY)
        return 2;
    push_taken(s, L, s->in.n, 0);
    return 3;
}

static void on_read_timeout(io_timer_t *timer)
{
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    csock_t *s = t->op;
    csock_end_wait(s, &s->reader);
    sock_pause(s->sock);
    thread_resume(t, csock_push_partial(s, t->co, "timeout"));
}

static int start_read(lua_State *L, csock_t *s)
{
    s->scanned = 0;
    if (s->reader)
        return push_error(L, "socket busy reading");
    if (s->opener)
        return push_error(L, "socket busy connecting");
    if (!s->sock && s->in.n == 0)
        return push_error(L, "closed");
    int n = csock_try_read(s, L);
    if (n)
        return n;
    if (s->eof || s->err || !s->sock) {
        const char *why = s->err ? csock_error(s->err) : "closed";
        n = csock_push_partial(s, L, why);
        csock_close(s);
        return n;
    }
    thread_check(L);
    sock_resume(s->sock);
    return csock_wait(L, s, &s->reader, s->read_ms, on_read_timeout);
}

// receive([pattern | size])
static int l_receive(lua_State *L)
{
    csock_t *s = csock_check(L);
    s->kind = READ_LINE;
    if (lua_isnoneornil(L, 2))
        return start_read(L, s);
    if (lua_isnumber(L, 2)) {
        lua_Number n = lua_tonumber(L, 2);
        luaL_argcheck(L, n >= 0, 2, "bad pattern argument");
        if (n == 0) {
            lua_pushliteral(L, "");
            return 1;
        }
        s->kind = READ_BYTES;
        s->want = (size_t)n;
        return start_read(L, s);
    }
    str_t pattern = arg_str(L, 2);
    if (str_eq(pattern, STR("*a")))
        s->kind = READ_ALL;
    else if (!str_eq(pattern, STR("*l")))
        return luaL_argerror(L, 2, "bad pattern argument");
    return start_read(L, s);
}

static int l_receiveany(lua_State *L)
{
    csock_t *s = csock_check(L);
    lua_Number max = luaL_checknumber(L, 2);
    luaL_argcheck(L, max >= 1, 2, "bad max argument");
    s->kind = READ_ANY;
    s->want = (size_t)max;
    return start_read(L, s);
}

// until(pattern, inclusive[, size]) -> data, reached
static int l_until(lua_State *L)
{
    csock_t *s = csock_check(L);
    str_t pattern = arg_str(L, 2);
    luaL_argcheck(L, pattern.n > 0, 2, "pattern is empty");
    if (s->reader)
        return push_error(L, "socket busy reading");
    char *copy = mem_alloc(pattern.n);
    memcpy(copy, pattern.p, pattern.n);
    free((char *)(uintptr_t)s->pattern.p);
    s->pattern = str_make(copy, pattern.n);
    s->kind = READ_UNTIL;
    s->inclusive = lua_toboolean(L, 3);
    s->want = (size_t)luaL_optnumber(L, 4, 0);
    return start_read(L, s);
}

// ---- events ----

static void satisfy(csock_t *s)
{
    thread_t *t = s->reader;
    if (!t) {
        if (s->in.n >= HELD_MAX)
            sock_pause(s->sock);
        return;
    }
    int n = csock_try_read(s, t->co);
    if (n == 0 && (s->eof || s->err)) {
        n = csock_push_partial(s, t->co, s->err ? csock_error(s->err) : "closed");
        csock_end_wait(s, &s->reader);
        csock_close(s);
        thread_resume(t, n);
        return;
    }
    if (n == 0)
        return;
    csock_end_wait(s, &s->reader);
    if (!s->eof && !s->err)
        sock_pause(s->sock);
    thread_resume(t, n);
}

static void on_data(sock_t *sock, char *data, size_t n)
{
    csock_t *s = sock_owner(sock);
    if (buf_try_append(&s->in, str_make(data, n)) != 0)
        s->err = ERR_NOMEM;
    satisfy(s);
}

static void on_eof(sock_t *sock)
{
    csock_t *s = sock_owner(sock);
    s->eof = true;
    satisfy(s);
}

static void on_error(sock_t *sock, int err)
{
    csock_t *s = sock_owner(sock);
    s->err = err;
    thread_t *writer = s->writer;
    if (!writer) {
        satisfy(s);
        return;
    }
    thread_t *reader = s->reader;
    uint32_t serial = reader ? reader->serial : 0;
    csock_end_wait(s, &s->writer);
    int n = push_error(writer->co, csock_error(err));
    bool both = reader && reader != writer;
    thread_resume(writer, n);
    // The writer's resumption may have ended the task, and the reader with it.
    if (both && serial == reader->serial && reader->op == s && s->reader == reader)
        satisfy(s);
}

static void on_drain(sock_t *sock)
{
    csock_t *s = sock_owner(sock);
    thread_t *t = s->writer;
    if (!t)
        return;
    csock_end_wait(s, &s->writer);
    lua_pushboolean(t->co, 1);
    thread_resume(t, 1);
}

const sock_events_t csock_events = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drain = on_drain};

const luaL_Reg csock_read_methods[] = {
    {"receive", l_receive}, {"receiveany", l_receiveany}, {"until_", l_until}, {NULL, NULL}};

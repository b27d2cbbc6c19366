// Programs that plugins start: spawning, reading, writing, waiting. ngx.pipe's interface is lualib/ngx/pipe.lua; processes and
// pipes are io/child.c.
// Invariants: a program belongs to one task and is killed with it, or when Lua has forgotten it; each stream, and its end, has at
// most one thread that waits, and while one does the userdata is anchored; output is read only while a thread waits for it.
#include "lua/bridge.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "core/worker.h"
#include "io/child.h"

static const char PROC_TYPE[] = "moongate.pipe";

// Places of waiters and timeouts: the streams, and the program's end.
enum { AT_EXIT = CHILD_STREAMS, PLACES, TIMEOUT_MS = 10 * 1000 };

typedef enum kind { KIND_LINE, KIND_BYTES, KIND_ALL, KIND_ANY } kind_t;

typedef struct output {
    buf_t in;         // came, not taken yet
    bool ended, told; // nothing more comes; and a reader has heard of it
    int err;          // why it ended; 0: as it should
    kind_t kind;      // of the read under way
    size_t want, scanned;
} output_t;

typedef struct proc {
    list_t links;   // task->procs; alone when closed
    uint64_t owner; // serial of its task
    child_t *child; // NULL: its task is over
    int pid;
    bool merged, exited, waited;
    bool shut[CHILD_STREAMS];
    int status, signum;
    thread_t *waiters[PLACES];
    uint32_t timeouts_ms[PLACES]; // 0: none
    int anchor;                   // registry reference while somebody waits
    unsigned waits;
    output_t outputs[CHILD_STREAMS]; // the first is unused
} proc_t;

// ---- waiting ----

static thread_t *end_wait(proc_t *p, int place)
{
    thread_t *t = p->waiters[place];
    ASSERT(t && p->waits > 0, "a wait ends once");
    p->waiters[place] = NULL;
    io_timer_stop(&t->timer);
    io_defer_stop(&t->defer);
    if (--p->waits == 0) {
        luaL_unref(t->task->bridge->L, LUA_REGISTRYINDEX, p->anchor);
        p->anchor = LUA_NOREF;
    }
    return t;
}

static int place_of(const proc_t *p, const thread_t *t)
{
    for (int i = 0; i < PLACES; i++)
        if (p->waiters[i] == t)
            return i;
    UNREACHABLE("a thread that waits has a place");
}

static void wait_cancel(thread_t *t)
{
    proc_t *p = t->op;
    int place = place_of(p, t);
    if (place == CHILD_STDOUT || place == CHILD_STDERR)
        child_pause(p->child, place);
    end_wait(p, place);
}

static int push_rest(output_t *o, lua_State *L, const char *why);

static void on_timeout(io_timer_t *timer)
{
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    proc_t *p = t->op;
    int place = place_of(p, t);
    bool reads = place == CHILD_STDOUT || place == CHILD_STDERR;
    if (reads)
        child_pause(p->child, place);
    end_wait(p, place);
    thread_resume(t, reads ? push_rest(&p->outputs[place], t->co, "timeout")
                           : push_error(t->co, "timeout"));
}

static int proc_wait(lua_State *L, proc_t *p, int place)
{
    thread_t *t = thread_check(L);
    if (p->waits++ == 0) {
        lua_pushvalue(L, 1);
        p->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    p->waiters[place] = t;
    if (p->timeouts_ms[place]) {
        t->timer.fn = on_timeout;
        io_timer_start(&t->timer, p->timeouts_ms[place]);
    }
    return thread_wait(L, wait_cancel, p);
}

static const char *error_text(int err)
{
    return err == ERR_RESET || err == ERR_EOF ? "closed" : err_text(err);
}

// ---- reading ----

static int push_taken(output_t *o, lua_State *L, size_t n, size_t drop)
{
    lua_pushlstring(L, buf_str(&o->in).p, n);
    buf_consume(&o->in, n + drop);
    o->scanned = 0;
    return 1;
}

// Results for a read that cannot be satisfied: nil, why, what came.
static int push_rest(output_t *o, lua_State *L, const char *why)
{
    push_error(L, why);
    return o->kind == KIND_ANY ? 2 : 2 + push_taken(o, L, o->in.n, 0);
}

// A line without its LF, nor a CR before it.
static int take_line(output_t *o, lua_State *L)
{
    str_t in = buf_str(&o->in);
    ptrdiff_t at = str_chr(str_from_at(in, o->scanned), '\n');
    if (at < 0) {
        o->scanned = in.n;
        return 0;
    }
    size_t n = o->scanned + (size_t)at;
    size_t cr = n > 0 && in.p[n - 1] == '\r';
    return push_taken(o, L, n - cr, cr + 1);
}

// What was asked for, from what has come; 0: more is needed.
static int take(output_t *o, lua_State *L)
{
    switch (o->kind) {
    case KIND_LINE:
        return take_line(o, L);
    case KIND_BYTES:
        return o->in.n >= o->want ? push_taken(o, L, o->want, 0) : 0;
    case KIND_ANY:
        return o->in.n ? push_taken(o, L, o->in.n < o->want ? o->in.n : o->want, 0) : 0;
    case KIND_ALL:
        if (!o->ended || o->err)
            return 0;
        o->told = true;
        return push_taken(o, L, o->in.n, 0);
    }
    UNREACHABLE("a kind of read");
}

// As take, and the end when there is one.
static int take_or_end(output_t *o, lua_State *L)
{
    int n = take(o, L);
    if (n || !o->ended)
        return n;
    o->told = true;
    return push_rest(o, L, o->err ? error_text(o->err) : "closed");
}

static void satisfy(proc_t *p, child_stream_t from)
{
    thread_t *t = p->waiters[from];
    if (!t)
        return;
    int n = take_or_end(&p->outputs[from], t->co);
    if (n == 0)
        return;
    child_pause(p->child, from);
    end_wait(p, from);
    thread_resume(t, n);
}

static void on_data(void *arg, child_stream_t from, const char *data, size_t n)
{
    proc_t *p = arg;
    output_t *o = &p->outputs[from];
    if (buf_try_append(&o->in, str_make(data, n)) != 0) {
        o->err = ERR_NOMEM;
        o->ended = true;
    }
    satisfy(p, from);
}

static void on_end(void *arg, child_stream_t from, int err)
{
    proc_t *p = arg;
    output_t *o = &p->outputs[from];
    o->ended = true;
    o->err = err == ERR_EOF ? 0 : err;
    satisfy(p, from);
}

static proc_t *check(lua_State *L)
{
    proc_t *p = luaL_checkudata(L, 1, PROC_TYPE);
    const task_t *task = bridge_self()->task;
    if (!task || p->owner != task->serial || !p->child)
        luaL_error(L, "bad request");
    return p;
}

static child_stream_t check_stream(lua_State *L, int i)
{
    static const char *const NAMES[] = {"stdin", "stdout", "stderr", NULL};
    return (child_stream_t)luaL_checkoption(L, i, NULL, NAMES);
}

// read("stdout" | "stderr", "line" | "bytes" | "all" | "any"[, n])
static int l_read(lua_State *L)
{
    static const char *const KINDS[] = {"line", "bytes", "all", "any", NULL};
    proc_t *p = check(L);
    child_stream_t from = check_stream(L, 2);
    luaL_argcheck(L, from != CHILD_STDIN, 2, "stdin is written to");
    kind_t kind = (kind_t)luaL_checkoption(L, 3, NULL, KINDS);
    lua_Number want = luaL_optnumber(L, 4, 1);
    luaL_argcheck(L, want >= 1 && want <= INT32_MAX, 4, "number of bytes expected");
    output_t *o = &p->outputs[from];
    if (from == CHILD_STDERR && p->merged)
        return push_error(L, "merged to stdout");
    if (o->told || p->shut[from])
        return push_error(L, "closed");
    if (p->waiters[from])
        return push_error(L, "pipe busy reading");
    o->kind = kind;
    o->want = (size_t)want;
    o->scanned = 0;
    int n = take_or_end(o, L);
    if (n)
        return n;
    thread_check(L);
    child_resume(p->child, from);
    return proc_wait(L, p, from);
}

// ---- writing ----

static void on_written(void *arg, int err)
{
    proc_t *p = arg;
    if (!p->waiters[CHILD_STDIN])
        return;
    thread_t *t = end_wait(p, CHILD_STDIN);
    if (err) {
        thread_resume(t, push_error(t->co, error_text(err)));
        return;
    }
    lua_pushboolean(t->co, 1);
    thread_resume(t, 1);
}

// write(text): true once the pipe has all of it.
static int l_write(lua_State *L)
{
    proc_t *p = check(L);
    str_t text = arg_str(L, 2);
    luaL_argcheck(L, text.n <= INT32_MAX, 2, "text of 2 GB at most expected");
    if (p->exited || p->shut[CHILD_STDIN])
        return push_error(L, "closed");
    if (p->waiters[CHILD_STDIN])
        return push_error(L, "pipe busy writing");
    thread_check(L);
    int rc = child_write(p->child, text);
    if (rc != 0)
        return push_error(L, error_text(rc));
    if (child_pending(p->child) > 0)
        return proc_wait(L, p, CHILD_STDIN);
    lua_pushboolean(L, 1);
    return 1;
}

// ---- its end ----

static int push_exit(proc_t *p, lua_State *L)
{
    p->waited = true;
    lua_pushboolean(L, !p->signum && !p->status);
    lua_pushstring(L, p->signum ? "signal" : "exit");
    lua_pushnumber(L, p->signum ? p->signum : p->status);
    return 3;
}

static void on_exit_status(void *arg, int status, int signum)
{
    proc_t *p = arg;
    p->exited = true;
    p->status = status;
    p->signum = signum;
    if (!p->waiters[AT_EXIT])
        return;
    thread_t *t = end_wait(p, AT_EXIT);
    thread_resume(t, push_exit(p, t->co));
}

// wait(): ok, "exit" | "signal", status or signal
static int l_wait(lua_State *L)
{
    proc_t *p = check(L);
    if (p->waited)
        return push_error(L, "exited");
    if (p->exited)
        return push_exit(p, L);
    if (p->waiters[AT_EXIT])
        return push_error(L, "pipe busy waiting");
    return proc_wait(L, p, AT_EXIT);
}

static int l_pid(lua_State *L)
{
    lua_pushnumber(L, check(L)->pid);
    return 1;
}

static int l_kill(lua_State *L)
{
    proc_t *p = check(L);
    lua_Number signum = luaL_checknumber(L, 2);
    int rc = signum >= 0 && signum <= INT32_MAX ? child_kill(p->child, (int)signum) : -EINVAL;
    if (rc != 0)
        return push_error(L, rc == -ESRCH    ? "exited"
                             : rc == -EINVAL ? "invalid signal"
                                             : strerror(-rc));
    lua_pushboolean(L, 1);
    return 1;
}

static void on_abort(io_defer_t *d)
{
    thread_t *t = CONTAINER_OF(d, thread_t, defer);
    proc_t *p = t->op;
    end_wait(p, place_of(p, t));
    thread_resume(t, push_error(t->co, "aborted"));
}

// shutdown(stream): who waits on it hears "aborted" at the end of this turn.
static int l_shutdown(lua_State *L)
{
    proc_t *p = check(L);
    child_stream_t which = check_stream(L, 2);
    if (which == CHILD_STDERR && p->merged)
        return push_error(L, "merged to stdout");
    if (p->exited)
        return push_error(L, "closed");
    p->shut[which] = true;
    child_shut(p->child, which);
    thread_t *t = p->waiters[which];
    if (t && !t->defer.pending) {
        io_timer_stop(&t->timer);
        t->defer.fn = on_abort;
        io_defer_start(t->task->bridge->worker->loop, &t->defer);
    }
    lua_pushboolean(L, 1);
    return 1;
}

// set_timeouts(write, stdout, stderr, wait) in ms; nil leaves one, 0: never
static int l_set_timeouts(lua_State *L)
{
    proc_t *p = check(L);
    for (int i = 0; i < PLACES; i++) {
        if (lua_isnoneornil(L, i + 2))
            continue;
        lua_Number ms = luaL_checknumber(L, i + 2);
        luaL_argcheck(L, ms >= 0 && ms <= INT32_MAX, i + 2, "bad timeout value");
        p->timeouts_ms[i] = ms > 0 && ms < 1 ? 1 : (uint32_t)ms;
    }
    return 0;
}

// ---- life ----

static void proc_close(proc_t *p)
{
    list_unlink(&p->links);
    if (p->child)
        child_close(p->child);
    p->child = NULL;
}

void procs_close(list_t *procs)
{
    while (!list_empty(procs))
        proc_close(CONTAINER_OF(procs->next, proc_t, links));
}

static int l_gc(lua_State *L)
{
    proc_t *p = luaL_checkudata(L, 1, PROC_TYPE);
    ASSERT(p->waits == 0, "a program that is waited for is anchored");
    proc_close(p);
    for (int i = 0; i < CHILD_STREAMS; i++)
        buf_dispose(&p->outputs[i].in);
    return 0;
}

static const child_events_t EVENTS = {
    .on_data = on_data, .on_end = on_end, .on_written = on_written, .on_exit = on_exit_status};

// The table's strings as C has them; NULL-terminated, on the stack. Borrowed from the table.
static char **push_strings(lua_State *L, int i)
{
    luaL_checktype(L, i, LUA_TTABLE);
    size_t n = lua_objlen(L, i);
    char **v = lua_newuserdata(L, (n + 1) * sizeof *v);
    for (size_t k = 0; k < n; k++) {
        size_t len = 0;
        lua_rawgeti(L, i, (int)k + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, i, "array of strings expected");
        v[k] = (char *)(uintptr_t)lua_tolstring(L, -1, &len);
        luaL_argcheck(L, strlen(v[k]) == len, i, "strings without NUL bytes expected");
        lua_pop(L, 1);
    }
    v[n] = NULL;
    return v;
}

static proc_t *push_proc(lua_State *L, task_t *task)
{
    proc_t *p = lua_newuserdata(L, sizeof *p);
    *p = (proc_t){.owner = task->serial, .anchor = LUA_NOREF};
    list_init(&p->links);
    for (int i = 0; i < PLACES; i++)
        p->timeouts_ms[i] = TIMEOUT_MS;
    luaL_getmetatable(L, PROC_TYPE);
    lua_setmetatable(L, -2);
    return p;
}

// pipe_spawn(args, environ, merge_stderr)
static int l_spawn(lua_State *L)
{
    bridge_t *b = bridge_self();
    task_t *task = thread_check(L)->task;
    if (!b->worker->settings->lua_pipe)
        return push_error(L, "the setting lua_pipe is off");
    child_opts_t o = {.args = push_strings(L, 1),
                      .environ = push_strings(L, 2),
                      .merge_stderr = lua_toboolean(L, 3),
                      .events = &EVENTS};
    luaL_argcheck(L, o.args[0], 1, "a program's name expected");
    proc_t *p = push_proc(L, task);
    o.arg = p;
    int rc = child_open(b->worker->loop, &o, &p->child);
    if (rc != 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "cannot start %s: %s", o.args[0], strerror(-rc));
        return 2;
    }
    p->merged = o.merge_stderr;
    p->pid = child_pid(p->child);
    list_push_back(&task->procs, &p->links);
    return 1;
}

static const luaL_Reg METHODS[] = {
    {"read", l_read},         {"write", l_write}, {"wait", l_wait},
    {"pid", l_pid},           {"kill", l_kill},   {"set_timeouts", l_set_timeouts},
    {"shutdown", l_shutdown}, {NULL, NULL},
};

void pipe_open_type(lua_State *L)
{
    static const luaL_Reg *const LISTS[] = {METHODS, NULL};
    bridge_open_type(L, PROC_TYPE, l_gc, LISTS);
}

const luaL_Reg native_pipe[] = {{"pipe_spawn", l_spawn}, {NULL, NULL}};

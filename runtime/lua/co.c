// Tasks and threads: the only lua_resume of the tree, what follows from how a coroutine stopped, and the recycling of
// coroutines. What the chains do is in phases.c; what may be waited for in native_wait.c, socket.c, native_timer.c.
// Invariant: a coroutine goes back to the pool only when it ended normally; a failed or suspended one is left to the collector.
#include "lua/bridge.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/respond.h"
#include "core/stats.h"

enum { STATUS_CLOSE = 444 }; // nginx's: no answer, the connection is closed

// What a C function yields, so that the resumer knows why. Lua code (coroutine.resume as we wrap it) passes them on.
static char SENTINEL_WAIT, SENTINEL_LEAVE;

int push_error(lua_State *L, const char *text)
{
    lua_pushnil(L);
    lua_pushstring(L, text);
    return 2;
}

request_t *request_check(lua_State *L)
{
    request_t *r = current_request();
    if (!r)
        luaL_error(L, "no request found");
    return r;
}

// sentinels(): what a wait and an unwinding yield, for the coroutine functions of boot.lua.
static int l_sentinels(lua_State *L)
{
    lua_pushlightuserdata(L, &SENTINEL_WAIT);
    lua_pushlightuserdata(L, &SENTINEL_LEAVE);
    return 2;
}

const luaL_Reg native_co[] = {{"sentinels", l_sentinels}, {NULL, NULL}};

// ---- what runs ----

typedef struct current {
    bridge_t *active;
    task_t *task;
    thread_t *thread;
    mg_state_t state;
    uint32_t plugin_row;
} current_t;

static current_t current_set(bridge_t *b, task_t *task, thread_t *thread)
{
    current_t saved = {.active = bridge_enter(b),
                       .task = b->task,
                       .thread = b->thread,
                       .state = b->state,
                       .plugin_row = *b->plugin_row};
    if (!b->task) {
        b->wall_us = clock_wall_us();
        b->running_L = b->L;
        // Compiling a chain and init_worker may take their time.
        bool limited = task->phase != 0 && task->phase != PHASE_INIT_WORKER;
        b->run_started_us = limited ? clock_mono_us() : 0;
        if (limited)
            heap_limit(&b->heap, b->worker->settings->plugin_memory_bytes);
    }
    b->task = task;
    b->thread = thread;
    *b->plugin_row = task->plugin_row;
    b->state.phase = task->phase;
    b->state.slot = task->slot;
    b->state.has_request = task->req != NULL;
    b->state.may_wait = thread != NULL;
    return saved;
}

static void current_restore(bridge_t *b, const current_t *saved)
{
    if (b->task) {
        b->task->phase = b->state.phase;
        b->task->plugin_row = *b->plugin_row;
    }
    *b->plugin_row = saved->plugin_row;
    b->task = saved->task;
    b->thread = saved->thread;
    b->state = saved->state;
    if (!b->task) {
        b->run_started_us = 0;
        heap_unlimit(&b->heap);
        if (b->stop != STOP_NOT)
            watchdog_run_over(b);
    }
    bridge_leave(b, saved->active);
}

// ---- slots ----

static int32_t slot_acquire(bridge_t *b)
{
    if (b->n_free_slots == 0) {
        uint32_t more = b->n_slots ? b->n_slots : 64;
        b->free_slots = mem_realloc(b->free_slots, (b->n_slots + more) * sizeof *b->free_slots);
        for (uint32_t i = 0; i < more; i++)
            b->free_slots[i] = (int32_t)(b->n_slots + more - i);
        b->n_slots += more;
        b->n_free_slots = more;
    }
    return b->free_slots[--b->n_free_slots];
}

static void slot_release(bridge_t *b, int32_t slot, bool used)
{
    lua_State *L = b->L;
    if (used) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, b->slots_ref);
        for (unsigned i = 1; i <= b->n_slot_tables; i++) {
            lua_rawgeti(L, -1, (int)i);
            lua_pushnil(L);
            lua_rawseti(L, -2, slot);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    ASSERT(b->n_free_slots < b->n_slots, "a slot is released once");
    b->free_slots[b->n_free_slots++] = slot;
}

// ---- threads ----

static void on_timer_unset(io_timer_t *t)
{
    (void)t;
    UNREACHABLE("a thread's timer is armed without a function");
}

static void on_defer_unset(io_defer_t *d)
{
    (void)d;
    UNREACHABLE("a thread's defer is armed without a function");
}

static thread_t *thread_new(bridge_t *b)
{
    thread_t *t = mem_zalloc(sizeof *t);
    list_init(&t->links);
    t->co = lua_newthread(b->L);
    t->ref = luaL_ref(b->L, LUA_REGISTRYINDEX);
    io_timer_init(&t->timer, b->worker->loop, on_timer_unset);
    io_defer_init(&t->defer, on_defer_unset);
    return t;
}

static void thread_free(bridge_t *b, thread_t *t)
{
    luaL_unref(b->L, LUA_REGISTRYINDEX, t->ref);
    free(t);
}

static thread_t *thread_acquire(task_t *task)
{
    bridge_t *b = task->bridge;
    thread_t *t;
    if (list_empty(&b->pool)) {
        t = thread_new(b);
    } else {
        t = CONTAINER_OF(b->pool.next, thread_t, links);
        list_unlink(&t->links);
        b->pooled--;
    }
    t->task = task;
    t->state = THREAD_IDLE;
    t->ok = t->collected = false;
    t->waiter = NULL;
    t->serial = ++b->serial;
    list_push_back(&task->threads, &t->links);
    return t;
}

void thread_release(thread_t *t, bool recycle)
{
    bridge_t *b = t->task->bridge;
    ASSERT(!t->cancel, "a waiting thread must be cancelled before it is released");
    ASSERT(t->state != THREAD_RUNNING, "a running thread cannot be released");
    list_unlink(&t->links);
    t->task = NULL;
    t->state = THREAD_IDLE;
    if (!recycle || b->pooled >= POOL_MAX || lua_status(t->co) != 0) {
        thread_free(b, t);
        return;
    }
    lua_settop(t->co, 0);
    list_push_front(&b->pool, &t->links);
    b->pooled++;
}

thread_t *thread_create(task_t *task)
{
    return thread_acquire(task);
}

static void thread_cancel(thread_t *t)
{
    void (*cancel)(thread_t *) = t->cancel;
    t->cancel = NULL;
    if (cancel)
        cancel(t);
    t->op = NULL;
}

void thread_kill(thread_t *t)
{
    thread_cancel(t);
    if (t->state != THREAD_RUNNING)
        t->state = THREAD_DEAD;
}

static void cancel_defer(thread_t *t)
{
    io_defer_stop(&t->defer);
}

static void on_yield_over(io_defer_t *d)
{
    thread_t *t = CONTAINER_OF(d, thread_t, defer);
    thread_resume(t, 0);
}

// A plain coroutine.yield() at the bottom: go on at the end of this turn.
static void thread_yielded(thread_t *t)
{
    lua_settop(t->co, 0);
    t->cancel = cancel_defer;
    t->defer.fn = on_yield_over;
    io_defer_start(t->task->bridge->worker->loop, &t->defer);
}

static void log_failure(thread_t *t, const char *what)
{
    size_t n = 0;
    const char *text = lua_tolstring(t->co, -1, &n);
    const request_t *r = t->task->req;
    log_write(LOG_ERR, "[lua] %s: %.*s%s%s", what, (int)n, text ? text : "(no text)",
              r ? ", request_id: " : "", r ? r->id : "");
}

static void after_resume(thread_t *t, int rc)
{
    lua_State *co = t->co;
    if (rc == 0) {
        t->state = THREAD_ENDED;
        t->ok = true;
    } else if (rc != LUA_YIELD) {
        t->state = THREAD_DEAD;
        if (t != t->task->entry)
            log_failure(t, "light thread failed");
        else
            log_failure(t, "task failed");
    } else {
        const void *why = lua_touserdata(co, 1);
        t->state = THREAD_WAITING;
        if (why == &SENTINEL_WAIT)
            lua_settop(co, 0);
        else if (why != &SENTINEL_LEAVE)
            thread_yielded(t);
        ASSERT(t->cancel || why == &SENTINEL_LEAVE || t->task->leave,
               "a suspended thread has an operation that will resume it");
    }
}

void thread_run(thread_t *t, int nargs)
{
    task_t *task = t->task;
    bridge_t *b = task->bridge;
    ASSERT(t->state == THREAD_IDLE || t->state == THREAD_WAITING,
           "only a suspended thread runs");
    current_t saved = current_set(b, task, t);
    t->state = THREAD_RUNNING;
    task->running++;
    int rc = lua_resume(t->co, nargs);
    task->running--;
    current_restore(b, &saved);
    after_resume(t, rc);
}

// ---- waiting ----

// The level of who called a function of ngx.*: not our Lua behind it.
static int caller_level(lua_State *L)
{
    lua_Debug at;
    int level = 1;
    while (lua_getstack(L, level, &at) && lua_getinfo(L, "S", &at) &&
           strstr(at.source, "lualib/ngx/"))
        level++;
    return level;
}

thread_t *thread_check(lua_State *L)
{
    static const struct {
        uint32_t phase;
        const char *name;
    } NAMES[] = {
        {MG_PHASE_HEADER_FILTER, "header_filter_by_lua*"},
        {MG_PHASE_BODY_FILTER, "body_filter_by_lua*"},
        {MG_PHASE_LOG, "log_by_lua*"},
        {MG_PHASE_RESPONSE, "response"},
        {MG_PHASE_INIT_WORKER, "init_worker_by_lua*"},
    };
    bridge_t *b = bridge_self();
    if (b->thread)
        return b->thread;
    const char *name = "init_by_lua*";
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (b->state.phase == NAMES[i].phase)
            name = NAMES[i].name;
    luaL_where(L, caller_level(L));
    lua_pushfstring(L, "API disabled in the context of %s", name);
    lua_concat(L, 2);
    lua_error(L);
    return NULL;
}

int thread_wait(lua_State *L, void (*cancel)(thread_t *t), void *op)
{
    thread_t *t = bridge_self()->thread;
    ASSERT(t && t->state == THREAD_RUNNING, "only running Lua code can begin to wait");
    ASSERT(!t->cancel, "a thread waits for one thing");
    t->cancel = cancel;
    t->op = op;
    lua_settop(L, 0);
    lua_pushlightuserdata(L, &SENTINEL_WAIT);
    return lua_yield(L, 1);
}

int task_leave(lua_State *L, leave_t how)
{
    bridge_t *b = bridge_self();
    ASSERT(b->thread, "only a chain can be left");
    b->task->leave = how;
    lua_settop(L, 0);
    lua_pushlightuserdata(L, &SENTINEL_LEAVE);
    return lua_yield(L, 1);
}

// ---- tasks ----

task_t *task_begin(bridge_t *b, request_t *req, uint32_t phase)
{
    task_t *t = mem_zalloc(sizeof *t);
    t->bridge = b;
    t->req = req;
    t->serial = ++b->task_serial;
    t->phase = phase;
    t->slot = slot_acquire(b);
    list_init(&t->threads);
    list_init(&t->sockets);
    list_init(&t->procs);
    list_init(&t->links);
    if (!req)
        list_push_back(&b->tasks, &t->links);
    return t;
}

task_t *task_of(bridge_t *b, request_t *r)
{
    if (!r->script)
        r->script = task_begin(b, r, 0);
    return r->script;
}

void task_kill(task_t *t)
{
    ASSERT(t->running == 0 && t->resuming == 0, "a running task cannot be killed");
    while (!list_empty(&t->threads)) {
        thread_t *th = CONTAINER_OF(t->threads.next, thread_t, links);
        bool ended = th->state == THREAD_ENDED;
        thread_kill(th);
        thread_release(th, ended);
    }
    t->entry = NULL;
    sockets_close(&t->sockets);
    procs_close(&t->procs);
}

void task_end(task_t *t)
{
    task_kill(t);
    slot_release(t->bridge, t->slot, t->slot_used);
    list_unlink(&t->links);
    free(t);
}

thread_t *task_enter(task_t *t)
{
    ASSERT(!t->entry, "a task has one entry thread at a time");
    t->entry = thread_acquire(t);
    t->leave = LEAVE_NOT;
    t->settled = false;
    return t->entry;
}

static bool threads_alive(const task_t *t)
{
    for (list_t *i = t->threads.next; i != &t->threads; i = i->next) {
        const thread_t *th = CONTAINER_OF(i, thread_t, links);
        if (th != t->entry && (th->state == THREAD_WAITING || th->state == THREAD_RUNNING))
            return true;
    }
    return false;
}

static script_result_t settle_leave(task_t *t)
{
    request_t *r = t->req;
    leave_t how = t->leave;
    task_kill(t);
    t->settled = true;
    t->leave = LEAVE_NOT;
    if (!r || how == LEAVE_STOP)
        return SCRIPT_DONE;
    if (r->finished || r->ended)
        return SCRIPT_RESPONDED;
    if (how == LEAVE_EXIT && r->head_sent)
        respond_end(r);
    else if (how == LEAVE_EXIT && t->exit_status == STATUS_CLOSE && t->exit_body.n == 0)
        respond_close(r, STATUS_CLOSE);
    else if (how == LEAVE_EXIT)
        respond_exit(r, t->exit_status, t->exit_body, t->exit_type);
    else if (how == LEAVE_ERROR)
        respond_refusal(r, t->exit_status, t->exit_body.p);
    return SCRIPT_RESPONDED;
}

// What has become of the chain. Not while it runs.
static script_result_t task_settle(task_t *t)
{
    if (t->leave)
        return settle_leave(t);
    // Somebody else has answered, or given up (a body that was refused, a client that went).
    if (t->req && (t->req->finished || t->req->ended)) {
        task_kill(t);
        t->settled = true;
        return SCRIPT_RESPONDED;
    }
    thread_t *e = t->entry;
    if (e->state == THREAD_WAITING)
        return SCRIPT_WAITING;
    bool ok = e->ok && lua_toboolean(e->co, 1);
    if (ok && threads_alive(t))
        return SCRIPT_WAITING;
    task_kill(t);
    t->settled = true;
    return ok ? SCRIPT_DONE : SCRIPT_FAILED;
}

static void task_over(task_t *t, script_result_t result);

script_result_t task_run(task_t *t, int nargs)
{
    request_t *r = t->req;
    if (r)
        request_hold(r);
    thread_run(t->entry, nargs);
    script_result_t result = task_settle(t);
    if (r)
        request_drop(r); // the caller holds it too
    else if (result != SCRIPT_WAITING)
        task_over(t, result);
    return result;
}

// The outcome of a chain that had waited, or of a timer's function.
static void task_over(task_t *t, script_result_t result)
{
    request_t *r = t->req;
    if (!r) {
        bridge_t *b = t->bridge;
        if (t->timer_id) {
            ASSERT(b->timers_running > 0, "each running timer is counted");
            b->timers_running--;
            stat_fixed_add(SF_TIMERS_RUNNING, -1);
        }
        hello_t *h = t->hello;
        bool sync = t->sync;
        task_end(t);
        if (h)
            h->script = NULL;
        if (h && !sync)
            hello_end(h, result == SCRIPT_DONE);
        return;
    }
    if (r->finished || r->ended)
        return;
    if (result == SCRIPT_DONE)
        request_after_plugins(r);
    else if (result == SCRIPT_FAILED)
        respond_error(r, 500, NULL);
}

void thread_resume(thread_t *th, int nargs)
{
    task_t *t = th->task;
    request_t *r = t->req;
    ASSERT(th->state == THREAD_WAITING, "only a waiting thread is resumed");
    th->cancel = NULL;
    th->op = NULL;
    if (r)
        request_hold(r);
    t->resuming++;
    thread_run(th, nargs);
    if (th != t->entry && !t->leave && (th->state == THREAD_ENDED || th->state == THREAD_DEAD))
        thread_notify(th);
    t->resuming--;
    // A thread resumed by its sibling, or by its sibling's end, leaves the outcome to whoever runs below.
    if (t->running == 0 && t->resuming == 0 && !t->settled) {
        script_result_t result = task_settle(t);
        if (result != SCRIPT_WAITING)
            task_over(t, result);
    }
    if (r)
        request_drop(r);
}

// Adds to the error on the top of the stack what on_error adds to others.
static void tell_where(bridge_t *b)
{
    lua_rawgeti(b->L, LUA_REGISTRYINDEX, b->on_error_ref);
    lua_insert(b->L, -2);
    if (lua_pcall(b->L, 1, 1, 0) != 0)
        ASSERT(lua_gettop(b->L) > 0, "a failed call leaves its error");
}

int task_call(task_t *t, uint32_t phase, int nargs, int nresults)
{
    bridge_t *b = t->bridge;
    lua_State *L = b->L;
    request_t *r = t->req;
    uint32_t before = t->phase;
    if (r)
        request_hold(r);
    int base = lua_gettop(L) - nargs;
    lua_rawgeti(L, LUA_REGISTRYINDEX, b->on_error_ref);
    lua_insert(L, base);
    uint32_t row = t->plugin_row; // of what waits meanwhile
    t->phase = phase;
    t->plugin_row = 0;
    current_t saved = current_set(b, t, NULL);
    int rc = lua_pcall(L, nargs, nresults, base);
    if (rc == LUA_ERRMEM || rc == LUA_ERRERR) // errors that no handler has seen
        tell_where(b);
    current_restore(b, &saved);
    t->phase = before;
    t->plugin_row = row;
    lua_remove(L, base);
    if (rc != 0) {
        size_t n = 0;
        const char *text = lua_tolstring(L, -1, &n);
        if (t->leave == LEAVE_NOT)
            log_write(LOG_ERR, "[lua] %.*s%s%s", (int)n, text ? text : "(error without text)",
                      r ? ", request_id: " : "", r ? r->id : "");
        lua_pop(L, 1);
    }
    if (r)
        request_drop(r);
    return rc == 0 ? 0 : -1;
}

// Native functions that wait: sleep, parking, light threads, the request's body; and what the runloop tells about the task.
// Not sockets nor timers. Invariant: each wait has a cancel function that leaves nothing armed.
#include "lua/bridge.h"

#include "base/check.h"
#include "base/err.h"

// ---- sleep ----

static void timer_cancel(thread_t *t)
{
    io_timer_stop(&t->timer);
}

static void on_sleep_over(io_timer_t *timer)
{
    thread_resume(CONTAINER_OF(timer, thread_t, timer), 0);
}

static uint64_t arg_ms(lua_State *L, int i)
{
    lua_Number s = luaL_checknumber(L, i);
    if (!(s >= 0) || s > 1e9)
        luaL_error(L, "invalid duration \"%f\"", s);
    return (uint64_t)(s * 1000 + 0.5);
}

static int l_sleep(lua_State *L)
{
    thread_t *t = thread_check(L);
    uint64_t ms = arg_ms(L, 1);
    t->timer.fn = on_sleep_over;
    io_timer_start(&t->timer, ms);
    return thread_wait(L, timer_cancel, NULL);
}

// ---- parking: a wait that other Lua code ends ----

static void park_cancel(thread_t *t)
{
    io_timer_stop(&t->timer);
    io_defer_stop(&t->defer);
}

static void on_park_timeout(io_timer_t *timer)
{
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    lua_pushnil(t->co);
    lua_pushliteral(t->co, "timeout");
    thread_resume(t, 2);
}

static void on_unpark(io_defer_t *d)
{
    thread_t *t = CONTAINER_OF(d, thread_t, defer);
    lua_pushboolean(t->co, 1);
    thread_resume(t, 1);
}

// A number that names this thread until it ends.
static int l_park_id(lua_State *L)
{
    lua_pushnumber(L, thread_check(L)->serial);
    return 1;
}

// park([timeout])
static int l_park(lua_State *L)
{
    thread_t *t = thread_check(L);
    if (!lua_isnoneornil(L, 1)) {
        t->timer.fn = on_park_timeout;
        io_timer_start(&t->timer, arg_ms(L, 1));
    }
    return thread_wait(L, park_cancel, NULL);
}

static thread_t *parked_in(list_t *threads, uint32_t serial)
{
    for (list_t *i = threads->next; i != threads; i = i->next) {
        thread_t *t = CONTAINER_OF(i, thread_t, links);
        if (t->serial == serial)
            return t->state == THREAD_WAITING && t->cancel == park_cancel ? t : NULL;
    }
    return NULL;
}

static thread_t *find_parked(bridge_t *b, uint32_t serial)
{
    for (list_t *i = b->tasks.next; i != &b->tasks; i = i->next) {
        thread_t *t = parked_in(&CONTAINER_OF(i, task_t, links)->threads, serial);
        if (t)
            return t;
    }
    list_t *requests = &b->worker->requests;
    for (list_t *i = requests->next; i != requests; i = i->next) {
        task_t *task = CONTAINER_OF(i, request_t, links)->script;
        thread_t *t = task ? parked_in(&task->threads, serial) : NULL;
        if (t)
            return t;
    }
    return NULL;
}

// unpark(id): its thread goes on at the end of this turn. false when it does not wait any more.
static int l_unpark(lua_State *L)
{
    bridge_t *b = bridge_self();
    thread_t *t = find_parked(b, (uint32_t)luaL_checknumber(L, 1));
    bool found = t && !t->defer.pending;
    if (found) {
        io_timer_stop(&t->timer);
        t->defer.fn = on_unpark;
        io_defer_start(b->worker->loop, &t->defer);
    }
    lua_pushboolean(L, found);
    return 1;
}

// ---- light threads ----

// Lua holds a thread as the userdata of its serial, so that an old handle cannot reach a recycled one.
static thread_t *find_thread(task_t *task, uint32_t serial)
{
    for (list_t *i = task->threads.next; i != &task->threads; i = i->next) {
        thread_t *t = CONTAINER_OF(i, thread_t, links);
        if (t->serial == serial)
            return t;
    }
    return NULL;
}

// spawn(fn, ...): runs it until it first waits; its handle.
static int l_spawn(lua_State *L)
{
    thread_check(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    task_t *task = bridge_self()->task;
    thread_t *t = thread_create(task);
    uint32_t serial = t->serial;
    int nargs = lua_gettop(L) - 1;
    if (!lua_checkstack(t->co, nargs + 1))
        return luaL_error(L, "too many arguments");
    lua_xmove(L, t->co, nargs + 1);
    thread_run(t, nargs);
    if (task->leave)
        return task_leave(L, task->leave);
    lua_pushnumber(L, serial);
    return 1;
}

// Pushes ok, results... of an ended thread on `to` and gives the thread back; the count.
static int collect(thread_t *t, lua_State *to)
{
    bool ok = t->ok;
    int n = ok ? lua_gettop(t->co) : 1;
    t->collected = true;
    t->waiter = NULL;
    luaL_checkstack(to, n + 1, "too many results");
    lua_pushboolean(to, ok);
    if (lua_gettop(t->co) < n)
        lua_pushnil(t->co);
    lua_xmove(t->co, to, n);
    thread_release(t, ok);
    return n + 1;
}

static void forget_waiter(task_t *task, const thread_t *waiter)
{
    for (list_t *i = task->threads.next; i != &task->threads; i = i->next) {
        thread_t *t = CONTAINER_OF(i, thread_t, links);
        if (t->waiter == waiter)
            t->waiter = NULL;
    }
}

static void wait_cancel(thread_t *t)
{
    forget_waiter(t->task, t);
}

void thread_notify(thread_t *t)
{
    thread_t *waiter = t->waiter;
    if (!waiter)
        return;
    forget_waiter(t->task, waiter);
    int n = collect(t, waiter->co);
    thread_resume(waiter, n);
}

static bool ended(const thread_t *t)
{
    return t->state == THREAD_ENDED || t->state == THREAD_DEAD;
}

// wait(t1, ...): ok, results... of the first that has ended; nil, why for an unknown one.
static int l_wait(lua_State *L)
{
    thread_t *self = thread_check(L);
    task_t *task = self->task;
    int n = lua_gettop(L), known = 0;
    for (int i = 1; i <= n; i++) {
        thread_t *t = find_thread(task, (uint32_t)luaL_checknumber(L, i));
        if (t && ended(t))
            return collect(t, L);
        if (t && t != self && !t->waiter)
            known++;
    }
    if (known == 0)
        return push_error(L, "already waited or killed");
    for (int i = 1; i <= n; i++) {
        thread_t *t = find_thread(task, (uint32_t)lua_tonumber(L, i));
        if (t && t != self && !t->waiter)
            t->waiter = self;
    }
    return thread_wait(L, wait_cancel, NULL);
}

static int l_kill(lua_State *L)
{
    thread_t *self = thread_check(L);
    thread_t *t = find_thread(self->task, (uint32_t)luaL_checknumber(L, 1));
    if (!t || ended(t))
        return push_error(L, "already waited or killed");
    bool awaited = t->waiter && t->waiter != self; // by its parent, who would never go on
    if (t->state == THREAD_RUNNING || t == self->task->entry || awaited)
        return push_error(L, "killer not parent");
    thread_kill(t);
    thread_release(t, false);
    lua_pushboolean(L, 1);
    return 1;
}

// ---- body ----

static int push_body_result(lua_State *L, int err)
{
    if (err == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return push_error(L, err_text(err));
}

static thread_t *body_waiter(const request_t *r)
{
    const task_t *task = r->script;
    if (!task)
        return NULL;
    for (list_t *i = task->threads.next; i != &task->threads; i = i->next) {
        thread_t *t = CONTAINER_OF(i, thread_t, links);
        if (t->op == r && t->cancel)
            return t;
    }
    return NULL;
}

static void on_body(request_t *r, int err)
{
    thread_t *t = body_waiter(r);
    if (t)
        thread_resume(t, push_body_result(t->co, err));
}

static void body_cancel(thread_t *t)
{
    t->task->req->on_body = NULL;
}

// read_body([max_bytes])
static int l_read_body(lua_State *L)
{
    request_t *r = request_check(L);
    lua_Number max = luaL_optnumber(L, 1, 0);
    body_t *body = &r->body;
    if (body->err)
        return push_body_result(L, body->err);
    bool collects = body->mode == BODY_HELD || body->mode == BODY_COLLECT;
    if (!collects)
        return push_error(L, "the request's body has gone on already");
    if (r->on_body)
        return push_error(L, "another thread reads the body");
    if (body->complete && (max <= 0 || (double)body->received <= max)) {
        request_read_body(r, 0, on_body);
        return push_body_result(L, body->err);
    }
    thread_check(L);
    request_read_body(r, max > 0 ? (uint64_t)max : 0, on_body);
    if (!r->on_body)
        return push_body_result(L, body->err);
    return thread_wait(L, body_cancel, r);
}

// ---- the runloop's ----

// set_slot_tables(array of tables): those whose entry at a task's slot is cleared when the task ends.
static int l_set_slot_tables(lua_State *L)
{
    bridge_t *b = bridge_self();
    luaL_checktype(L, 1, LUA_TTABLE);
    b->n_slot_tables = (unsigned)lua_objlen(L, 1);
    lua_settop(L, 1);
    b->slots_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int l_set_phase(lua_State *L)
{
    bridge_self()->state.phase = (uint32_t)luaL_checknumber(L, 1);
    return 0;
}

const luaL_Reg native_wait[] = {
    {"sleep", l_sleep},
    {"park", l_park},
    {"park_id", l_park_id},
    {"unpark", l_unpark},
    {"spawn", l_spawn},
    {"wait", l_wait},
    {"kill", l_kill},
    {"read_body", l_read_body},
    {"set_slot_tables", l_set_slot_tables},
    {"set_phase", l_set_phase},
    {NULL, NULL},
};

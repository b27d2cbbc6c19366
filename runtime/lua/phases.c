// The phases as core asks for them: finds the chain that the runloop made for a route and runs it, the access chain in a
// coroutine, the others on the main state. Not what a chain is (lualib/runloop) nor how it waits (co.c).
// Invariant: a generation's chains are found by route index; the last index is "no route".
#include "lua/bridge.h"

#include "base/check.h"
#include "base/log.h"
#include "core/respond.h"

static const char *const CHAIN_NAMES[CHAIN_COUNT] = {
    "certificate", "access", "balancer", "response", "header_filter", "body_filter", "log"};

// ---- installing a generation ----

static void forget(bridge_t *b, script_generation_t *s)
{
    bridge_t *active = bridge_enter(b);
    lua_rawgeti(b->L, LUA_REGISTRYINDEX, s->forget_ref);
    if (lua_pcall(b->L, 0, 0, 0) != 0) {
        log_write(LOG_ERR, "[lua] forgetting generation %llu: %s",
                  (unsigned long long)s->number, lua_tostring(b->L, -1));
        lua_pop(b->L, 1);
    }
    for (int i = 0; i < CHAIN_COUNT; i++)
        luaL_unref(b->L, LUA_REGISTRYINDEX, s->chains_ref[i]);
    luaL_unref(b->L, LUA_REGISTRYINDEX, s->compile_ref);
    luaL_unref(b->L, LUA_REGISTRYINDEX, s->forget_ref);
    bridge_leave(b, active);
}

static void script_generation_free(void *script)
{
    script_generation_t *s = script;
    bridge_t *b = s->bridge;
    if (b)
        forget(b, s);
    list_unlink(&s->links);
    free(s);
    if (b && b->retired && list_empty(&b->generations))
        bridge_end_soon(b);
}

void phases_close(bridge_t *b)
{
    while (!list_empty(&b->generations)) {
        script_generation_t *s = CONTAINER_OF(b->generations.next, script_generation_t, links);
        list_unlink(&s->links);
        s->bridge = NULL;
    }
}

static int ref_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

// The table that install returned is on the top of the stack; stays there.
static script_generation_t *script_generation_new(bridge_t *b, const generation_t *g)
{
    script_generation_t *s = mem_zalloc(sizeof *s);
    s->bridge = b;
    s->number = g->number;
    for (int i = 0; i < CHAIN_COUNT; i++)
        s->chains_ref[i] = ref_field(b->L, CHAIN_NAMES[i]);
    s->compile_ref = ref_field(b->L, "compile");
    s->forget_ref = ref_field(b->L, "forget");
    list_init(&s->links);
    list_push_back(&b->generations, &s->links);
    return s;
}

// arg: the main state with the table `phases` (name -> mask) on the top.
static uint32_t phases_of(void *arg, str_t name)
{
    lua_State *L = arg;
    lua_pushlstring(L, name.p, name.n);
    lua_rawget(L, -2);
    uint32_t mask = (uint32_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return mask;
}

static void run_start(bridge_t *b)
{
    task_t *t = task_begin(b, NULL, PHASE_INIT_WORKER);
    thread_t *th = task_enter(t);
    lua_rawgeti(b->L, LUA_REGISTRYINDEX, b->run_ref);
    lua_rawgeti(b->L, LUA_REGISTRYINDEX, b->start_ref);
    lua_xmove(b->L, th->co, 2);
    task_run(t, 1);
}

int phases_install(bridge_t *b, generation_t *g, char *why, size_t why_cap)
{
    lua_State *L = b->L;
    int top = lua_gettop(L);
    ASSERT(!g->script, "a generation is installed once");
    b->installing = g;
    lua_rawgeti(L, LUA_REGISTRYINDEX, b->on_error_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, b->install_ref);
    lua_pushnumber(L, (double)g->number);
    int rc = lua_pcall(L, 1, 2, top + 1);
    if (rc != 0 || !lua_istable(L, -2)) {
        size_t n = 0;
        const char *text = lua_tolstring(L, -1, &n);
        snprintf(why, why_cap, "%.*s", (int)n, text ? text : "plugins could not be loaded");
        lua_settop(L, top);
        b->installing = NULL;
        return -1;
    }
    lua_pop(L, 1);
    g->script = script_generation_new(b, g);
    g->script_free = script_generation_free;
    lua_getfield(L, -1, "phases");
    generation_set_phases(g, phases_of, L);
    lua_settop(L, top);
    // init_worker and configure of the plugins see the new entities.
    run_start(b);
    b->installing = NULL;
    return 0;
}

// ---- finding a chain ----

// The state of the generation that the request began with.
static bridge_t *bridge_of(const request_t *r)
{
    const script_generation_t *s = r->gen->script;
    return s ? s->bridge : bridge_self();
}

static const generation_t *generation_of(const task_t *t)
{
    return t->req ? t->req->gen : t->hello->gen;
}

static int route_index(const task_t *t)
{
    const route_t *route = t->req ? t->req->route : NULL;
    return (int)(route ? route->index : generation_of(t)->n_routes) + 1;
}

// Pushes the chain's function: 1. 0 (nothing pushed): no plugin takes part. -1: it could not be made (logged): the request must
// fail, for the plugin that is missing may be the one that keeps strangers out.
static int push_chain(task_t *t, chain_t chain)
{
    const script_generation_t *s = generation_of(t)->script;
    lua_State *L = t->bridge->L;
    if (!s)
        return 0;
    int index = route_index(t);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->chains_ref[chain]);
    lua_rawgeti(L, -1, index);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->compile_ref);
        lua_pushinteger(L, index);
        if (task_call(t, 0, 1, 0) != 0) {
            lua_pop(L, 1);
            return -1;
        }
        lua_rawgeti(L, -1, index);
    }
    lua_remove(L, -2);
    if (lua_isfunction(L, -1))
        return 1;
    int rc = lua_isboolean(L, -1) ? 0 : -1;
    lua_pop(L, 1);
    return rc;
}

// ---- phases ----

script_result_t phases_enter_certificate(hello_t *h)
{
    const script_generation_t *s = h->gen->script;
    bridge_t *b = s ? s->bridge : NULL;
    if (!b)
        return SCRIPT_DONE;
    task_t *t = task_begin(b, NULL, PHASE_CERTIFICATE);
    t->hello = h;
    int pushed = push_chain(t, CHAIN_CERTIFICATE);
    if (pushed <= 0) {
        task_end(t);
        return pushed == 0 ? SCRIPT_DONE : SCRIPT_FAILED;
    }
    h->script = t;
    t->sync = true;
    thread_t *th = task_enter(t);
    lua_rawgeti(th->co, LUA_REGISTRYINDEX, b->run_ref);
    lua_xmove(b->L, th->co, 1);
    lua_pushinteger(th->co, t->slot);
    script_result_t result = task_run(t, 2);
    if (result == SCRIPT_WAITING)
        t->sync = false;
    return result;
}

void phases_abort_certificate(hello_t *h)
{
    task_t *t = h->script;
    ASSERT(t && t->hello == h, "a handshake that waits has its task");
    h->script = NULL;
    task_end(t);
}

script_result_t phases_enter_access(request_t *r)
{
    bridge_t *b = bridge_of(r);
    task_t *t = task_of(b, r);
    if (r->phases & PHASE_RESPONSE)
        r->buffering = true;
    t->phase = PHASE_ACCESS;
    t->plugin_row = 0;
    int pushed = push_chain(t, CHAIN_ACCESS);
    if (pushed <= 0)
        return pushed == 0 ? SCRIPT_DONE : SCRIPT_FAILED;
    thread_t *th = task_enter(t);
    lua_State *co = th->co;
    lua_rawgeti(co, LUA_REGISTRYINDEX, b->run_ref);
    lua_xmove(b->L, co, 1);
    lua_pushinteger(co, t->slot);
    return task_run(t, 2);
}

// An exit in a phase that may not wait: the response phase answers anew; header_filter changes status and body.
static script_result_t after_call(task_t *t, uint32_t phase, int rc)
{
    request_t *r = t->req;
    leave_t how = t->leave;
    t->leave = LEAVE_NOT;
    if (r->finished)
        return SCRIPT_RESPONDED;
    if (phase == PHASE_RESPONSE && (how == LEAVE_EXIT || how == LEAVE_ERROR)) {
        if (how == LEAVE_EXIT)
            respond_exit(r, t->exit_status, t->exit_body, t->exit_type);
        else
            respond_refusal(r, t->exit_status, t->exit_body.p);
        return SCRIPT_RESPONDED;
    }
    return rc == 0 || how ? SCRIPT_DONE : SCRIPT_FAILED;
}

static chain_t chain_of(uint32_t phase)
{
    return phase == PHASE_BALANCER        ? CHAIN_BALANCER
           : phase == PHASE_RESPONSE      ? CHAIN_RESPONSE
           : phase == PHASE_HEADER_FILTER ? CHAIN_HEADER_FILTER
           : phase == PHASE_BODY_FILTER   ? CHAIN_BODY_FILTER
                                          : CHAIN_LOG;
}

script_result_t phases_enter(request_t *r, uint32_t phase)
{
    ASSERT(phase == PHASE_BALANCER || phase == PHASE_RESPONSE || phase == PHASE_HEADER_FILTER ||
               phase == PHASE_LOG,
           "only phases that do not wait are entered so");
    bridge_t *b = bridge_of(r);
    task_t *t = task_of(b, r);
    int pushed = push_chain(t, chain_of(phase));
    if (pushed <= 0)
        return pushed == 0 ? SCRIPT_DONE : SCRIPT_FAILED;
    lua_pushinteger(b->L, t->slot);
    request_hold(r);
    int rc = task_call(t, phase, 1, 0);
    script_result_t result = after_call(t, phase, rc);
    request_drop(r);
    return result;
}

script_result_t phases_body_filter(request_t *r, str_t chunk, bool *eof, str_t *out)
{
    bridge_t *b = bridge_of(r);
    task_t *t = task_of(b, r);
    *out = chunk;
    if (t->has_exit) {
        // header_filter answered in the response's stead: its body goes out once.
        chunk = t->exit_sent ? STR("") : t->exit_body;
        t->exit_sent = true;
        *out = chunk;
    }
    if (t->filter_ended) {
        *out = STR("");
        return SCRIPT_DONE;
    }
    int pushed = push_chain(t, CHAIN_BODY_FILTER);
    if (pushed <= 0)
        return pushed == 0 ? SCRIPT_DONE : SCRIPT_FAILED;
    b->chunk = chunk;
    b->chunk_eof = *eof;
    lua_pushinteger(b->L, t->slot);
    int rc = task_call(t, PHASE_BODY_FILTER, 1, 0);
    *out = b->chunk;
    b->chunk = STR("");
    *eof = t->filter_ended = b->chunk_eof;
    return rc == 0 ? SCRIPT_DONE : SCRIPT_FAILED;
}

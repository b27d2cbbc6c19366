// Timers: tasks without a request. C keeps only when; the function and its arguments are Lua's (lualib/abi/wait.lua).
// Invariant: at most TIMERS_MAX are pending; at the end each pending one runs once with premature true.
#include "lua/bridge.h"

#include "base/check.h"
#include "base/log.h"
#include "core/stats.h"

enum { TIMERS_MAX = 1024, RUNNING_MAX = 256 };

typedef struct lua_timer {
    list_t links; // bridge->timers
    bridge_t *bridge;
    uint64_t id;
    uint64_t period_ms;  // 0: once
    uint32_t plugin_row; // whose it is
    io_timer_t timer;
} lua_timer_t;

static void timer_free(lua_timer_t *lt)
{
    io_timer_stop(&lt->timer);
    list_unlink(&lt->links);
    ASSERT(lt->bridge->timers_pending > 0, "each pending timer is counted");
    lt->bridge->timers_pending--;
    stat_fixed_add(SF_TIMERS_PENDING, -1);
    free(lt);
}

static void run(bridge_t *b, uint64_t id, uint32_t plugin_row, bool premature)
{
    task_t *t = task_begin(b, NULL, PHASE_TIMER);
    thread_t *th = task_enter(t);
    t->timer_id = id;
    t->plugin_row = plugin_row;
    b->timers_running++;
    stat_fixed_add(SF_TIMERS_RUNNING, 1);
    lua_State *co = th->co;
    lua_rawgeti(co, LUA_REGISTRYINDEX, b->run_ref);
    lua_rawgeti(co, LUA_REGISTRYINDEX, b->timer_main_ref);
    lua_pushnumber(co, (double)id);
    lua_pushboolean(co, premature);
    task_run(t, 3);
}

static void on_due(io_timer_t *timer)
{
    lua_timer_t *lt = CONTAINER_OF(timer, lua_timer_t, timer);
    bridge_t *b = lt->bridge;
    uint64_t id = lt->id;
    uint32_t plugin_row = lt->plugin_row;
    if (b->timers_running >= RUNNING_MAX) {
        log_write(LOG_ALERT, "[lua] %u lua_max_running_timers are not enough",
                  (unsigned)RUNNING_MAX);
        io_timer_start(timer, lt->period_ms ? lt->period_ms : 10);
        return;
    }
    if (lt->period_ms)
        io_timer_start(timer, lt->period_ms);
    else
        timer_free(lt);
    run(b, id, plugin_row, false);
}

// timer_start(id, delay_s, repeat) -> true | nil, why
static int l_timer_start(lua_State *L)
{
    bridge_t *b = bridge_self();
    lua_Number id = luaL_checknumber(L, 1), delay = luaL_checknumber(L, 2);
    bool repeats = lua_toboolean(L, 3);
    if (!(delay >= 0) || delay > 1e9)
        return luaL_error(L, "invalid delay");
    if (repeats && delay < 0.001)
        return luaL_error(L, "delay must be greater than zero");
    if (b->closing || (b->worker->stopping && delay > 0))
        return push_error(L, "process exiting");
    if (b->timers_pending >= TIMERS_MAX)
        return push_error(L, "too many pending timers");
    lua_timer_t *lt = mem_zalloc(sizeof *lt);
    lt->bridge = b;
    lt->plugin_row = *b->plugin_row;
    lt->id = (uint64_t)id;
    lt->period_ms = repeats ? (uint64_t)(delay * 1000 + 0.5) : 0;
    list_init(&lt->links);
    list_push_back(&b->timers, &lt->links);
    b->timers_pending++;
    stat_fixed_add(SF_TIMERS_PENDING, 1);
    io_timer_init(&lt->timer, b->worker->loop, on_due);
    io_timer_start(&lt->timer, (uint64_t)(delay * 1000 + 0.5));
    lua_pushboolean(L, 1);
    return 1;
}

static int l_timer_counts(lua_State *L)
{
    const bridge_t *b = bridge_self();
    lua_pushnumber(L, b->timers_pending);
    lua_pushnumber(L, b->timers_running);
    return 2;
}

static int l_set_timer_main(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    bridge_self()->timer_main_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

void timers_finish(bridge_t *b)
{
    // What these begin is not among them: a function that starts itself anew would never end.
    for (unsigned n = b->timers_pending; n > 0 && !list_empty(&b->timers); n--) {
        lua_timer_t *lt = CONTAINER_OF(b->timers.next, lua_timer_t, links);
        uint64_t id = lt->id;
        uint32_t plugin_row = lt->plugin_row;
        timer_free(lt);
        run(b, id, plugin_row, true);
    }
}

const luaL_Reg native_timer[] = {
    {"timer_start", l_timer_start},
    {"timer_counts", l_timer_counts},
    {"set_timer_main", l_set_timer_main},
    {NULL, NULL},
};

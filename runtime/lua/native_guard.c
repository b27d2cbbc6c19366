// What the runloop needs to keep plugins from hurting others: rows of the quarantine, functions that are never compiled, and whether the
// code that runs has been stopped. Not the stopping (watchdog.c, heap.c).
#include "lua/bridge.h"

#include "base/check.h"
#include "core/quarantine.h"

uint32_t *mg_plugin_running(void)
{
    return bridge_self()->plugin_row;
}

const uint32_t *mg_plugin_off(void)
{
    return quarantine_off();
}

// quarantine_row(name) -> row, 0 when there is no room
static int l_quarantine_row(lua_State *L)
{
    uint32_t row = quarantine_row(arg_str(L, 1));
    ASSERT(row < QUARANTINE_ROWS, "a row is one of the table");
    lua_pushnumber(L, row);
    return 1;
}

static int call_plain(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

// plain(fn) -> a function that does the same, and never as part of compiled code: there memory can be refused (heap.c).
static int l_plain(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushcclosure(L, call_plain, 1);
    return 1;
}

// stopped() -> true while what runs is being ended by the watchdog
static int l_stopped(lua_State *L)
{
    lua_pushboolean(L, bridge_self()->stop != STOP_NOT);
    return 1;
}

const luaL_Reg native_guard[] = {
    {"quarantine_row", l_quarantine_row},
    {"plain", l_plain},
    {"stopped", l_stopped},
    {NULL, NULL},
};

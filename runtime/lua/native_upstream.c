// Native functions about the health of Upstreams' targets (lualib/abi/upstream.lua). Cold: core/upstream_health.h does the work.
// Invariant: the configuration asked is the one in use, not the current request's: health is of now.
#include "lua/bridge.h"

#include "base/check.h"
#include "core/upstream_health.h"
#include "lua/script.h"

// The Upstream of that name or id in use, or NULL with nil and a text pushed.
static const upstream_t *find(lua_State *L, str_t name)
{
    ASSERT(worker_self->gen, "a configuration is in use when plugins run");
    const upstream_t *u = upstream_health_find(worker_self, name);
    if (!u) {
        lua_pushnil(L);
        lua_pushfstring(L, "no Upstream is named '%s'", name.p);
    }
    return u;
}

// upstream_health(name[, summary]) -> JSON text | nil, why
static int l_upstream_health(lua_State *L)
{
    const upstream_t *u = find(L, arg_str(L, 1));
    buf_t out = {0};
    if (!u)
        return 2;
    if (lua_toboolean(L, 2))
        upstream_health_summary(worker_self, u, &out);
    else
        upstream_health_json(worker_self, u, &out);
    push_str(L, buf_str(&out));
    buf_dispose(&out);
    return 1;
}

// upstream_set_health(name, target, address | nil, healthy) -> true | nil, why
static int l_upstream_set_health(lua_State *L)
{
    str_t target = arg_str(L, 2), address = arg_str_opt(L, 3);
    luaL_checktype(L, 4, LUA_TBOOLEAN);
    const upstream_t *u = find(L, arg_str(L, 1));
    const char *why = NULL;
    if (!u)
        return 2;
    if (upstream_health_set(worker_self, u, target, address, lua_toboolean(L, 4), &why) != 0)
        return push_error(L, why);
    lua_pushboolean(L, 1);
    return 1;
}

// upstream_metrics(whether): /metrics shows the health of targets.
static int l_upstream_metrics(lua_State *L)
{
    worker_self->tells_targets = lua_toboolean(L, 1);
    return 0;
}

const luaL_Reg native_upstream[] = {
    {"upstream_health", l_upstream_health},
    {"upstream_set_health", l_upstream_set_health},
    {"upstream_metrics", l_upstream_metrics},
    {NULL, NULL},
};

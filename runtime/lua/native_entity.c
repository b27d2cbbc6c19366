// Native functions that read a generation's entities, by kind and index, as JSON text. Decoding and caching are Lua's
// (lualib/abi/route.lua). Invariant: the generation asked is the current request's, else the one in use.
#include "lua/bridge.h"

#include "base/check.h"
#include "http/json.h"
#include "lua/loader_yaml.h"

generation_t *current_generation(void)
{
    bridge_t *b = bridge_self();
    if (b->installing)
        return b->installing;
    const request_t *r = current_request();
    return r ? r->gen : b->worker->gen;
}

typedef enum kind {
    KIND_SERVICE,
    KIND_ROUTE,
    KIND_UPSTREAM,
    KIND_CONSUMER,
    KIND_CREDENTIAL,
    KIND_PLUGIN
} kind_t;

static kind_t arg_kind(lua_State *L, int i)
{
    static const char *const NAMES[] = {"service",    "route",  "upstream", "consumer",
                                        "credential", "plugin", NULL};
    return (kind_t)luaL_checkoption(L, i, NULL, NAMES);
}

static generation_t *check_generation(lua_State *L)
{
    generation_t *g = current_generation();
    if (!g)
        luaL_error(L, "no configuration is in use yet");
    return g;
}

static int l_generation(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)check_generation(L)->number);
    return 1;
}

static int l_generation_hash(lua_State *L)
{
    lua_pushstring(L, check_generation(L)->hash);
    return 1;
}

static uint32_t count_of(const generation_t *g, kind_t kind)
{
    switch (kind) {
    case KIND_SERVICE:
        return g->n_services;
    case KIND_ROUTE:
        return g->n_routes;
    case KIND_UPSTREAM:
        return g->n_upstreams;
    case KIND_CONSUMER:
        return g->n_consumers;
    case KIND_CREDENTIAL:
        return g->n_credentials;
    case KIND_PLUGIN:
        return g->n_plugins;
    }
    UNREACHABLE("a kind of entity");
}

typedef struct entity_text {
    str_t id, json;
} entity_text_t;

static entity_text_t text_of(const generation_t *g, kind_t kind, uint32_t i)
{
    switch (kind) {
    case KIND_SERVICE:
        return (entity_text_t){g->services[i].id, g->services[i].json};
    case KIND_ROUTE:
        return (entity_text_t){g->routes[i].id, g->routes[i].json};
    case KIND_UPSTREAM:
        return (entity_text_t){g->upstreams[i].id, g->upstreams[i].json};
    case KIND_CONSUMER:
        return (entity_text_t){g->consumers[i].id, g->consumers[i].json};
    case KIND_CREDENTIAL:
        return (entity_text_t){g->credentials[i].id, g->credentials[i].json};
    case KIND_PLUGIN:
        return (entity_text_t){g->plugins[i].id, g->plugins[i].json};
    }
    UNREACHABLE("a kind of entity");
}

// Arguments 1 and 2: kind and index. False when there is no such entity.
static bool arg_entity(lua_State *L, const generation_t *g, kind_t *kind, uint32_t *i)
{
    *kind = arg_kind(L, 1);
    lua_Number index = luaL_checknumber(L, 2);
    if (!(index >= 0 && index < count_of(g, *kind)))
        return false;
    *i = (uint32_t)index;
    return true;
}

static int l_entity_count(lua_State *L)
{
    lua_pushnumber(L, count_of(check_generation(L), arg_kind(L, 1)));
    return 1;
}

// entity(kind, index) -> JSON text[, consumer's id for a credential]
static int l_entity(lua_State *L)
{
    const generation_t *g = check_generation(L);
    kind_t kind;
    uint32_t i;
    if (!arg_entity(L, g, &kind, &i))
        return 0;
    push_str(L, text_of(g, kind, i).json);
    if (kind != KIND_CREDENTIAL)
        return 1;
    push_str(L, g->consumers[g->credentials[i].consumer].id);
    return 2;
}

static void set_scope(lua_State *L, const char *name, int32_t index)
{
    if (index < 0)
        return;
    lua_pushnumber(L, index);
    lua_setfield(L, -2, name);
}

// plugin(index) -> {enabled, name, id, instance_name, route, service, consumer, consumer_group (indexes), protocols, config and ordering (JSON text)}
static int l_plugin(lua_State *L)
{
    const generation_t *g = check_generation(L);
    lua_Number index = luaL_checknumber(L, 1);
    if (!(index >= 0 && index < g->n_plugins))
        return 0;
    const plugin_t *p = &g->plugins[(uint32_t)index];
    lua_createtable(L, 0, 13);
    lua_pushboolean(L, p->enabled);
    lua_setfield(L, -2, "enabled");
    push_str(L, p->name);
    lua_setfield(L, -2, "name");
    push_str(L, p->id);
    lua_setfield(L, -2, "id");
    if (p->instance_name.n) {
        push_str(L, p->instance_name);
        lua_setfield(L, -2, "instance_name");
    }
    push_str(L, p->config);
    lua_setfield(L, -2, "config");
    if (json_value_type(p->ordering) == JSON_OBJECT) {
        push_str(L, p->ordering);
        lua_setfield(L, -2, "ordering");
    }
    lua_pushnumber(L, p->protocols);
    lua_setfield(L, -2, "protocols");
    set_scope(L, "route", p->route);
    set_scope(L, "service", p->service);
    set_scope(L, "consumer", p->consumer);
    set_scope(L, "consumer_group", p->consumer_group);
    return 1;
}

// route_info(index) -> service's index or nil, protocols; nothing past the last route.
static int l_route_info(lua_State *L)
{
    const generation_t *g = check_generation(L);
    lua_Number index = luaL_checknumber(L, 1);
    if (!(index >= 0 && index < g->n_routes))
        return 0;
    const route_t *r = &g->routes[(uint32_t)index];
    if (r->service)
        lua_pushnumber(L, r->service->index);
    else
        lua_pushnil(L);
    lua_pushnumber(L, r->protocols);
    return 2;
}

// find_consumer(id or username[, by custom_id]) -> index
static int l_find_consumer(lua_State *L)
{
    const generation_t *g = check_generation(L);
    str_t name = arg_str(L, 1);
    const consumer_t *c =
        lua_toboolean(L, 2) ? consumer_find_custom_id(g, name) : consumer_find(g, name);
    if (!c)
        return 0;
    lua_pushnumber(L, (lua_Number)(c - g->consumers));
    return 1;
}

static int l_find_entity(lua_State *L)
{
    const generation_t *g = check_generation(L);
    kind_t kind = arg_kind(L, 1);
    str_t name = arg_str(L, 2);
    ptrdiff_t index = -1;
    if (kind == KIND_SERVICE) {
        const service_t *s = service_find(g, name);
        index = s ? s - g->services : -1;
    } else if (kind == KIND_ROUTE) {
        const route_t *r = route_find(g, name);
        index = r ? r - g->routes : -1;
    } else if (kind == KIND_UPSTREAM) {
        const upstream_t *u = upstream_find(g, name);
        index = u ? u - g->upstreams : -1;
    }
    if (index < 0)
        return 0;
    lua_pushnumber(L, (lua_Number)index);
    return 1;
}

static int l_raw_entities(lua_State *L)
{
    static const char *const NAMES[] = {
        "consumer_groups", "vaults", "ca_certificates", "certificates", "daos", "sets", "code",
        "secrets",         NULL};
    const generation_t *g = check_generation(L);
    const str_t texts[] = {g->consumer_groups_json,
                           g->vaults_json,
                           g->ca_certificates_json,
                           g->certificates_json,
                           g->daos_json,
                           g->sets_json,
                           g->code_json,
                           g->secrets_json};
    str_t text = texts[luaL_checkoption(L, 1, NULL, NAMES)];
    push_str(L, text.n ? text : STR("[]"));
    return 1;
}

// entity_list(name) -> JSON array of the entities of a kind that only Lua reads
static int l_entity_list(lua_State *L)
{
    const generation_t *g = check_generation(L);
    str_t list;
    bool found = g->entities_json.n && json_get(g->entities_json, arg_str(L, 1), &list);
    ASSERT(!found || json_value_type(list) == JSON_ARRAY, "lists of entities are arrays");
    push_str(L, found ? list : STR("[]"));
    return 1;
}

// entity_id(kind, index) -> id[, kind and index of the consumer, for a credential]: what indexes are made of, without decoding
static int l_entity_id(lua_State *L)
{
    const generation_t *g = check_generation(L);
    kind_t kind;
    uint32_t i;
    if (!arg_entity(L, g, &kind, &i))
        return 0;
    push_str(L, text_of(g, kind, i).id);
    if (kind != KIND_CREDENTIAL)
        return 1;
    push_str(L, g->credentials[i].kind);
    lua_pushnumber(L, g->credentials[i].consumer);
    return 3;
}

const luaL_Reg native_entity[] = {
    {"generation", l_generation},
    {"generation_hash", l_generation_hash},
    {"entity_count", l_entity_count},
    {"entity", l_entity},
    {"plugin", l_plugin},
    {"route_info", l_route_info},
    {"find_consumer", l_find_consumer},
    {"find_entity", l_find_entity},
    {"raw_entities", l_raw_entities},
    {"entity_list", l_entity_list},
    {"entity_id", l_entity_id},
    {"parse_yaml", loader_parse_yaml},
    {NULL, NULL},
};

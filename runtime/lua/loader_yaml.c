// A YAML tree as Lua tables; see loader_yaml.h. A value named by several aliases becomes a table for each.
// Invariant: the C tree is freed even when Lua runs out of memory (it hangs on a userdata).
#include "lua/loader_yaml.h"

#include <lauxlib.h>

#include "base/check.h"
#include "config/yaml.h"

enum { LIST_MT = 2 }; // index of the argument

typedef struct tree_box {
    yaml_tree_t *tree;
} tree_box_t;

static int free_tree(lua_State *L)
{
    tree_box_t *box = lua_touserdata(L, 1);
    if (box->tree)
        yaml_tree_destroy(box->tree);
    box->tree = NULL;
    return 0;
}

static tree_box_t *push_box(lua_State *L)
{
    tree_box_t *box = lua_newuserdata(L, sizeof *box);
    box->tree = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_tree);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return box;
}

static void push_position(lua_State *L, uint32_t line, uint32_t column)
{
    lua_createtable(L, 2, 0);
    lua_pushinteger(L, (lua_Integer)line);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, (lua_Integer)column);
    lua_rawseti(L, -2, 2);
}

static void push_value(lua_State *L, const yaml_value_t *value, int positions);

// Registers the table on top as positions[value table]; leaves both on the stack: the value, its positions.
static void push_places(lua_State *L, int positions, uint32_t n_array, uint32_t n_hash)
{
    lua_createtable(L, (int)n_array, (int)n_hash);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, positions);
}

static void push_list(lua_State *L, const yaml_value_t *value, int positions)
{
    uint32_t n = value->list.n;
    lua_createtable(L, (int)n, 0);
    lua_pushvalue(L, LIST_MT);
    lua_setmetatable(L, -2);
    push_places(L, positions, n, 0);
    for (uint32_t i = 0; i < n; i++) {
        const yaml_value_t *element = value->list.v[i];
        push_value(L, element, positions);
        lua_rawseti(L, -3, (int)i + 1);
        push_position(L, element->line, element->column);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pop(L, 1);
}

static void push_map(lua_State *L, const yaml_value_t *value, int positions)
{
    uint32_t n = value->map.n;
    lua_createtable(L, 0, (int)n);
    push_places(L, positions, 0, n);
    for (uint32_t i = 0; i < n; i++) {
        const yaml_pair_t *pair = &value->map.v[i];
        lua_pushlstring(L, pair->key.p, pair->key.n);
        push_value(L, pair->value, positions);
        lua_rawset(L, -4);
        lua_pushlstring(L, pair->key.p, pair->key.n);
        push_position(L, pair->line, pair->column);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
}

static void push_value(lua_State *L, const yaml_value_t *value, int positions)
{
    luaL_checkstack(L, 8, "a configuration nested too deeply");
    switch (value->kind) {
    case YAML_VALUE_NULL:
        lua_pushlightuserdata(L, NULL);
        return;
    case YAML_VALUE_BOOL:
        lua_pushboolean(L, value->boolean);
        return;
    case YAML_VALUE_NUMBER:
        lua_pushnumber(L, value->number);
        return;
    case YAML_VALUE_STRING:
        lua_pushlstring(L, value->text.p, value->text.n);
        return;
    case YAML_VALUE_LIST:
        push_list(L, value, positions);
        return;
    case YAML_VALUE_MAP:
        push_map(L, value, positions);
        return;
    }
    UNREACHABLE("every kind of value is handled");
}

int loader_parse_yaml(lua_State *L)
{
    str_t text;
    yaml_error_t err;
    text.p = luaL_checklstring(L, 1, &text.n);
    luaL_checktype(L, LIST_MT, LUA_TTABLE);
    tree_box_t *box = push_box(L);
    if (yaml_parse(text, &box->tree, &err) != 0) {
        lua_pushnil(L);
        lua_createtable(L, 0, 3);
        if (err.line) {
            lua_pushinteger(L, (lua_Integer)err.line);
            lua_setfield(L, -2, "line");
            lua_pushinteger(L, (lua_Integer)err.column);
            lua_setfield(L, -2, "column");
        }
        lua_pushstring(L, err.why);
        lua_setfield(L, -2, "message");
        return 2;
    }
    lua_newtable(L);
    int positions = lua_gettop(L);
    push_value(L, box->tree->root, positions);
    yaml_tree_destroy(box->tree);
    box->tree = NULL;
    lua_insert(L, positions);
    return 2;
}

// parse_yaml for the loader's Lua state; private to loader.c.
#pragma once

#include <lua.h>

// Lua: parse_yaml(text, list_mt) -> tree, positions; or nil, { line =, column =, message = }. positions[table][key] =
// { line, column }. null is cjson.null; lists get the metatable list_mt.
int loader_parse_yaml(lua_State *L);

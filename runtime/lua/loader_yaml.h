// parse_yaml for Lua: the configuration loader's state, and workers' for documents inside configurations.
#pragma once

#include <lua.h>

// Lua: parse_yaml(text, list_mt) -> tree, positions; or nil, { line =, column =, message = }. positions[table][key] =
// { line, column }. null is cjson.null; lists get the metatable list_mt.
int loader_parse_yaml(lua_State *L);

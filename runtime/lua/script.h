// LuaJIT as core's scripting language: what main hands to worker_run.
#pragma once

#include "core/script.h"

extern const script_t script_lua;

// The directory that holds lualib/, plugins/ and runtime/abi.h. Borrowed for the life of the process; call it before worker_run.
void lua_set_share(const char *dir);
const char *lua_share(void);
// Which Lua this is, for people.
const char *lua_engine(void);

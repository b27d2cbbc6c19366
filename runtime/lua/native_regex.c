#include "lua/bridge.h"
const luaL_Reg native_regex[] = {{NULL, NULL}};

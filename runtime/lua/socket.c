#include "lua/bridge.h"
const luaL_Reg native_socket[] = {{NULL, NULL}};
const luaL_Reg native_udp[] = {{NULL, NULL}};
void socket_open_types(lua_State *L) {(void)L;}
void udp_open_type(lua_State *L) {(void)L;}
void sockets_close(list_t *l) {(void)l;}
void socket_pools_close(bridge_t *b) {(void)b;}

// Native functions of who keeps a volume of configuration (lualib/remote): the directory, what is in it, another content.
// They write to the disk in place: rare, small, in one worker. Not reading it (config/volume.h, loader_files.c).
#include "lua/bridge.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "config/volume.h"
#include "core/config_state.h"

enum { FILES_MAX = 4096 };

// remote_dir() -> the directory that settings_load put behind config_paths for config_redis
static int l_remote_dir(lua_State *L)
{
    char path[PATH_MAX];
    settings_remote_dir(worker_self->settings, path);
    lua_pushstring(L, path);
    return 1;
}

// volume_content(dir) -> its label, nil: none was ever written
static int l_volume_content(lua_State *L)
{
    char target[NAME_MAX + 1];
    int n = volume_target(luaL_checkstring(L, 1), target, sizeof target);
    if (n <= 2)
        return 0;
    lua_pushlstring(L, target + 2, (size_t)n - 2); // behind the two dots
    return 1;
}

// The table at `index` as a list; its strings stay Lua's. The number of files, or -1: a key or value is no string.
static int take_files(lua_State *L, int index, volume_file_t *files, size_t cap)
{
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (n == cap || lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
            lua_pop(L, 2);
            return -1;
        }
        files[n++] = (volume_file_t){.name = arg_str(L, -2), .text = arg_str(L, -1)};
    }
    return (int)n;
}

// volume_replace(dir, label, {name = text}) -> true | nil, why
static int l_volume_replace(lua_State *L)
{
    const char *dir = luaL_checkstring(L, 1), *label = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_argcheck(L, label[0] && !strchr(label, '/'), 2, "one name expected");
    volume_file_t *files = mem_alloc(FILES_MAX * sizeof *files);
    char why[PATH_MAX] = "";
    int n = take_files(L, 3, files, FILES_MAX);
    int rc = n < 0 ? -1 : volume_replace(dir, label, files, (size_t)n, why);
    free(files);
    if (n < 0)
        return push_error(L, "at most 4096 files, names and texts as strings");
    if (rc != 0)
        return push_error(L, why);
    lua_pushboolean(L, 1);
    return 1;
}

// list_directory(path) -> names without a leading dot, in no order; nil, why
static int l_list_directory(lua_State *L)
{
    DIR *dir = opendir(luaL_checkstring(L, 1));
    if (!dir)
        return push_error(L, strerror(errno));
    lua_newtable(L);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++n);
    }
    closedir(dir);
    return 1;
}

// configuration() -> hash in use, was the last attempt taken, its problems, one a line
static int l_configuration(lua_State *L)
{
    config_state_t s;
    config_state_get(&s);
    lua_pushstring(L, s.hash);
    lua_pushboolean(L, s.attempt_ok || s.attempt_ms == 0); // the first is still to come
    lua_pushstring(L, s.error);
    return 3;
}

const luaL_Reg native_volume[] = {
    {"configuration", l_configuration},   {"list_directory", l_list_directory},
    {"remote_dir", l_remote_dir},         {"volume_content", l_volume_content},
    {"volume_replace", l_volume_replace}, {NULL, NULL},
};

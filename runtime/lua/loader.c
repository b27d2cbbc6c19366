// Runs the Lua loader in a fresh state; see loader.h. lualib/config/host.lua is its other half: it finds modules and
// plugin schemas, and calls moongate.config.loader.
#include "lua/loader.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <dirent.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/router.h"
#include "lua/loader_files.h"
#include "lua/loader_yaml.h"
#include "lua/script.h"

typedef struct run {
    const loader_input_t *in;
    const source_files_t *files;
    loader_result_t *out;
} run_t;

// Lua: check_regex(pattern) -> true, or nil and PCRE's message.
static int check_regex(lua_State *L)
{
    str_t text;
    char why[200] = "";
    text.p = luaL_checklstring(L, 1, &text.n);
    if (router_check_regex(text, why, sizeof why) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

// Lua: list_directory(path) -> list of names without a leading dot, in byte order; empty when there is no such directory.
static int list_directory(lua_State *L)
{
    struct dirent **entries = NULL;
    int n = scandir(luaL_checkstring(L, 1), &entries, NULL, alphasort);
    int at = 0;
    lua_newtable(L);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            lua_pushstring(L, entries[i]->d_name);
            lua_rawseti(L, -2, ++at);
        }
        free(entries[i]);
    }
    free(entries);
    return 1;
}

static void push_strings(lua_State *L, const str_t *list, uint32_t n)
{
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        lua_pushlstring(L, list[i].p, list[i].n);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

// What host.lua gets: { share, plugin_dirs, config_paths, lua_path, parse_yaml, check_regex, list_directory }.
static void push_native(lua_State *L, const loader_input_t *in)
{
    const settings_t *s = in->settings;
    lua_newtable(L);
    lua_pushstring(L, in->share);
    lua_setfield(L, -2, "share");
    push_strings(L, s->plugin_dirs, s->n_plugin_dirs);
    lua_setfield(L, -2, "plugin_dirs");
    push_strings(L, s->config_paths, s->n_config_paths);
    lua_setfield(L, -2, "config_paths");
    lua_pushlstring(L, s->lua_path.p ? s->lua_path.p : "", s->lua_path.n);
    lua_setfield(L, -2, "lua_path");
    lua_pushcfunction(L, loader_parse_yaml);
    lua_setfield(L, -2, "parse_yaml");
    lua_pushcfunction(L, check_regex);
    lua_setfield(L, -2, "check_regex");
    lua_pushcfunction(L, list_directory);
    lua_setfield(L, -2, "list_directory");
}

static void push_sources(lua_State *L, const source_files_t *files)
{
    lua_createtable(L, (int)files->n, 0);
    for (size_t i = 0; i < files->n; i++) {
        str_t text = buf_str(&files->v[i].text);
        lua_createtable(L, 0, 2);
        lua_pushstring(L, files->v[i].name);
        lua_setfield(L, -2, "file");
        lua_pushlstring(L, text.p, text.n);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static uint32_t field_count(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    uint32_t n = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return n;
}

// Copies host.lua's { document, problems, errors, warnings } out of the state.
static void take_result(lua_State *L, int table, loader_result_t *out)
{
    str_t text;
    lua_getfield(L, table, "problems");
    text.p = luaL_checklstring(L, -1, &text.n);
    buf_append(&out->problems, text);
    out->errors += field_count(L, table, "errors");
    out->warnings += field_count(L, table, "warnings");
    lua_getfield(L, table, "document");
    if (out->errors == 0) {
        text.p = luaL_checklstring(L, -1, &text.n);
        buf_append(&out->document, text);
    }
    lua_pop(L, 2);
}

static int run_protected(lua_State *L)
{
    run_t *run = lua_touserdata(L, 1);
    lua_settop(L, 0);
    luaL_openlibs(L);
    lua_pushfstring(L, "%s/lualib/config/host.lua", run->in->share);
    if (luaL_loadfile(L, lua_tostring(L, -1)) != 0)
        return lua_error(L);
    push_native(L, run->in);
    push_sources(L, run->files);
    lua_call(L, 2, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    take_result(L, lua_gettop(L), run->out);
    return 0;
}

static int add_traceback(lua_State *L)
{
    const char *text = lua_tostring(L, 1);
    luaL_traceback(L, L, text ? text : "(an error that is no text)", 1);
    return 1;
}

static void run_lua(run_t *run)
{
    lua_State *L = luaL_newstate();
    if (!L) {
        loader_error(run->out, "no memory for the configuration loader");
        return;
    }
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, run);
    if (lua_pcall(L, 1, 0, 1) != 0) {
        const char *text = lua_tostring(L, -1);
        loader_error(run->out,
                     "the configuration loader failed (a bug, not a mistake of the files): %s",
                     text ? text : "no memory");
    }
    lua_close(L);
}

int loader_run(const loader_input_t *in, loader_result_t *out)
{
    ASSERT(in->settings && in->share, "the loader needs the settings and the share directory");
    source_files_t files = {0};
    *out = (loader_result_t){0};
    source_files_read(in->settings, &files, out);
    run_t run = {.in = in, .files = &files, .out = out};
    if (out->errors == 0)
        run_lua(&run);
    source_files_dispose(&files);
    if (out->errors)
        buf_clear(&out->document);
    ASSERT(out->errors || out->document.n, "without errors there is a document");
    return out->errors ? -1 : 0;
}

void loader_result_dispose(loader_result_t *r)
{
    buf_dispose(&r->document);
    buf_dispose(&r->problems);
}

int loader_load(const settings_t *s, buf_t *document, buf_t *problems)
{
    loader_input_t in = {.settings = s, .share = lua_share()};
    loader_result_t result;
    int rc = loader_run(&in, &result);
    buf_append(document, buf_str(&result.document));
    buf_append(problems, buf_str(&result.problems));
    loader_result_dispose(&result);
    return rc;
}

// Runs the Lua loader in a fresh state; see loader.h. lualib/config/host.lua is its other half: it finds modules and
// plugin schemas, and calls moongate.config.loader.
#include "lua/loader.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "config/router.h"
#include "core/dicts.h"
#include "http/json.h"
#include "io/crypto.h"
#include "lua/bridge.h"
#include "lua/loader_files.h"
#include "lua/loader_yaml.h"
#include "lua/script.h"

enum { TRIES_MAX = 6, SECRET_MAX = 1 << 20, SECRETS_MAX = 1024 };

typedef struct secret {
    char *path;
    char digest[65]; // "missing" when it cannot be read
} secret_t;

typedef struct run {
    const loader_input_t *in;
    volumes_t *volumes;
    source_files_t files, code;
    secret_t *secrets;
    uint32_t n_secrets;
    loader_result_t *out;
} run_t;

static run_t *run_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// ---- secrets in files ----

static secret_t *secret_add(run_t *run, str_t path)
{
    for (uint32_t i = 0; i < run->n_secrets; i++) {
        if (str_eq(str_from(run->secrets[i].path), path))
            return &run->secrets[i];
    }
    if (run->n_secrets == SECRETS_MAX)
        return NULL;
    run->secrets = mem_realloc(run->secrets, (run->n_secrets + 1) * sizeof *run->secrets);
    secret_t *s = &run->secrets[run->n_secrets++];
    *s = (secret_t){.path = strndup(path.p, path.n), .digest = "missing"};
    ASSERT(s->path != NULL, "out of memory");
    return s;
}

// 0 or an errno; text is appended to.
static int secret_read(run_t *run, str_t path, buf_t *text)
{
    secret_t *s = secret_add(run, path);
    int fd = s ? volumes_open(run->volumes, s->path, 0) : -EMFILE;
    if (fd < 0) {
        run->files.late |= s && volumes_holds(run->volumes, s->path);
        return -fd;
    }
    int error = source_read_fd(fd, SECRET_MAX, text);
    close(fd);
    if (error == 0)
        source_digest(buf_str(text), s->digest);
    return error;
}

// Lua: read_secret(path) -> text, or nil and why. The file belongs to the configuration from now on: when it changes, so does that.
static int read_secret(lua_State *L)
{
    buf_t text = {0};
    str_t path;
    path.p = luaL_checklstring(L, 1, &path.n);
    int error = secret_read(run_of(L), path, &text);
    if (error) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(error));
    } else {
        lua_pushlstring(L, buf_str(&text).p, text.n);
        lua_pushnil(L);
    }
    buf_dispose(&text);
    return 2;
}

// ---- what everything that was read comes to ----

static void digest_code(const run_t *run, char out[65])
{
    buf_t all = {0};
    for (size_t i = 0; i < run->code.n; i++)
        buf_printf(&all, "%s %s\n", run->code.v[i].key, run->code.v[i].digest);
    source_digest(buf_str(&all), out);
    buf_dispose(&all);
}

static void digest_all(const run_t *run, char out[65])
{
    buf_t all = {0};
    char code[65];
    for (size_t i = 0; i < run->files.n; i++)
        buf_printf(&all, "%s %s\n", run->files.v[i].name, run->files.v[i].digest);
    digest_code(run, code);
    buf_printf(&all, "code %s\n", code);
    for (uint32_t i = 0; i < run->n_secrets; i++)
        buf_printf(&all, "%s %s\n", run->secrets[i].path, run->secrets[i].digest);
    source_digest(buf_str(&all), out);
    buf_dispose(&all);
}

static void write_facts(const run_t *run)
{
    char content[65];
    digest_all(run, content);
    buf_printf(&run->out->facts, "content %s\nfiles %zu\n", content,
               run->files.none ? 0 : run->files.n);
    for (uint32_t i = 0; i < run->n_secrets; i++)
        buf_printf(&run->out->facts, "secret %s\n", run->secrets[i].path);
}

// Reads the secrets that the last load read, and compares.
static bool is_known(run_t *run, str_t known)
{
    str_t name, value, rest = known, content = facts_get(known, STR("content"));
    char now[65];
    while (facts_next(&rest, &name, &value)) {
        buf_t text = {0};
        if (str_eq(name, STR("secret")))
            secret_read(run, value, &text);
        buf_dispose(&text);
    }
    digest_all(run, now);
    return str_eq(content, str_from(now));
}

static void forget_secrets(run_t *run)
{
    for (uint32_t i = 0; i < run->n_secrets; i++)
        free(run->secrets[i].path);
    free(run->secrets);
    run->secrets = NULL;
    run->n_secrets = 0;
}

// ---- Lua ----

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

// Lua: sha1(bytes) -> hexadecimal.
static int sha1(lua_State *L)
{
    unsigned char bytes[DIGEST_MAX];
    char hex[2 * DIGEST_MAX + 1];
    str_t text;
    text.p = luaL_checklstring(L, 1, &text.n);
    size_t n = crypto_digest("sha1", text, bytes);
    for (size_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    lua_pushlstring(L, hex, 2 * n);
    return 1;
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

static bool is_text(str_t s)
{
    buf_t escaped = {0};
    json_error_t err;
    buf_putc(&escaped, '"');
    for (size_t i = 0; i < s.n; i++)
        buf_putc(&escaped, s.p[i] == '"' || s.p[i] == '\\' || (unsigned char)s.p[i] < 0x20
                               ? ' '
                               : s.p[i]);
    buf_putc(&escaped, '"');
    bool valid = json_validate(buf_str(&escaped), &err) == 0;
    buf_dispose(&escaped);
    return valid;
}

// { ["name/handler.lua"] = { path =, text = } }. What is no UTF-8 cannot travel in a document: workers read it themselves.
static void push_code(lua_State *L, const run_t *run)
{
    lua_createtable(L, 0, (int)run->code.n);
    for (size_t i = 0; i < run->code.n; i++) {
        const source_file_t *f = &run->code.v[i];
        str_t text = buf_str(&f->text);
        if (!is_text(text))
            continue;
        lua_createtable(L, 0, 2);
        lua_pushstring(L, f->name);
        lua_setfield(L, -2, "path");
        lua_pushlstring(L, text.p, text.n);
        lua_setfield(L, -2, "text");
        lua_setfield(L, -2, f->key);
    }
}

// The functions of moongate.native that need no worker, for guests' schemas (lualib/config/guest.lua).
static void push_pure(lua_State *L)
{
    static const luaL_Reg *const LISTS[] = {native_crypto, native_regex};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        for (const luaL_Reg *f = LISTS[i]; f->name; f++) {
            lua_pushcfunction(L, f->func);
            lua_setfield(L, -2, f->name);
        }
    }
    regex_open_type(L);
}

// { [name of a shared dictionary] = number }
typedef struct dict_names {
    lua_State *L; // the table is on top
    lua_Integer n;
} dict_names_t;

static void on_dict(void *arg, str_t name, uint64_t bytes)
{
    dict_names_t *names = arg;
    (void)bytes;
    lua_pushlstring(names->L, name.p, name.n);
    lua_pushinteger(names->L, names->n++);
    lua_rawset(names->L, -3);
}

static void push_dict_names(lua_State *L, const settings_t *s)
{
    dict_names_t names = {.L = L};
    lua_newtable(L);
    dicts_each(s, on_dict, &names);
}

// What host.lua gets: { share, plugin_dirs, config_paths, lua_path, code, code_hash, bare, admin, parse_yaml, check_regex, list_directory,
// read_secret, sha1, pure, dictionaries }.
static void push_native(lua_State *L, run_t *run)
{
    const loader_input_t *in = run->in;
    const settings_t *s = in->settings;
    char code_hash[65];
    lua_newtable(L);
    push_code(L, run);
    lua_setfield(L, -2, "code");
    digest_code(run, code_hash);
    lua_pushstring(L, code_hash);
    lua_setfield(L, -2, "code_hash");
    lua_pushboolean(L, in->bare);
    lua_setfield(L, -2, "bare");
    lua_pushboolean(L, s->n_admin_listen > 0 && s->master && !in->bare);
    lua_setfield(L, -2, "admin");
    lua_pushlightuserdata(L, run);
    lua_pushcclosure(L, read_secret, 1);
    lua_setfield(L, -2, "read_secret");
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
    lua_pushcfunction(L, sha1);
    lua_setfield(L, -2, "sha1");
    lua_pushcfunction(L, check_regex);
    lua_setfield(L, -2, "check_regex");
    lua_pushcfunction(L, list_directory);
    lua_setfield(L, -2, "list_directory");
    push_pure(L);
    lua_setfield(L, -2, "pure");
    push_dict_names(L, s);
    lua_setfield(L, -2, "dictionaries");
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

// Copies host.lua's { document, admin, problems, errors, warnings } out of the state.
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
    lua_getfield(L, table, "admin");
    text.p = lua_tolstring(L, -1, &text.n);
    if (out->errors == 0 && text.p)
        buf_append(&out->admin, text);
    lua_pop(L, 3);
}

static int run_protected(lua_State *L)
{
    run_t *run = lua_touserdata(L, 1);
    lua_settop(L, 0);
    luaL_openlibs(L);
    lua_pushfstring(L, "%s/lualib/config/host.lua", run->in->share);
    if (luaL_loadfile(L, lua_tostring(L, -1)) != 0)
        return lua_error(L);
    push_native(L, run);
    push_sources(L, &run->files);
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

// One state of all files, or LOAD_CHANGING.
static load_outcome_t read_everything(run_t *run)
{
    if (run->in->posted.p)
        source_files_add(&run->files, "the posted configuration", run->in->posted);
    else
        source_files_read(run->in->settings, run->volumes, &run->files, run->out);
    source_code_read(run->in, run->volumes, &run->code, run->out);
    return run->files.late || run->code.late || volumes_changed(run->volumes) ? LOAD_CHANGING
                                                                              : LOAD_DONE;
}

static load_outcome_t try_once(run_t *run, bool last)
{
    load_outcome_t outcome = read_everything(run);
    if (outcome == LOAD_CHANGING && !(last && run->out->errors))
        return outcome;
    if (run->in->known.n && is_known(run, run->in->known))
        return LOAD_UNCHANGED;
    forget_secrets(run);
    if (run->out->errors == 0)
        run_lua(run);
    // A secret that a swap took away meanwhile.
    if (run->files.late && run->out->errors && volumes_changed(run->volumes) && !last)
        return LOAD_CHANGING;
    write_facts(run);
    return run->out->errors ? LOAD_INVALID : LOAD_DONE;
}

static void run_dispose(run_t *run)
{
    source_files_dispose(&run->files);
    source_files_dispose(&run->code);
    forget_secrets(run);
    volumes_destroy(run->volumes);
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000};
    nanosleep(&t, NULL);
}

load_outcome_t loader_run(const loader_input_t *in, loader_result_t *out)
{
    ASSERT(in->settings && in->share, "the loader needs the settings and the share directory");
    *out = (loader_result_t){0};
    load_outcome_t outcome = LOAD_CHANGING;
    for (int i = 0; i < TRIES_MAX && outcome == LOAD_CHANGING; i++) {
        if (i > 0)
            pause_ms(2 << i);
        loader_result_dispose(out);
        run_t run = {.in = in, .volumes = volumes_create(), .out = out};
        outcome = try_once(&run, i == TRIES_MAX - 1);
        run_dispose(&run);
    }
    if (outcome != LOAD_DONE) {
        buf_clear(&out->document);
        buf_clear(&out->admin);
    }
    ASSERT(outcome != LOAD_DONE || out->document.n, "without errors there is a document");
    return outcome;
}

void loader_result_dispose(loader_result_t *r)
{
    buf_dispose(&r->document);
    buf_dispose(&r->admin);
    buf_dispose(&r->problems);
    buf_dispose(&r->facts);
    *r = (loader_result_t){0};
}

load_outcome_t loader_load(load_t *l)
{
    loader_input_t in = {.settings = l->settings,
                         .share = lua_share(),
                         .known = l->known,
                         .bare = l->bare,
                         .posted = l->posted};
    loader_result_t result;
    load_outcome_t outcome = loader_run(&in, &result);
    buf_append(&l->document, buf_str(&result.document));
    buf_append(&l->admin, buf_str(&result.admin));
    buf_append(&l->problems, buf_str(&result.problems));
    buf_append(&l->facts, buf_str(&result.facts));
    loader_result_dispose(&result);
    return outcome;
}

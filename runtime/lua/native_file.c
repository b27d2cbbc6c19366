// Native function of log plugins: a line for a file, gathered by the loop and written by a pool thread (core/access_log.c).
// Not what a line holds (core/record.c, the plugins).
// Invariants: nothing here waits for a disk but the first open of a path; at most FILES_MAX files are open, the one unused for the
// longest makes room; all close with the Lua state.
#include "lua/bridge.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/record.h"
#include "core/stats.h"

enum { FILES_MAX = 64, RETRY_US = 1000 * 1000 };

typedef struct file {
    char *path;
    size_t path_n;
    access_log_t *log; // NULL: could not be opened; asked for again at retry_us
    uint64_t retry_us, used_us;
} file_t;

// A userdata in the registry, so that closing the state closes the files.
typedef struct files {
    unsigned n;
    file_t v[FILES_MAX];
} files_t;

static const char FILES_KEY = 0;

static void close_file(file_t *f)
{
    if (f->log)
        access_log_close(f->log);
    free(f->path);
}

static int l_close(lua_State *L)
{
    files_t *files = lua_touserdata(L, 1);
    for (unsigned i = 0; i < files->n; i++)
        close_file(&files->v[i]);
    files->n = 0;
    return 0;
}

static files_t *files_of(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&FILES_KEY);
    lua_rawget(L, LUA_REGISTRYINDEX);
    files_t *files = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (files)
        return files;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&FILES_KEY);
    files = lua_newuserdata(L, sizeof *files);
    files->n = 0;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return files;
}

// Where a new file goes.
static file_t *free_place(files_t *files)
{
    if (files->n < FILES_MAX)
        return &files->v[files->n++];
    file_t *oldest = &files->v[0];
    for (unsigned i = 1; i < FILES_MAX; i++) {
        if (files->v[i].used_us < oldest->used_us)
            oldest = &files->v[i];
    }
    close_file(oldest);
    return oldest;
}

// The file of that path, made on first use.
static file_t *find_file(files_t *files, str_t path)
{
    for (unsigned i = 0; i < files->n; i++) {
        if (str_eq(str_make(files->v[i].path, files->v[i].path_n), path))
            return &files->v[i];
    }
    file_t *f = free_place(files);
    *f = (file_t){.path = mem_zalloc(path.n + 1), .path_n = path.n};
    memcpy(f->path, path.p, path.n);
    return f;
}

static void open_file(file_t *f, uint64_t now_us)
{
    if (now_us < f->retry_us)
        return;
    int err = 0;
    f->log = access_log_open(worker_self->loop, str_make(f->path, f->path_n), &err);
    if (!f->log) {
        f->retry_us = now_us + RETRY_US;
        log_write(LOG_ERR, "log %s cannot be opened: %s; lines are dropped", f->path,
                  err ? strerror(-err) : "not a file");
    }
}

// file_append(path, line[, follow]) -> true, or nil and why. follow: see access_log_follow.
static int l_file_append(lua_State *L)
{
    str_t path = arg_str(L, 1), line = arg_str(L, 2);
    luaL_argcheck(L, path.n > 0 && strlen(path.p) == path.n, 1, "path expected");
    file_t *f = find_file(files_of(L), path);
    f->used_us = clock_mono_us();
    if (!f->log)
        open_file(f, f->used_us);
    if (!f->log) {
        stat_fixed_add(SF_LOG_DROPPED, 1);
        return push_error(L, "cannot be opened");
    }
    if (lua_toboolean(L, 3))
        access_log_follow(f->log);
    if (!access_log_line(f->log, line))
        return push_error(L, "the disk does not keep up");
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg native_file[] = {
    {"file_append", l_file_append},
    {NULL, NULL},
};

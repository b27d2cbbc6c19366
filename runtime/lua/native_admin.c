// Native functions of the Admin API's process: what it asks of the master, what it says about the node, the file of its store.
// Not its routes (lualib/admin). Invariant: in any other process these say that they are not for it.
#include "lua/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/control.h"
#include "core/status.h"

enum { PATH_BYTES = 4096 };

static control_t *check_control(lua_State *L)
{
    if (!worker_self->admin || !worker_self->control)
        luaL_error(L, "this is not the process of the Admin API");
    return worker_self->control;
}

// ---- loading ----

static void load_cancel(thread_t *t)
{
    (void)t;
    if (worker_self->control)
        control_load_forget(worker_self->control);
}

static void on_loaded(void *arg, control_loaded_t how, const char *text)
{
    static const char *const NAMES[] = {"done", "unchanged", "refused", "busy"};
    thread_t *t = arg;
    ASSERT(how <= LOADED_BUSY, "the master answers with a known outcome");
    lua_pushstring(t->co, NAMES[how]);
    lua_pushstring(t->co, text);
    thread_resume(t, 2);
}

static int write_all(int fd, str_t s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -errno;
        s = str_from_at(s, (size_t)n);
    }
    return 0;
}

// A memory file of the text, or -errno.
static int memory_file(str_t text)
{
    int fd = memfd_create("moongate-posted", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : write_all(fd, text);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return rc;
}

// admin_load([text]) -> "done" | "unchanged" | "refused" | "busy", and what the master says. Without a text the files (or the store)
// are read again. Waits until every worker has taken it. nil, why when the master cannot be asked.
static int l_admin_load(lua_State *L)
{
    control_t *c = check_control(L);
    thread_t *t = thread_check(L);
    str_t text = arg_str_opt(L, 1);
    int fd = text.p ? memory_file(text) : -1;
    if (text.p && fd < 0)
        return push_error(L, strerror(-fd));
    int rc = control_load(c, fd, on_loaded, t);
    if (rc == 1) {
        lua_pushliteral(L, "busy");
        lua_pushliteral(L, "another configuration is being loaded");
        return 2;
    }
    if (rc != 0)
        return push_error(L, err_text(rc));
    return thread_wait(L, load_cancel, NULL);
}

// ---- the node ----

static int push_made(lua_State *L, void (*put)(worker_t *w, buf_t *b))
{
    buf_t out = {0};
    put(worker_self, &out);
    push_str(L, buf_str(&out));
    buf_dispose(&out);
    return 1;
}

static int l_status_json(lua_State *L)
{
    return push_made(L, status_put_json);
}

static int l_status_metrics(lua_State *L)
{
    return push_made(L, status_put_metrics);
}

// admin_set_level(name) -> true; nil, why
static int l_admin_set_level(lua_State *L)
{
    control_t *c = check_control(L);
    int level = log_level_parse(arg_str(L, 1));
    if (level < 0)
        return push_error(L, "no such level");
    int rc = control_set_level(c, (log_level_t)level);
    if (rc != 0)
        return push_error(L, err_text(rc));
    lua_pushboolean(L, 1);
    return 1;
}

static int l_log_level_name(lua_State *L)
{
    lua_pushstring(L, log_level_name(log_level()));
    return 1;
}

static void push_listeners(lua_State *L, const listen_setting_t *v, uint32_t n)
{
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 2);
        push_str(L, v[i].address);
        lua_setfield(L, -2, "address");
        lua_pushboolean(L, v[i].tls);
        lua_setfield(L, -2, "ssl");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

// proxy_listeners() -> {{address =, ssl =}, ...}
static int l_proxy_listeners(lua_State *L)
{
    const settings_t *s =
        worker_self->settings; // its own are changed places with them (master_admin.c)
    check_control(L);
    push_listeners(L, s->admin_listen, s->n_admin_listen);
    return 1;
}

// ---- the store ----

static int sync_directory(const char *path)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return 0;
    *slash = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fsync(fd) != 0 ? -errno : 0;
    close(fd);
    return rc;
}

// Written aside, flushed to the disk, put in place: a crash leaves the old file or the new one.
static int replace_file(const char *path, str_t text)
{
    char fresh[PATH_BYTES];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return -ENAMETOOLONG;
    unlink(fresh); // whoever left it there does not choose its mode
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, text);
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(fresh, path) != 0)
        rc = -errno;
    if (rc != 0)
        unlink(fresh);
    return rc == 0 ? sync_directory(path) : rc;
}

// file_replace(path, text) -> true; nil, why. Blocks: only where nobody is served meanwhile but the Admin API's clients.
static int l_file_replace(lua_State *L)
{
    luaL_argcheck(L, worker_self->admin, 1, "this is not the process of the Admin API");
    str_t path = arg_str(L, 1), text = arg_str(L, 2);
    luaL_argcheck(L, path.n > 0 && strlen(path.p) == path.n, 1, "path expected");
    int rc = replace_file(path.p, text);
    if (rc != 0)
        return push_error(L, strerror(-rc));
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg native_admin[] = {
    {"admin_load", l_admin_load},         {"admin_set_level", l_admin_set_level},
    {"log_level_name", l_log_level_name}, {"status_json", l_status_json},
    {"status_metrics", l_status_metrics}, {"proxy_listeners", l_proxy_listeners},
    {"file_replace", l_file_replace},     {NULL, NULL},
};

// Reading plugins' Lua files, so that all workers of a configuration run the code that was there when it was loaded.
// Not what a plugin is (lualib/runloop/handlers.lua). Invariant: names are those that lualib/config/host.lua and boot.lua look for.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "lua/loader_files.h"

enum { DEPTH_MAX = 5, CODE_FILE_MAX = 1 << 20 };

typedef struct walk {
    const loader_input_t *in;
    volumes_t *v;
    source_files_t *files;
    loader_result_t *out;
} walk_t;

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool has_key(const source_files_t *files, const char *key)
{
    for (size_t i = 0; i < files->n; i++) {
        if (strcmp(files->v[i].key, key) == 0)
            return true;
    }
    return false;
}

static void read_lua(walk_t *w, int fd, const char *path, const char *key)
{
    int error = source_files_take(w->files, fd, path, key, true);
    if (error == 0 && w->files->v[w->files->n - 1].text.n <= CODE_FILE_MAX)
        return;
    loader_error(w->out, "%s: cannot be read: %s", path, strerror(error ? error : EFBIG));
}

static void walk_plugin(walk_t *w, int dir_fd, const char *path, const char *key, int depth);

static void walk_entry(walk_t *w, int dir_fd, const char *path, const char *key,
                       const char *name, int depth)
{
    char full[PATH_MAX], inner[PATH_MAX];
    struct stat st;
    if (snprintf(full, sizeof full, "%s/%s", path, name) >= (int)sizeof full ||
        snprintf(inner, sizeof inner, "%s/%s", key, name) >= (int)sizeof inner)
        return;
    bool lua = str_ends(str_from(name), STR(".lua"));
    if (fstatat(dir_fd, name, &st, 0) != 0 || (!lua && !S_ISDIR(st.st_mode)) ||
        (lua && has_key(w->files, inner)))
        return;
    int fd = volumes_open_in(w->v, dir_fd, path, name, O_NONBLOCK, false);
    if (fd < 0) {
        w->files->late |= fd == -ENOENT || fd == -EACCES;
        loader_error(w->out, "%s: cannot be read: %s", full, strerror(-fd));
    } else if (lua) {
        read_lua(w, fd, full, inner);
    } else {
        walk_plugin(w, fd, full, inner, depth + 1);
    }
}

// dir_fd is taken.
static void walk_plugin(walk_t *w, int dir_fd, const char *path, const char *key, int depth)
{
    struct dirent **entries = NULL;
    int n = depth > DEPTH_MAX ? 0 : scandirat(dir_fd, ".", &entries, not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        walk_entry(w, dir_fd, path, key, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    close(dir_fd);
}

static bool is_plugin(int dir_fd)
{
    return faccessat(dir_fd, "handler.lua", F_OK, 0) == 0 ||
           faccessat(dir_fd, "schema.lua", F_OK, 0) == 0;
}

// dir_fd is taken. `loose`: a directory that may hold other things than plugins.
static void walk_plugins(walk_t *w, int dir_fd, const char *path, bool loose)
{
    struct dirent **entries = NULL;
    int n = scandirat(dir_fd, ".", &entries, not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char full[PATH_MAX];
        int fd = volumes_open_in(w->v, dir_fd, path, name, O_DIRECTORY, false);
        bool ours = fd >= 0 && (!loose || is_plugin(fd)) &&
                    snprintf(full, sizeof full, "%s/%s", path, name) < (int)sizeof full;
        if (ours)
            walk_plugin(w, fd, full, name, 0);
        else if (fd >= 0)
            close(fd);
        free(entries[i]);
    }
    free(entries);
    close(dir_fd);
}

static bool is_own(const walk_t *w, int fd)
{
    char own[PATH_MAX];
    struct stat a, b;
    snprintf(own, sizeof own, "%s/plugins", w->in->share);
    return stat(own, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static void walk_directory(walk_t *w, bool loose, str_t base, const char *tail)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%.*s%s", STR_FMT(base), tail) >= (int)sizeof path)
        return;
    int fd = volumes_open(w->v, path, O_DIRECTORY);
    if (fd >= 0 && !is_own(w, fd))
        walk_plugins(w, fd, path, loose);
    else if (fd >= 0)
        close(fd);
    else if (fd == -EACCES)
        loader_warning(w->out, "%s: warning: plugins there cannot be listed: %s", path,
                       strerror(EACCES));
}

static str_t parent_of(str_t path)
{
    for (size_t n = path.n; n > 0; n--) {
        if (path.p[n - 1] == '/')
            return str_make(path.p, n - 1);
    }
    return STR(".");
}

void source_code_read(const loader_input_t *in, volumes_t *v, source_files_t *files,
                      loader_result_t *out)
{
    const settings_t *s = in->settings;
    walk_t w = {.in = in, .v = v, .files = files, .out = out};
    ASSERT(files->n == 0, "code is read into a list of its own");
    for (uint32_t i = 0; i < s->n_plugin_dirs; i++) {
        walk_directory(&w, false, s->plugin_dirs[i], "/plugins");
        walk_directory(&w, false, s->plugin_dirs[i], "/kong/plugins");
        walk_directory(&w, true, s->plugin_dirs[i], "");
    }
    for (uint32_t i = 0; i < s->n_config_paths; i++) {
        str_t path = s->config_paths[i];
        walk_directory(&w, false, path, "/plugins");
        while (path.n > 1 && path.p[path.n - 1] == '/')
            path.n--;
        walk_directory(&w, false, parent_of(path), "/plugins");
    }
}

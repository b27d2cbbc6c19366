// Directories to watch, and how they look; see watch_set.h.
#include "core/watch_set.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/volume.h"

enum { DEPTH_MAX = 5 };

// ---- the set ----

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void add(watch_set_t *set, const char *dir, const char *name)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->v[i].dir, dir) == 0 && same_name(set->v[i].name, name))
            return;
    }
    if (set->n == WATCH_SET_MAX)
        return;
    if (set->n == set->cap) {
        set->cap = set->cap ? 2 * set->cap : 16;
        set->v = mem_realloc(set->v, set->cap * sizeof *set->v);
    }
    char *copy = strdup(dir), *only = name ? strdup(name) : NULL;
    ASSERT(copy && (only || !name), "out of memory");
    set->v[set->n++] = (watched_t){.dir = copy, .name = only, .wd = -1};
}

void watch_set_dispose(watch_set_t *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->v[i].dir);
        free(set->v[i].name);
    }
    free(set->v);
    *set = (watch_set_t){0};
}

// "a/b" -> "a" and "b"; "b" -> "." and "b"; "/b" -> "/" and "b". False for a path without a parent.
static bool split(const char *path, char dir[PATH_MAX], const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
        return false;
    size_t n = slash ? (size_t)(slash - path) : 1;
    snprintf(dir, PATH_MAX, "%.*s", (int)(n ? n : 1), slash ? path : ".");
    return true;
}

// The entry itself: that it appears, is replaced, goes. When its directory is not there either, that one's entry, and so on.
static void add_entry(watch_set_t *set, const char *path)
{
    char here[PATH_MAX], dir[PATH_MAX];
    const char *name;
    struct stat st;
    snprintf(here, sizeof here, "%s", path);
    while (split(here, dir, &name)) {
        bool there = stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
        if (there) {
            add(set, dir, name);
            return;
        }
        memmove(here, dir, strlen(dir) + 1);
    }
}

static void add_volume(watch_set_t *set, const char *path)
{
    char root[PATH_MAX];
    if (volume_root(path, root))
        add(set, root, NULL);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void watch_set_add_path(watch_set_t *set, const char *path)
{
    char real[PATH_MAX];
    add_entry(set, path);
    add_volume(set, path);
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, real))
        add_entry(set, real);
    if (is_directory(path))
        add(set, path, NULL);
}

// ---- plugins ----

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool holds(const char *dir, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

// Directories below; depth 0: plugins themselves, of a loose directory only those with a plugin's files.
static void add_below(watch_set_t *set, const char *dir, bool loose, int depth)
{
    struct dirent **entries = NULL;
    int n = depth > DEPTH_MAX ? 0 : scandir(dir, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        bool ours =
            snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name) < (int)sizeof path &&
            is_directory(path) &&
            (!loose || holds(path, "handler.lua") || holds(path, "schema.lua"));
        if (ours) {
            add(set, path, NULL);
            add_below(set, path, false, depth + 1);
        }
        free(entries[i]);
    }
    free(entries);
}

void watch_set_add_plugins(watch_set_t *set, const char *path, bool loose)
{
    add_entry(set, path);
    add_volume(set, path);
    if (!is_directory(path))
        return;
    add(set, path, NULL);
    add_below(set, path, loose, 0);
}

// ---- what matters ----

bool watched_cares(const watched_t *w, const char *name)
{
    str_t s = str_from(name);
    if (str_eq(s, STR("..data")))
        return true;
    if (w->name)
        return strcmp(w->name, name) == 0;
    return name[0] != '.' && !str_ends(s, STR("~")) && !str_ends(s, STR(".swp")) &&
           !str_ends(s, STR(".tmp")) && !str_ends(s, STR(".bak"));
}

static uint64_t mix(uint64_t sum, const void *p, size_t n)
{
    return str_hash(str_make(p, n), sum);
}

static uint64_t look(uint64_t sum, const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return sum;
    sum = mix(sum, name, strlen(name));
    if (stat(path, &st) != 0)
        return mix(sum, "gone", 4);
    const uint64_t facts[] = {st.st_ino,
                              st.st_dev,
                              S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size,
                              S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_mtim.tv_sec,
                              S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_mtim.tv_nsec,
                              S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_ctim.tv_sec,
                              S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_ctim.tv_nsec};
    return mix(sum, facts, sizeof facts);
}

static uint64_t look_at_all(uint64_t sum, const watched_t *w)
{
    struct dirent **entries = NULL;
    int n = scandir(w->dir, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (watched_cares(w, name))
            sum = look(sum, w->dir, name);
        free(entries[i]);
    }
    free(entries);
    return n < 0 ? mix(sum, "gone", 4) : sum;
}

uint64_t watch_set_signature(const watch_set_t *set)
{
    uint64_t sum = 0x77617463;
    char target[256];
    for (size_t i = 0; i < set->n; i++) {
        const watched_t *w = &set->v[i];
        sum = mix(sum, w->dir, strlen(w->dir));
        if (volume_target(w->dir, target, sizeof target) > 0)
            sum = mix(sum, target, strlen(target));
        sum = w->name ? look(sum, w->dir, w->name) : look_at_all(sum, w);
    }
    return sum;
}

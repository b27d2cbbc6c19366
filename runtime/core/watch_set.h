// Which directories to watch for a list of paths, and what in them matters; private to watcher.c.
#pragma once

#include "config/settings.h"

typedef struct watched {
    char *dir;  // owned
    char *name; // only entries of this name; owned; NULL: all but those that editors leave
    int wd;     // inotify's, -1: none
} watched_t;

typedef struct watch_set {
    watched_t *v;
    size_t n, cap;
} watch_set_t;

enum { WATCH_SET_MAX = 4096 };

// A path of the configuration: file, directory, volume, or nothing yet.
void watch_set_add_path(watch_set_t *set, const char *path);
// A directory that holds plugins (or nothing yet); `loose`: other things too.
void watch_set_add_plugins(watch_set_t *set, const char *path, bool loose);
void watch_set_dispose(watch_set_t *set);

// How everything in the set looks now: link targets, names, sizes, inodes, times.
uint64_t watch_set_signature(const watch_set_t *set);
// Does an event about this entry matter? Editors' files and hidden ones do not, but for a volume's.
bool watched_cares(const watched_t *w, const char *name);

// Reading a set of files as one state of them. A Kubernetes volume (a directory with a `..data` link) is pinned: everything below it is
// read through a descriptor of the generation that the link named first. Of plain files and directories it is remembered how they
// looked, so that a change meanwhile shows. Not watching (core/watcher.h).
// Invariant: a link inside a pinned volume or a directory never leads out of it.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

typedef struct volumes volumes_t;

volumes_t *volumes_create(void);
// Closes what is pinned; descriptors given out stay the caller's.
void volumes_destroy(volumes_t *v);

// Opens for reading. A descriptor (owned), or -errno.
int volumes_open(volumes_t *v, const char *path, int flags);
// Opens `name` in the directory that volumes_open gave for `path`; `beneath`: -EXDEV or -ELOOP when a link leads out of the directory.
// A descriptor (owned), or -errno.
int volumes_open_in(volumes_t *v, int dir_fd, const char *path, const char *name, int flags,
                    bool beneath);
// Has anything that was opened changed since? A volume: has it been swapped.
bool volumes_changed(const volumes_t *v);
// Is the path below a pinned volume? What is missing there may only be late.
bool volumes_holds(const volumes_t *v, const char *path);

// The nearest directory at or above `path` (as it is written, links not resolved) that holds a `..data` link: true, and its path.
bool volume_root(const char *path, char root[PATH_MAX]);
// What `..data` of a volume's root names: its length, or -errno.
int volume_target(const char *root, char *target, size_t cap);

// ---- writing one (volume_write.c) ----

typedef struct volume_file {
    str_t name, text; // name: relative, its directories are made
} volume_file_t;

// Makes the directory `root` hold exactly these files, in one step for whoever reads it through volumes_open: they are written to a
// directory `..LABEL` first, then `..data` is renamed onto it. 0, or -errno and what failed in `why`. Owner's eyes only (0700, 0600).
int volume_replace(const char *root, const char *label, const volume_file_t *files, size_t n,
                   char why[PATH_MAX]);

// Pinned volumes and remembered files; see volume.h.
#include "config/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

enum { TARGET_MAX = 256 };

typedef struct pinned {
    char *root;
    char target[TARGET_MAX];
    int fd;
} pinned_t;

typedef struct seen {
    char *path;
    struct stat st;
} seen_t;

struct volumes {
    pinned_t *pinned;
    size_t n_pinned;
    seen_t *seen;
    size_t n_seen, cap_seen;
};

// ---- where a volume's root is ----

int volume_target(const char *root, char *target, size_t cap)
{
    char link[PATH_MAX];
    if (snprintf(link, sizeof link, "%s/..data", root) >= (int)sizeof link)
        return -ENAMETOOLONG;
    ssize_t n = readlink(link, target, cap - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    return (int)n;
}

static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = '\0';
    return true;
}

bool volume_root(const char *path, char root[PATH_MAX])
{
    char target[TARGET_MAX];
    if (snprintf(root, PATH_MAX, "%s", path) >= PATH_MAX)
        return false;
    do {
        if (volume_target(root, target, sizeof target) > 0)
            return true;
    } while (go_up(root));
    return false;
}

// ---- pinning ----

static bool is_below(const char *path, const char *root)
{
    size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static pinned_t *pinned_of(const volumes_t *v, const char *path)
{
    for (size_t i = 0; i < v->n_pinned; i++) {
        if (is_below(path, v->pinned[i].root))
            return &v->pinned[i];
    }
    return NULL;
}

bool volumes_holds(const volumes_t *v, const char *path)
{
    return pinned_of(v, path) != NULL;
}

static int open_beneath(int dir_fd, const char *name, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_RDONLY | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    return fd < 0 ? -errno : fd;
}

// *out stays NULL when the path is in no volume. 0 or -errno.
static int pin(volumes_t *v, const char *path, pinned_t **out)
{
    char root[PATH_MAX], target[TARGET_MAX];
    *out = pinned_of(v, path);
    if (*out || !volume_root(path, root))
        return 0;
    int rc = volume_target(root, target, sizeof target);
    int dir = rc < 0 ? -1 : open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return rc < 0 ? rc : -errno;
    int fd = open_beneath(dir, target, O_DIRECTORY);
    close(dir);
    if (fd < 0)
        return fd;
    v->pinned = mem_realloc(v->pinned, (v->n_pinned + 1) * sizeof *v->pinned);
    *out = &v->pinned[v->n_pinned++];
    **out = (pinned_t){.root = strdup(root), .fd = fd};
    ASSERT((*out)->root != NULL, "out of memory");
    memcpy((*out)->target, target, sizeof target);
    return 0;
}

// ---- what was seen ----

static void remember(volumes_t *v, const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return;
    if (v->n_seen == v->cap_seen) {
        v->cap_seen = v->cap_seen ? 2 * v->cap_seen : 16;
        v->seen = mem_realloc(v->seen, v->cap_seen * sizeof *v->seen);
    }
    char *copy = strdup(path);
    ASSERT(copy != NULL, "out of memory");
    v->seen[v->n_seen++] = (seen_t){.path = copy, .st = st};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool looks_the_same(const seen_t *s)
{
    struct stat now;
    return stat(s->path, &now) == 0 && now.st_ino == s->st.st_ino &&
           now.st_dev == s->st.st_dev && now.st_size == s->st.st_size &&
           same_time(now.st_mtim, s->st.st_mtim) && same_time(now.st_ctim, s->st.st_ctim);
}

bool volumes_changed(const volumes_t *v)
{
    char target[TARGET_MAX];
    for (size_t i = 0; i < v->n_pinned; i++) {
        if (volume_target(v->pinned[i].root, target, sizeof target) < 0 ||
            strcmp(target, v->pinned[i].target) != 0)
            return true;
    }
    for (size_t i = 0; i < v->n_seen; i++) {
        if (!looks_the_same(&v->seen[i]))
            return true;
    }
    return false;
}

// ---- opening ----

int volumes_open(volumes_t *v, const char *path, int flags)
{
    pinned_t *p;
    int rc = pin(v, path, &p);
    if (rc < 0)
        return rc;
    if (p) {
        const char *rest = path + strlen(p->root);
        while (*rest == '/')
            rest++;
        return open_beneath(p->fd, *rest ? rest : ".", flags);
    }
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    remember(v, path, fd);
    return fd;
}

int volumes_open_in(volumes_t *v, int dir_fd, const char *path, const char *name, int flags,
                    bool beneath)
{
    bool pinned = volumes_holds(v, path);
    int fd = pinned || beneath ? open_beneath(dir_fd, name, flags)
                               : openat(dir_fd, name, flags | O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pinned || beneath ? fd : -errno;
    char full[PATH_MAX];
    if (!pinned && snprintf(full, sizeof full, "%s/%s", path, name) < (int)sizeof full)
        remember(v, full, fd);
    return fd;
}

// ---- life ----

volumes_t *volumes_create(void)
{
    return mem_zalloc(sizeof(volumes_t));
}

void volumes_destroy(volumes_t *v)
{
    for (size_t i = 0; i < v->n_pinned; i++) {
        close(v->pinned[i].fd);
        free(v->pinned[i].root);
    }
    for (size_t i = 0; i < v->n_seen; i++)
        free(v->seen[i].path);
    free(v->pinned);
    free(v->seen);
    free(v);
}

// Writes a volume as the kubelet writes a ConfigMap's; see volume.h.
// Invariant: until the rename nobody sees anything; after it the files are on the disk.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/volume.h"

enum { OPEN_DIRS = 16 };

static int failed(char why[PATH_MAX], const char *path)
{
    int err = errno;
    ASSERT(err != 0, "a call that failed says why");
    snprintf(why, PATH_MAX, "%s: %s", path, strerror(err));
    return -err;
}

static int write_whole(int fd, str_t text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text = str_from_at(text, (size_t)n);
    }
    return fsync(fd);
}

// Makes the directories that lead to `path`, from `from` on.
static int make_parents(char *path, size_t from)
{
    for (char *p = path + from; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        int rc = mkdir(path, 0700);
        *p = '/';
        if (rc != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static int write_file(const char *dir, const volume_file_t *f, char why[PATH_MAX])
{
    char path[PATH_MAX];
    ASSERT(f->name.n > 0 && f->name.p[0] != '/', "a file of a volume has a relative name");
    int n = snprintf(path, sizeof path, "%s/%.*s", dir, STR_FMT(f->name));
    if (n >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return failed(why, dir);
    }
    if (make_parents(path, strlen(dir) + 1) != 0)
        return failed(why, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(why, path);
    int rc = write_whole(fd, f->text) != 0 ? failed(why, path) : 0;
    if (close(fd) != 0 && rc == 0)
        rc = failed(why, path);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
}

static int write_files(const char *dir, const volume_file_t *files, size_t n,
                       char why[PATH_MAX])
{
    remove_tree(dir); // what an attempt that was cut short left
    if (mkdir(dir, 0700) != 0)
        return failed(why, dir);
    for (size_t i = 0; i < n; i++) {
        int rc = write_file(dir, &files[i], why);
        if (rc != 0)
            return rc;
    }
    return 0;
}

// Renames a new link onto `..data`, and makes that last.
static int swap(const char *root, const char *target, char why[PATH_MAX])
{
    char link[PATH_MAX], fresh[PATH_MAX];
    if (snprintf(link, sizeof link, "%s/..data", root) >= (int)sizeof link ||
        snprintf(fresh, sizeof fresh, "%s/..data_tmp", root) >= (int)sizeof fresh) {
        errno = ENAMETOOLONG;
        return failed(why, root);
    }
    unlink(fresh);
    if (symlink(target, fresh) != 0 || rename(fresh, link) != 0)
        return failed(why, link);
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(why, root);
    fsync(fd);
    close(fd);
    return 0;
}

int volume_replace(const char *root, const char *label, const volume_file_t *files, size_t n,
                   char why[PATH_MAX])
{
    char old[NAME_MAX + 1] = "", target[NAME_MAX + 1], path[PATH_MAX];
    ASSERT(label[0] != '\0' && !strchr(label, '/'), "a label is one name");
    snprintf(target, sizeof target, "..%s", label);
    if (mkdir(root, 0700) != 0 && errno != EEXIST)
        return failed(why, root);
    if (volume_target(root, old, sizeof old) > 0 && strcmp(old, target) == 0)
        return 0; // it is there
    if (snprintf(path, sizeof path, "%s/%s", root, target) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return failed(why, root);
    }
    int rc = write_files(path, files, n, why);
    if (rc == 0)
        rc = swap(root, target, why);
    if (rc != 0)
        remove_tree(path);
    else if (old[0] == '.' &&
             snprintf(path, sizeof path, "%s/%s", root, old) < (int)sizeof path)
        remove_tree(path);
    return rc;
}

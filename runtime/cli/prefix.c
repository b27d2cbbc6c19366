// The run directory: made with the rights it needs, and not believed when it is in a shared place and another user's.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"

enum { PATH_BYTES = 4096, SHARED_MODE = 0700, USUAL_MODE = 0755 };

// Anybody may make directories in /tmp.
static bool in_shared_place(const settings_t *s)
{
    return strcmp(settings_origin(s, "prefix"), "default") == 0 &&
           str_starts(s->prefix, STR("/tmp/"));
}

bool prefix_trusted(const settings_t *s)
{
    char path[PATH_BYTES];
    struct stat st;
    ASSERT(s->prefix.n > 0, "a prefix is chosen when settings are loaded");
    snprintf(path, sizeof path, "%.*s", STR_FMT(s->prefix));
    if (!in_shared_place(s) || (lstat(path, &st) != 0 && errno == ENOENT))
        return true;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
        (st.st_mode & 077) == 0)
        return true;
    fprintf(stderr,
            "moongate: %s is not a directory of this user alone (mode 0700): remove it, or set "
            "--prefix\n",
            path);
    return false;
}

static int make_one(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    fprintf(stderr, "moongate: run directory %s cannot be made: %s (set --prefix)\n", path,
            strerror(errno));
    return EXIT_FAILED;
}

int prefix_make(const settings_t *s)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%.*s", STR_FMT(s->prefix));
    ASSERT(n > 0, "a prefix is chosen when settings are loaded");
    if (n >= PATH_BYTES) {
        fputs("moongate: prefix: the path is too long\n", stderr);
        return EXIT_FAILED;
    }
    for (int i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char kept = path[i];
        path[i] = '\0';
        if (make_one(path, i == n && in_shared_place(s) ? SHARED_MODE : USUAL_MODE) != 0)
            return EXIT_FAILED;
        path[i] = kept;
    }
    if (!prefix_trusted(s))
        return EXIT_FAILED;
    settings_remote_dir(s, path); // watched from the start
    return s->config_redis.n ? make_one(path, SHARED_MODE) : 0;
}

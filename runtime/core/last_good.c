// One file, replaced by rename; see last_good.h.
#include "core/last_good.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "core/file.h"

enum { PATH_BYTES = 4096 };

static bool path_of(const settings_t *s, last_good_part_t part, const char *tail,
                    char out[PATH_BYTES])
{
    static const char *const NAMES[] = {"last-good.json", "last-good-admin.json"};
    ASSERT(part <= LAST_GOOD_ADMIN, "a part has a file");
    int n = snprintf(out, PATH_BYTES, "%.*s/%s%s", STR_FMT(s->prefix), NAMES[part], tail);
    return n < PATH_BYTES;
}

static int write_all(int fd, str_t text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -errno;
        text = str_from_at(text, (size_t)n);
    }
    return 0;
}

static int replace(const settings_t *s, last_good_part_t part, str_t document)
{
    char path[PATH_BYTES], fresh[PATH_BYTES];
    if (!path_of(s, part, "", path) || !path_of(s, part, ".new", fresh))
        return -ENAMETOOLONG;
    unlink(fresh); // whoever left it there does not choose its mode
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, document);
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(fresh, path) != 0)
        rc = -errno;
    return rc;
}

void last_good_keep(const settings_t *s, last_good_part_t part, str_t document)
{
    int rc = s->last_good ? replace(s, part, document) : 0;
    if (rc != 0)
        log_write(LOG_ERR, "last_good: the configuration cannot be kept in %.*s: %s",
                  STR_FMT(s->prefix), strerror(-rc));
}

int last_good_take(const settings_t *s, last_good_part_t part, buf_t *document)
{
    char path[PATH_BYTES];
    if (!s->last_good)
        return -ENOENT;
    return path_of(s, part, "", path) ? file_read(str_from(path), document) : -ENAMETOOLONG;
}

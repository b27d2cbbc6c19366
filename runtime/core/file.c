// Reading a file in one go.
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024 * 1024 };

int file_read(str_t path, buf_t *out)
{
    char name[4096];
    if (path.n >= sizeof name)
        return -ENAMETOOLONG;
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t got;
    do {
        char *room = buf_reserve(out, 16384);
        got = read(fd, room, 16384);
        if (got > 0)
            buf_commit(out, (size_t)got);
    } while (got > 0 && out->n < FILE_MAX);
    int err = got < 0 ? -errno : out->n >= FILE_MAX ? -EFBIG : 0;
    close(fd);
    return err;
}

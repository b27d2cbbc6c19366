// Machine and process facts, the pid file. Not settings (config/settings.h).
// Invariant: nothing here is needed to serve; what fails is said and passed over, but for the pid file's lock.
#include "core/node.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

enum { PATH_MAX_BYTES = 512 };

// The process's own: set before the first fork, the same in all children.
static char id[37];
static int pid_fd = -1;

static ssize_t read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n;
}

// ---- id ----

static void make_id(void)
{
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        memset(b, getpid() & 0xff, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *at = id;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at += snprintf(at, 3, "%02x", b[i]);
    }
}

static bool is_uuid(const char *s)
{
    return strlen(s) >= 36 && strspn(s, "0123456789abcdef-") == 36 && s[8] == '-' &&
           s[13] == '-' && s[18] == '-' && s[23] == '-';
}

static void write_id(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, id, 36) != 36)
        log_write(LOG_INFO, "%s cannot be written: the node gets another id at its next start",
                  path);
    if (fd >= 0)
        close(fd);
}

static unsigned char ticket_secret[80];

const unsigned char *node_ticket_secret(void)
{
    return ticket_secret;
}

void node_init(str_t prefix)
{
    ssize_t got = getrandom(ticket_secret, sizeof ticket_secret, 0);
    ASSERT(got == (ssize_t)sizeof ticket_secret, "the kernel gives random bytes");
    char path[PATH_MAX_BYTES], text[64];
    snprintf(path, sizeof path, "%.*s/moongate.id", STR_FMT(prefix));
    if (read_small(path, text, sizeof text) > 0 && is_uuid(text)) {
        memcpy(id, text, 36);
        return;
    }
    make_id();
    write_id(path);
}

const char *node_id(void)
{
    return id;
}

// ---- limits ----

void node_harden(void)
{
    struct rlimit files, core;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0)
            log_write(LOG_WARN, "the limit of open files stays low: %s", strerror(errno));
    }
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &core);
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
}

// ---- the pid file ----

static void pid_path(str_t prefix, char *out, size_t cap)
{
    snprintf(out, cap, "%.*s/moongate.pid", STR_FMT(prefix));
}

// A lock of the process, not of the descriptor: children that inherit the descriptor do not hold it.
static int lock_holder(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK ? l.l_pid : 0;
}

int pidfile_holder(str_t prefix)
{
    char path[PATH_MAX_BYTES], text[16];
    pid_path(prefix, path, sizeof path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int pid = lock_holder(fd);
    close(fd);
    if (pid < 0 && read_small(path, text, sizeof text) > 0) // held in another pid namespace
        pid = atoi(text);
    return pid;
}

int pidfile_open(str_t prefix, int *holder)
{
    char path[PATH_MAX_BYTES], text[16];
    pid_path(prefix, path, sizeof path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &l) != 0) {
        *holder = lock_holder(fd);
        close(fd);
        return 1;
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        int err = -errno;
        close(fd);
        return err;
    }
    pid_fd = fd;
    return 0;
}

// The file stays, empty: removing it would race with the next owner's lock.
void pidfile_close(void)
{
    if (pid_fd < 0)
        return;
    if (ftruncate(pid_fd, 0) != 0)
        log_write(LOG_INFO, "the pid file cannot be emptied: %s", strerror(errno));
    close(pid_fd);
    pid_fd = -1;
}

// The error log's one writer: format, escape, one write(2). A full disk or a blocked pipe costs the
// line, never the caller: descriptors other than regular files are written only when they take it.
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192 };

static int fd = STDERR_FILENO;
static log_level_t threshold = LOG_NOTICE;
static unsigned long dropped;

static const char *const NAMES[] = {"stderr", "emerg",  "alert", "crit", "error",
                                    "warn",   "notice", "info",  "debug"};

int log_open(const char *path)
{
    bool to_stderr = strcmp(path, "-") == 0 || strcmp(path, "stderr") == 0;
    int next =
        to_stderr ? STDERR_FILENO : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (next < 0)
        return -errno;
    if (fd != STDERR_FILENO)
        close(fd);
    fd = next;
    return 0;
}

void log_set_level(log_level_t level)
{
    threshold = level;
}

log_level_t log_level(void)
{
    return threshold;
}

int log_level_parse(str_t name)
{
    for (int i = 0; i <= LOG_DEBUG; i++) {
        if (str_ieq(name, str_from(NAMES[i])))
            return i;
    }
    return str_ieq(name, STR("err")) ? (int)LOG_ERR : -1;
}

const char *log_level_name(log_level_t level)
{
    return level <= LOG_DEBUG ? NAMES[level] : "?";
}

// Control bytes become \xNN so that one message is one line (log injection).
static size_t escape(char *out, size_t cap, const char *in, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n && at + 5 < cap; i++) {
        unsigned char c = (unsigned char)in[i];
        if (c >= 0x20 && c != 0x7f)
            out[at++] = (char)c;
        else
            at += (size_t)snprintf(out + at, cap - at, c == '\n' ? "\\n" : "\\x%02x", c);
    }
    return at;
}

static void emit(const char *line, size_t n)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || write(fd, line, n) != (ssize_t)n)
        __atomic_add_fetch(&dropped, 1, __ATOMIC_RELAXED);
}

void log_write(log_level_t level, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    struct tm tm;
    time_t now = time(NULL);
    localtime_r(&now, &tm);
    size_t at = strftime(line, sizeof line, "%Y/%m/%d %H:%M:%S", &tm);
    at += (size_t)snprintf(line + at, sizeof line - at, " [%s] %d#0: ", log_level_name(level),
                           (int)getpid());
    at += escape(line + at, sizeof line - at - 1, text, len);
    line[at++] = '\n';
    emit(line, at);
}

unsigned long log_dropped(void)
{
    return __atomic_load_n(&dropped, __ATOMIC_RELAXED);
}

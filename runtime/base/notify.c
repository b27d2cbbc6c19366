// Datagrams to systemd's socket; see notify.h.
#include "base/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

enum { STATE_MAX = 512 };

// The process's own: when the watchdog is to be told next.
static uint64_t alive_at_ms;

static void give_up(int error)
{
    log_write(LOG_INFO, "the service manager cannot be told: %s", strerror(error));
    if (error == ECONNREFUSED || error == ENOENT)
        unsetenv("NOTIFY_SOCKET");
}

void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, n) < 0)
        give_up(errno);
    close(fd);
}

// A status is one line.
__attribute__((format(printf, 2, 0))) static void notify_status(const char *what,
                                                                const char *fmt, va_list ap)
{
    char state[STATE_MAX];
    int n = snprintf(state, sizeof state, "%s\nSTATUS=", what);
    ASSERT(n > 0 && n < STATE_MAX / 2, "what is said first is short");
    vsnprintf(state + n, sizeof state - (size_t)n, fmt, ap);
    for (char *p = state + n; *p; p++)
        *p = *p == '\n' ? ' ' : *p;
    notify(state);
}

void notify_ready(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    notify_status("READY=1", fmt, ap);
    va_end(ap);
}

void notify_stopping(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    notify_status("STOPPING=1", fmt, ap);
    va_end(ap);
}

void notify_reloading(void)
{
    char state[STATE_MAX];
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    ASSERT(rc == 0, "there is a monotonic clock");
    snprintf(state, sizeof state,
             "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration again",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify(state);
}

// How often the watchdog wants to be told, 0: never.
static uint64_t alive_period_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && *pid && atoll(pid) != getpid()))
        return 0;
    long long us = atoll(usec);
    return us > 0 ? (uint64_t)us / 2000 + 1 : 0;
}

void notify_alive(uint64_t now_ms)
{
    if (now_ms < alive_at_ms)
        return;
    uint64_t period_ms = alive_period_ms();
    alive_at_ms = period_ms ? now_ms + period_ms : UINT64_MAX;
    if (period_ms)
        notify("WATCHDOG=1");
}

void notify_failure(const char *why)
{
    int fd = open("/dev/termination-log", O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, why, strlen(why)) < 0)
        log_write(LOG_INFO, "/dev/termination-log cannot be written: %s", strerror(errno));
    close(fd);
}

// The access log: lines gather in `fill`, a pool thread writes `out`. Not what a line holds (record.c).
// Invariants: one write is under way at a time; `out` and the descriptor belong to whoever holds `lock`; everything else to the loop.
#include "core/record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "core/stats.h"

enum {
    FLUSH_BYTES = 64 * 1024,
    FLUSH_MS = 200,
    BACKLOG_BYTES = 1024 * 1024,
    PIPE_PIECE = 4096,
    PIPE_WAIT_MS = 1000
};

struct access_log {
    loop_t *loop;
    io_timer_t timer;
    buf_t fill;
    bool writing, closed; // a job is queued or runs; access_log_close has begun
    pthread_mutex_t lock;
    buf_t out;
    char *path; // NULL: stdout
    int fd;
    bool piped, torn, failing; // torn: the last line written is incomplete
    _Atomic(bool) follow;      // see access_log_follow
    _Atomic(bool) reopen;
};

// ---- writing (any thread, lock held) ----

static int open_file(const char *path, int *fd)
{
    // A FIFO that nobody reads refuses instead of waiting.
    int opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (opened < 0)
        return -errno;
    fcntl(opened, F_SETFL, O_APPEND);
    *fd = opened;
    return 0;
}

static uint32_t count_lines(str_t s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

// A pipe nobody reads must not hold the thread for ever: it is written in pieces that it takes whole.
static ssize_t write_some(const access_log_t *log, str_t s)
{
    if (!log->piped)
        return write(log->fd, s.p, s.n);
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
    if (poll(&ready, 1, log->failing ? 0 : PIPE_WAIT_MS) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(log->fd, s.p, s.n < PIPE_PIECE ? s.n : PIPE_PIECE);
}

static void note_failure(access_log_t *log, str_t left, int err)
{
    uint32_t lines = count_lines(left);
    stat_fixed_add(SF_LOG_DROPPED, lines);
    if (!log->failing)
        log_write(
            LOG_ERR,
            "log %s cannot be written: %s; %u lines dropped, further ones are counted only",
            log->path ? log->path : "(stdout)", strerror(err), lines);
    log->failing = true;
}

static void write_out(access_log_t *log)
{
    if (log->torn && log->out.n > 0)
        log->torn = write_some(log, STR("\n")) != 1;
    str_t left = buf_str(&log->out);
    while (left.n > 0) {
        ssize_t n = write_some(log, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            note_failure(log, left, n < 0 ? errno : EIO);
            break;
        }
        log->torn = left.p[n - 1] != '\n';
        log->failing = false;
        left = str_from_at(left, (size_t)n);
    }
    buf_clear(&log->out);
}

static void reopen_file(access_log_t *log)
{
    int fd = -1;
    log->reopen = false;
    if (!log->path)
        return;
    int err = open_file(log->path, &fd);
    if (err != 0) {
        log_write(LOG_ERR, "log %s cannot be reopened: %s; the old file is used on", log->path,
                  strerror(-err));
        return;
    }
    close(log->fd);
    log->fd = fd;
    log->torn = false;
}

// Is another file, or none, where this one was?
static bool was_moved(const access_log_t *log)
{
    struct stat there, here;
    return stat(log->path, &there) != 0 || fstat(log->fd, &here) != 0 ||
           there.st_ino != here.st_ino || there.st_dev != here.st_dev;
}

static void work(void *arg)
{
    access_log_t *log = arg;
    pthread_mutex_lock(&log->lock);
    if (log->follow && was_moved(log))
        reopen_file(log);
    write_out(log);
    if (log->reopen)
        reopen_file(log);
    pthread_mutex_unlock(&log->lock);
}

// ---- the loop's side ----

static void destroy(access_log_t *log)
{
    if (log->path)
        close(log->fd);
    pthread_mutex_destroy(&log->lock);
    buf_dispose(&log->fill);
    buf_dispose(&log->out);
    free(log->path);
    free(log);
}

static void done(void *arg)
{
    access_log_t *log = arg;
    log->writing = false;
    if (!log->closed && (log->reopen || log->fill.n >= FLUSH_BYTES))
        access_log_flush(log);
}

static void start_work(access_log_t *log)
{
    ASSERT(!log->writing && log->out.n == 0, "one write at a time");
    buf_t empty = log->out;
    log->out = log->fill;
    log->fill = empty;
    log->writing = true;
    io_timer_stop(&log->timer);
    loop_queue_work(log->loop, work, done, log);
}

void access_log_flush(access_log_t *log)
{
    if (log->writing) {
        if (log->fill.n > 0 && !io_timer_active(&log->timer))
            io_timer_start(&log->timer, FLUSH_MS);
        return;
    }
    if (log->fill.n > 0 || log->reopen)
        start_work(log);
}

static void on_timer(io_timer_t *t)
{
    access_log_flush(CONTAINER_OF(t, access_log_t, timer));
}

static void gathered(access_log_t *log)
{
    buf_putc(&log->fill, '\n');
    if (log->fill.n >= FLUSH_BYTES)
        access_log_flush(log);
    else if (!io_timer_active(&log->timer))
        io_timer_start(&log->timer, FLUSH_MS);
}

static bool has_room(access_log_t *log)
{
    if (log->fill.n < BACKLOG_BYTES)
        return true;
    stat_fixed_add(SF_LOG_DROPPED, 1);
    return false;
}

void access_log_append(access_log_t *log, request_t *r)
{
    if (!has_room(log))
        return;
    record_write(&log->fill, r);
    gathered(log);
}

bool access_log_line(access_log_t *log, str_t line)
{
    if (!has_room(log))
        return false;
    buf_append(&log->fill, line);
    gathered(log);
    return true;
}

void access_log_follow(access_log_t *log)
{
    log->follow = log->path != NULL;
}

void access_log_reopen(access_log_t *log)
{
    log->reopen = true;
    access_log_flush(log);
}

static void look_at_fd(access_log_t *log)
{
    struct stat st;
    log->piped = fstat(log->fd, &st) != 0 || !S_ISREG(st.st_mode);
}

access_log_t *access_log_open(loop_t *l, str_t path, int *err)
{
    *err = 0;
    if (path.n == 0 || str_eq(path, STR("off")))
        return NULL;
    access_log_t *log = mem_zalloc(sizeof *log);
    log->loop = l;
    log->fd = STDOUT_FILENO;
    if (!str_eq(path, STR("-"))) {
        log->path = mem_zalloc(path.n + 1);
        memcpy(log->path, path.p, path.n);
        *err = open_file(log->path, &log->fd);
    }
    if (*err != 0) {
        free(log->path);
        free(log);
        return NULL;
    }
    look_at_fd(log);
    pthread_mutex_init(&log->lock, NULL);
    io_timer_init(&log->timer, l, on_timer);
    return log;
}

void access_log_close(access_log_t *log)
{
    io_timer_stop(&log->timer);
    log->closed = true;
    while (log->writing)
        loop_turn(log->loop, 10);
    buf_append(&log->out, buf_str(&log->fill));
    write_out(log);
    destroy(log);
}

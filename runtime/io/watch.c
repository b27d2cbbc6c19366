// Signals, watched descriptors and thread pool work of a loop.
#include "base/check.h"
#include "io/loop_impl.h"

struct io_signal {
    uv_signal_t uv;
    void (*fn)(void *arg, int signum);
    void *arg;
};

struct io_watch {
    uv_poll_t uv;
    int fd;
    void (*fn)(void *arg, int fd);
    void *arg;
};

typedef struct work {
    uv_work_t uv;
    loop_t *loop;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
} work_t;

static void on_signal(uv_signal_t *handle, int signum)
{
    io_signal_t *s = CONTAINER_OF(handle, io_signal_t, uv);
    s->fn(s->arg, signum);
}

io_signal_t *loop_signal_start(loop_t *l, int signum, void (*fn)(void *arg, int signum),
                               void *arg)
{
    ASSERT(fn, "a signal calls something");
    io_signal_t *s = mem_zalloc(sizeof *s);
    s->fn = fn;
    s->arg = arg;
    uv_signal_init(&l->uv, &s->uv);
    int rc = uv_signal_start(&s->uv, on_signal, signum);
    ASSERT(rc == 0, "the signal can be caught");
    live_begin(l);
    return s;
}

static void on_signal_closed(uv_handle_t *handle)
{
    live_end(loop_of(handle->loop));
    free(CONTAINER_OF(handle, io_signal_t, uv));
}

void loop_signal_stop(io_signal_t *s)
{
    ASSERT(!uv_is_closing((uv_handle_t *)&s->uv), "a signal is stopped once");
    uv_close((uv_handle_t *)&s->uv, on_signal_closed);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    io_watch_t *w = CONTAINER_OF(handle, io_watch_t, uv);
    (void)status; // an error state: reading the descriptor will tell
    (void)events;
    w->fn(w->arg, w->fd);
}

io_watch_t *loop_watch_start(loop_t *l, int fd, void (*fn)(void *arg, int fd), void *arg)
{
    ASSERT(fn, "a watch calls something");
    io_watch_t *w = mem_zalloc(sizeof *w);
    w->fd = fd;
    w->fn = fn;
    w->arg = arg;
    int rc = uv_poll_init(&l->uv, &w->uv, fd);
    ASSERT(rc == 0, "the descriptor can be polled and is not watched already");
    uv_poll_start(&w->uv, UV_READABLE, on_readable);
    live_begin(l);
    return w;
}

static void on_watch_closed(uv_handle_t *handle)
{
    live_end(loop_of(handle->loop));
    free(CONTAINER_OF(handle, io_watch_t, uv));
}

void loop_watch_stop(io_watch_t *w)
{
    ASSERT(!uv_is_closing((uv_handle_t *)&w->uv), "a watch is stopped once");
    uv_close((uv_handle_t *)&w->uv, on_watch_closed);
}

static void on_work(uv_work_t *req)
{
    work_t *w = CONTAINER_OF(req, work_t, uv);
    w->work(w->arg);
}

static void on_work_done(uv_work_t *req, int status)
{
    work_t *w = CONTAINER_OF(req, work_t, uv);
    void (*done)(void *arg) = w->done;
    void *arg = w->arg;
    ASSERT(status == 0, "pool work is never cancelled");
    w->loop->works--;
    live_end(w->loop);
    free(w);
    done(arg);
}

void loop_queue_work(loop_t *l, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    ASSERT(work && done, "pool work has both halves");
    work_t *w = mem_alloc(sizeof *w);
    *w = (work_t){.loop = l, .work = work, .done = done, .arg = arg};
    int rc = uv_queue_work(&l->uv, &w->uv, on_work, on_work_done);
    ASSERT(rc == 0, "the thread pool takes work that has a function");
    l->works++;
    live_begin(l);
}

// The loop over libuv: turns, the wheel's timer, deferred calls. Signals, watches and pool
// work: watch.c. Invariant: deferred calls run after the callbacks of a poll and again right
// before the next poll.
#include "io/loop.h"

#include <signal.h>

#include "base/check.h"
#include "base/err.h"
#include "io/loop_impl.h"

static const uint64_t DELAY_MAX_MS = UINT64_C(1) << 40;

int io_err(int code)
{
    switch (code) {
    case 0:
        return 0;
    case UV_EOF:
        return ERR_EOF;
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECONNABORTED:
    case UV_ENOTCONN:
        return ERR_RESET;
    case UV_ECONNREFUSED:
    case UV_ENOENT: // no such unix socket
        return ERR_REFUSED;
    case UV_ETIMEDOUT:
        return ERR_TIMEOUT;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
        return ERR_UNREACHABLE;
    case UV_ENOMEM:
    case UV_ENOBUFS:
        return ERR_NOMEM;
    case UV_EMFILE:
    case UV_ENFILE:
        return ERR_FILES;
    case UV_EADDRINUSE:
    case UV_EADDRNOTAVAIL:
        return ERR_ADDRESS;
    case UV_EACCES:
    case UV_EPERM:
        return ERR_DENIED;
    case UV_EINVAL:
    case UV_EAFNOSUPPORT:
        return ERR_INVALID;
    case UV_ECANCELED:
        return ERR_ABORTED;
    default:
        return ERR_IO;
    }
}

void live_end(loop_t *l)
{
    ASSERT(l->live > 0, "every handle that ends had begun");
    l->live--;
}

unsigned loop_live(const loop_t *l)
{
    return l->live + l->wheel.armed;
}

uint64_t loop_now_ms(const loop_t *l)
{
    return uv_now(&l->uv);
}

// ---- timers ----

static void on_wake(uv_timer_t *handle);

// Sets libuv's timer for the wheel's next slot. A later one stays set: it finds nothing to do
// and sets itself anew.
static void set_wake(loop_t *l)
{
    uint64_t next = wheel_next(&l->wheel);
    if (next == WHEEL_NEVER) {
        uv_unref((uv_handle_t *)&l->wake); // may stay set, but keeps nothing alive
        return;
    }
    uv_ref((uv_handle_t *)&l->wake);
    if (l->wake_ms && l->wake_ms <= next)
        return;
    uint64_t now = uv_now(&l->uv);
    l->wake_ms = next > now ? next : now;
    int rc = uv_timer_start(&l->wake, on_wake, l->wake_ms - now, 0);
    ASSERT(rc == 0, "libuv starts a timer that has a callback");
}

static void run_due(loop_t *l)
{
    list_t due;
    list_init(&due);
    while (!list_empty(
        &l->wheel.ready)) { // a batch: what is armed meanwhile waits for the next turn
        list_t *n = l->wheel.ready.next;
        list_unlink(n);
        list_push_back(&due, n);
    }
    while (!list_empty(&due)) {
        io_timer_t *t = CONTAINER_OF(due.next, io_timer_t, links);
        wheel_remove(&l->wheel, t);
        t->fn(t);
    }
}

static void on_wake(uv_timer_t *handle)
{
    loop_t *l = loop_of(handle->loop);
    l->wake_ms = 0;
    wheel_advance(&l->wheel, uv_now(&l->uv));
    run_due(l);
    set_wake(l);
}

void io_timer_init(io_timer_t *t, loop_t *l, void (*fn)(io_timer_t *t))
{
    ASSERT(fn, "a timer calls something");
    *t = (io_timer_t){.fn = fn, .loop = l};
    list_init(&t->links);
}

void io_timer_start(io_timer_t *t, uint64_t delay_ms)
{
    loop_t *l = t->loop;
    uint64_t now = uv_now(&l->uv);
    if (t->due_ms)
        wheel_remove(&l->wheel, t);
    if (l->wheel.armed == 0)
        wheel_advance(&l->wheel, now); // empty: nothing to turn, just the hand
    if (delay_ms > DELAY_MAX_MS)
        delay_ms = DELAY_MAX_MS;
    // The clock is cut to whole milliseconds, hence one more: never early.
    wheel_insert(&l->wheel, t, delay_ms ? now + delay_ms + 1 : now);
    if (l->wheel.armed == 1 || !l->wake_ms || t->due_ms < l->wake_ms)
        set_wake(l);
}

void io_timer_stop(io_timer_t *t)
{
    if (!t->due_ms)
        return;
    wheel_remove(&t->loop->wheel, t);
    if (t->loop->wheel.armed == 0)
        uv_unref((uv_handle_t *)&t->loop->wake);
}

// ---- deferred calls ----

void io_defer_init(io_defer_t *d, void (*fn)(io_defer_t *d))
{
    *d = (io_defer_t){.fn = fn};
    list_init(&d->links);
}

void io_defer_start(loop_t *l, io_defer_t *d)
{
    ASSERT(d->fn, "a deferred call was initialised");
    if (d->pending)
        return;
    d->pending = true;
    list_push_back(&l->defers, &d->links);
}

void io_defer_stop(io_defer_t *d)
{
    if (!d->pending)
        return;
    d->pending = false;
    list_unlink(&d->links);
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; // its being active is what counts
}

static void keep_turning(loop_t *l)
{
    if (!list_empty(&l->defers))
        uv_idle_start(&l->idle, on_idle);
    else if (uv_is_active((uv_handle_t *)&l->idle))
        uv_idle_stop(&l->idle);
}

// Runs what is pending now; what these calls defer again comes one turn later.
static void run_defers(loop_t *l)
{
    list_t batch;
    if (list_empty(&l->defers)) {
        keep_turning(l);
        return;
    }
    list_init(&batch);
    list_push_back(&l->defers, &batch); // the batch's head takes the place of the loop's ...
    list_unlink(&l->defers);            // ... and the loop's list is empty again
    while (!list_empty(&batch)) {
        io_defer_t *d = CONTAINER_OF(batch.next, io_defer_t, links);
        list_unlink(&d->links);
        d->pending = false;
        d->fn(d);
    }
    keep_turning(l);
}

static void on_prepare(uv_prepare_t *handle)
{
    run_defers(loop_of(handle->loop));
}

static void on_check(uv_check_t *handle)
{
    run_defers(loop_of(handle->loop));
}

// ---- the loop ----

loop_t *loop_create(void)
{
    loop_t *l = mem_zalloc(sizeof *l);
    int rc = uv_loop_init(&l->uv);
    ASSERT(rc == 0, "the system gives an event loop (descriptors, memory)");
    l->uv.data = l;
    l->read_buf = mem_alloc(READ_BUF_BYTES);
    list_init(&l->defers);
    list_init(&l->lingering);
    wheel_init(&l->wheel, uv_now(&l->uv));
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->wake);
    uv_timer_init(&l->uv, &l->bound);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->check);
    uv_unref((uv_handle_t *)&l->wake);
    uv_unref((uv_handle_t *)&l->bound);
    signal(SIGPIPE, SIG_IGN); // a broken connection is an error code, not a signal
    return l;
}

void loop_run(loop_t *l)
{
    do {
        keep_turning(l);
        if (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
            return; // stopped
    } while (!list_empty(&l->defers));
}

void loop_stop(loop_t *l)
{
    uv_stop(&l->uv);
}

static void on_bound(uv_timer_t *handle)
{
    (void)handle; // it woke the poll
}

void loop_turn(loop_t *l, int max_wait_ms)
{
    keep_turning(l);
    if (max_wait_ms > 0) {
        uv_update_time(&l->uv);
        uv_timer_start(&l->bound, on_bound, (uint64_t)max_wait_ms, 0);
        uv_run(&l->uv, UV_RUN_ONCE);
        uv_timer_stop(&l->bound);
    } else {
        uv_run(&l->uv, UV_RUN_NOWAIT);
    }
    run_defers(l);
}

bool loop_lingers(const loop_t *l)
{
    return !list_empty(&l->lingering);
}

void loop_destroy(loop_t *l)
{
    if (loop_lingers(l))
        l->linger_end(l);
    if (l->children_end)
        l->children_end(l);
    if (l->dns)
        l->dns_destroy(l->dns);
    while (l->works)
        uv_run(&l->uv, UV_RUN_ONCE); // done() is owed to whoever asked for it
    while (!list_empty(&l->defers))
        run_defers(l);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->bound, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT); // close callbacks
    ASSERT(loop_live(l) == 0, "everything of a loop is closed before the loop");
    if (l->tls)
        l->tls_destroy(l->tls); // the last sockets were freed just now
    int rc = uv_loop_close(&l->uv);
    ASSERT(rc == 0, "no handle is left in a loop that ends");
    free(l->read_buf);
    free(l);
}

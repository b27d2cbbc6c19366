// The event loop of a process and its timers. One loop a thread; nothing here is thread-safe.
// Not sockets (io/sock.h). Invariant: callbacks run from loop_run only, never inside the call
// that arms them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

typedef struct loop loop_t;
typedef struct io_timer io_timer_t;

// Also makes the process ignore SIGPIPE: a broken connection is an error code.
loop_t *loop_create(void);

// Closes sockets that linger, waits for work on the thread pool, runs what is left to close, asserts that no handle of ours is alive, frees. The loop must not
// be running.
void loop_destroy(loop_t *l);

// Runs until loop_stop or until nothing is left to wait for.
void loop_run(loop_t *l);
void loop_stop(loop_t *l);

// Runs one turn: polls (waiting at most max_wait_ms), calls back, returns. For specs and the
// runner.
void loop_turn(loop_t *l, int max_wait_ms);

// Whether sockets linger still (sock_close_linger): who ends the process may give them a moment.
bool loop_lingers(const loop_t *l);

// Monotonic milliseconds, as of the start of this turn.
uint64_t loop_now_ms(const loop_t *l);

// A timer; embed it. Arming costs O(1) (a wheel) and reads no clock: the delay counts from
// loop_now_ms. Resolution 1 ms, firing never early and at most a few ms late. Re-arm freely.
struct io_timer {
    list_t links;
    uint64_t due_ms; // 0: not armed
    void (*fn)(io_timer_t *t);
    loop_t *loop;
};

void io_timer_init(io_timer_t *t, loop_t *l, void (*fn)(io_timer_t *t));
void io_timer_start(io_timer_t *t, uint64_t delay_ms); // replaces an earlier deadline
void io_timer_stop(io_timer_t *t);
static inline bool io_timer_active(const io_timer_t *t)
{
    return t->due_ms != 0;
}

// Something to run once at the end of this turn of the loop (before it polls again), in order.
// Embed it.
typedef struct io_defer {
    list_t links;
    void (*fn)(struct io_defer *d);
    bool pending;
} io_defer_t;
void io_defer_init(io_defer_t *d, void (*fn)(io_defer_t *d));
void io_defer_start(loop_t *l, io_defer_t *d); // no-op while pending
void io_defer_stop(io_defer_t *d);

// Runs work(arg) on the thread pool, then done(arg) on the loop. work must touch nothing of the
// loop.
void loop_queue_work(loop_t *l, void (*work)(void *arg), void (*done)(void *arg), void *arg);

// Signals: fn(arg, signum) on the loop. Pairs with loop_signal_stop.
typedef struct io_signal io_signal_t;
io_signal_t *loop_signal_start(loop_t *l, int signum, void (*fn)(void *arg, int signum),
                               void *arg);
void loop_signal_stop(io_signal_t *s);

// Watches a plain descriptor (pipe, eventfd) for being readable; fn may read it. The descriptor
// stays the caller's.
typedef struct io_watch io_watch_t;
io_watch_t *loop_watch_start(loop_t *l, int fd, void (*fn)(void *arg, int fd), void *arg);
void loop_watch_stop(io_watch_t *w);

// Live handles of ours (sockets, timers armed, watches): 0 when everything was closed. For
// specs.
unsigned loop_live(const loop_t *l);

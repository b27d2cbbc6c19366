// A program that runs beside the loop: its standard streams as pipes, its end as an event. Who may start one is decided above
// (lua/pipe.c). It gets nothing of this process but those pipes, and leads a process group of its own.
// Invariants: after child_close no callback comes; callbacks may close the child; the loop that made it reaps it.
#pragma once

#include "base/str.h"
#include "io/loop.h"

typedef struct child child_t;

typedef enum child_stream {
    CHILD_STDIN,
    CHILD_STDOUT,
    CHILD_STDERR,
    CHILD_STREAMS
} child_stream_t;

// on_data: n > 0 bytes, borrowed until return. on_end: nothing more comes from there (ERR_EOF, or what failed), once a stream.
// on_written: all that child_write took is in the pipe (0), or never will be (ERR_*). on_exit: once; signum 0: it ended by itself
// with `status`, else a signal ended it. What it wrote before may come after on_exit.
typedef struct child_events {
    void (*on_data)(void *arg, child_stream_t from, const char *p, size_t n);
    void (*on_end)(void *arg, child_stream_t from, int err);
    void (*on_written)(void *arg, int err);
    void (*on_exit)(void *arg, int status, int signum);
} child_events_t;

// All borrowed until child_open returns, but `events`, which is kept.
typedef struct child_opts {
    char *const *args;    // NULL-terminated; args[0] is looked for in PATH
    char *const *environ; // "NAME=value", NULL-terminated; the program's whole environment
    bool merge_stderr;    // what it writes there comes from CHILD_STDOUT
    const child_events_t *events;
    void *arg;
} child_opts_t;

// Starts the program; blocks until it runs (a fork). 0 with *out returned owned (child_close), or a negative errno.
int child_open(loop_t *l, const child_opts_t *o, child_t **out);
int child_pid(const child_t *c);
// Output is read between resume and pause only; begins paused. No-ops on a closed stream.
void child_resume(child_t *c, child_stream_t from);
void child_pause(child_t *c, child_stream_t from);
// Writes to its standard input; what the pipe does not take at once is copied and queued. 0, or ERR_* (ERR_RESET: closed).
int child_write(child_t *c, str_t text);
// Bytes that are queued: on_written tells when there are none.
size_t child_pending(const child_t *c);
// Closes our end of a stream; queued bytes are dropped. No event of it comes any more. May be called again.
void child_shut(child_t *c, child_stream_t which);
// Sends the program a signal: 0, or a negative errno (-ESRCH once it has ended).
int child_kill(child_t *c, int signum);
// Closes the streams and, if the program still runs, kills it with its process group.
void child_close(child_t *c);

// Messages between the master and a worker: one SOCK_SEQPACKET pair a worker, one message a packet, a configuration as a sealed memory
// file passed along. The worker's end lives on its loop; the master's end is used by core/master.c.
// Without a master (fd -1) the worker takes the same orders from signals, and reloads by itself (reload.h).
#pragma once

#include "base/log.h"
#include "core/load.h"
#include "core/worker.h"

// master -> worker
typedef enum control_order {
    CONTROL_RELOAD = 1, // with the document's memory file
    CONTROL_DRAIN = 2,  // arg: delay_ms before the listeners close
    CONTROL_STOP = 3,   // at once
    CONTROL_REOPEN = 4, // logs
    // worker -> master
    CONTROL_READY = 16,     // serves; text: what is in use
    CONTROL_INSTALLED = 17, // seq: the order's; text: what is in use
    CONTROL_REFUSED = 18,   // seq: the order's; text: why
    // the Admin API's process -> master
    CONTROL_LOAD =
        32, // seq; with a memory file: its text is the configuration from now on; without: read again
    // both ways
    CONTROL_LEVEL = 33, // arg: log level
    // master -> the Admin API's process
    CONTROL_LOADED =
        34, // seq: the order's; arg: control_loaded_t; text: what is in use, or why not
} control_order_t;

typedef enum control_loaded {
    LOADED_DONE,
    LOADED_UNCHANGED,
    LOADED_REFUSED,
    LOADED_BUSY
} control_loaded_t;

enum { CONTROL_TEXT_MAX = 1024 };

typedef struct control_message {
    uint32_t order; // control_order_t
    uint32_t seq;
    uint64_t arg;
    uint32_t text_n;
    char text[CONTROL_TEXT_MAX];
} control_message_t;

// Either end. fd_or_minus1 goes along as a duplicate. 0; ERR_EOF when the other end has gone; ERR_IO.
int control_send(int fd, const control_message_t *m, int fd_or_minus1);
// *passed is owned (close) or -1. 0; 1: nothing there now; ERR_EOF; ERR_PROTOCOL.
int control_receive(int fd, control_message_t *m, int *passed);

// The end of listening without losing anybody, whichever processes share the sockets. At the end of the drain delay they fall silent: no new
// connection is begun (its SYN comes again after a second, to another instance on that port or to nobody), while what has queued is
// accepted still. DRAIN_ACCEPT_MS later workers stop accepting, and as much later the sockets are shut.
enum { DRAIN_ACCEPT_MS = 20 };
void control_silence(const int *fds, unsigned n);
void control_shut(const int *fds, unsigned n);

// Each line of `problems` as one line of the error log.
void control_log_problems(str_t problems, log_level_t level);
void control_reopen_error_log(const settings_t *s);
// Out of service: readiness says so in every worker, while requests are served as before (SIGUSR2, `moongate drain`); or back.
void control_set_drained(bool drained);

typedef struct control control_t;

// What a process without a master needs, before control_start: how to read the configuration (a reload is refused without), the facts of
// its first load, and the proxy listeners' descriptors, which it shuts itself at the end of the drain delay. All borrowed.
void control_set_alone(load_fn load, str_t facts, const int *proxy_fds, unsigned n);

// Called by worker_run once the first generation is in use and the listeners accept: tells the master so, and obeys from now on.
// fd is borrowed until control_stop. fd -1: SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1 and SIGUSR2 are handled here instead.
// When the master vanishes the worker drains. Also reports pid and Lua memory to the stats every second.
control_t *control_start(worker_t *w, int fd);
// The Admin API's process only: the master shall load and every worker take the text in fd (taken; -1: what the files hold now). done is
// called once, from the loop, unless the process ends first. 0; 1: another one is under way; ERR_EOF, ERR_IO.
typedef void (*control_loaded_fn)(void *arg, control_loaded_t how, const char *text);
int control_load(control_t *c, int fd, control_loaded_fn done, void *arg);
// Who asked has gone: done is not called.
void control_load_forget(control_t *c);
// Another log level in every process of this gateway.
int control_set_level(control_t *c, log_level_t level);

// NULL is allowed. Must come before loop_destroy. A reload under way is waited for and dropped.
void control_stop(control_t *c);

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
} control_order_t;

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
// NULL is allowed. Must come before loop_destroy. A reload under way is waited for and dropped.
void control_stop(control_t *c);

// What the files of this room share about the loop; nobody outside includes it.
#pragma once

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/loop.h"
#include "io/wheel.h"

enum { READ_BUF_BYTES = 64 * 1024 };

struct loop {
    uv_loop_t uv; // uv.data is the loop_t
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;   // active while a deferred call is left over: the next poll must not wait
    uv_timer_t wake;  // drives the wheel
    uv_timer_t bound; // ends the wait of loop_turn
    uint64_t wake_ms; // what `wake` is set for; 0: not set
    wheel_t wheel;
    list_t defers;
    list_t lingering;        // sockets that close slowly (sock.c)
    unsigned live;           // handles of ours but timers
    unsigned works;          // on the thread pool
    char *read_buf;          // READ_BUF_BYTES; where every socket of the loop reads into
    struct tls_scratch *tls; // shared buffers of the TLS pumps, made on first use
    char connect_why[160];
    unsigned spread; // connections made by name so far
    struct dns *dns;
    void (*dns_destroy)(
        struct dns *d); // set together with dns, so that the loop links without it
    void (*tls_destroy)(struct tls_scratch *t);
    void (*linger_end)(struct loop *l);   // closes those sockets now; set with the first
    list_t children;                      // programs (child.c); unset before the first
    void (*children_end)(struct loop *l); // lets go of who was killed; set with the first
};

static inline loop_t *loop_of(const uv_loop_t *uv)
{
    return uv->data;
}

// A libuv (negative errno) code as one of ours.
int io_err(int uv_code);

// Counts handles of ours: begin when one is made, end in its close callback.
static inline void live_begin(loop_t *l)
{
    l->live++;
}
void live_end(loop_t *l);

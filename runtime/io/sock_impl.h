// The socket's inside, shared by sock.c, tls_pump.c, listener.c and connector.c; nobody outside
// includes it.
#pragma once

#include "io/loop_impl.h"
#include "io/sock.h"

typedef struct tls_conn tls_conn_t; // tls_pump.c
typedef struct sock_out sock_out_t; // what the kernel did not take yet; sock.c
typedef struct sock_linger sock_linger_t;

struct sock {
    uv_tcp_t uv; // unix sockets too: it is a stream like the others
    const sock_events_t *ev;
    void *owner;
    tls_conn_t *tls;              // owned; NULL: plain
    sock_out_t *out;              // owned; NULL: nothing queued
    sock_linger_t *linger;        // owned; not NULL: closing slowly, what is read is dropped
    addr_t *local;                // owned; asked of the kernel on first use
    uint64_t bytes_in, bytes_out; // of the application (TLS: plaintext)
    addr_t peer;
    bool reading; // libuv reads (it may while we are paused: stopping is put off until data
                  // comes)
    bool paused;
    bool eof; // the peer's side has ended
    bool read_failed;
    bool write_failed; // what came before may still be read
    bool fin_wanted;   // half-close once the queue is out
    bool fin_sent;
    bool closing; // no callback any more
};

// A socket not connected yet; or one around a connected descriptor (taken; NULL when libuv
// refuses it, fd closed).
sock_t *sock_new(loop_t *l);
sock_t *sock_open_fd(loop_t *l, int fd, const addr_t *peer);

// Below TLS: writes bytes to the wire or queues them. 0 or ERR_*.
int sock_raw_write(sock_t *s, uv_buf_t *bufs, unsigned n);
// libuv reads from now on, paused or not (a handshake).
void sock_raw_read(sock_t *s);
// Marks the connection broken, or the peer's side ended, and tells the owner.
void sock_fail(sock_t *s, int err);
void sock_ended(sock_t *s);

// Kept-alive upstream connections of a worker, by target and TLS identity. Idle ones stay readable, so a peer that closes is noticed at once.
// Not: connecting and speaking HTTP (exchange.c).
#pragma once

#include "base/str.h"
#include "io/sock.h"

typedef struct pools pools_t;
typedef struct pool pool_t;
typedef struct uconn uconn_t;
typedef struct worker worker_t;

// What makes two connections interchangeable.
typedef struct pool_key {
    str_t host; // borrowed during the call
    uint16_t port;
    tls_ctx_t *tls; // NULL: plain
    str_t sni;      // empty without TLS
} pool_key_t;

// An upstream connection. In use it belongs to its exchange, idle to its pool.
struct uconn {
    sock_t *sock;
    pool_t *pool;     // acquired
    list_t links;     // pool->idle
    io_timer_t timer; // idle timeout
    uint32_t served;  // requests answered
    bool tls;
};

pools_t *pools_create(worker_t *w);
// Closes every idle connection and frees; connections in use must be gone.
void pools_destroy(pools_t *p);
// Closes every idle connection (drain).
void pools_close_idle(pools_t *p);
unsigned pools_idle(const pools_t *p);

// The pool of a key, made on first use. Lives while somebody holds it or a connection is in it or out of it.
pool_t *pools_acquire(pools_t *p, const pool_key_t *key);
void pool_release(pool_t *p);
// How many pools there are, for specs.
unsigned pools_count(const pools_t *p);

// The connection used last, or NULL. Returned owned: pool_give or uconn_close.
uconn_t *pool_take(pool_t *p);
// Takes a connection that finished a message; closes it when the pool is full or it has served enough.
void pool_give(uconn_t *u);
// Wraps a fresh socket (taken).
uconn_t *uconn_create(pool_t *p, sock_t *s);
void uconn_close(uconn_t *u);
// Closes it when the peer has taken what is queued and ended too, or took nothing for linger_ms.
void uconn_close_linger(uconn_t *u, unsigned linger_ms);

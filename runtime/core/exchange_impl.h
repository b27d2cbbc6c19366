// Inside of the exchange, for its three files only.
#pragma once

#include "core/exchange.h"
#include "core/pool.h"
#include "core/upstreams.h"
#include "core/worker.h"

struct exchange {
    request_t *r;
    connector_t *connector; // connecting, or NULL
    uconn_t *u;             // connected, or NULL
    pool_t *pool;           // of the target; acquired
    str_t host,
        name; // of the target: where it is, and as configured; borrowed from the peer, the generation or the arena
    uint16_t port;
    peer_t *peer;             // of an Upstream, its try begun; else NULL
    balancer_waiter_t waiter; // for a first target
    uint64_t try_us;          // when the try began, monotonic; of an Upstream's only
    io_timer_t timer;         // write or read deadline
    bool sent;                // request bytes went out on this connection
    bool streamed;            // the body went or goes out as it comes: cannot be sent again
    bool body_failed;         // a write of the body failed
    bool reused, fresh_only, got_bytes, have_head;
    bool keep_alive; // so says the response
    bool chunked_up; // the body goes out chunked
    bool websocket;  // the request asks for an upgrade to WebSocket
    uint8_t n_informational;
    const char *why; // detail for the log; static, or valid until the next TLS error
    buf_t head;      // an incomplete response head
    size_t scanned;
    response_head_t *response; // in the arena; NULL: none came, or the request was made light
    body_kind_t body_kind;
    uint64_t left; // of a counted response body
    chunked_t chunked;
};

extern const sock_events_t exchange_events; // exchange_read.c

// The try failed: another one, or the end of the response, or its end in an error. May end the request.
void exchange_failed(exchange_t *x, int err);
// The upstream has read_timeout_ms for its next bytes.
void exchange_await_response(exchange_t *x);
void exchange_on_drain(sock_t *s);

// What goes out as Host by a plugin's, the route's or the Upstream's wish, maybe with a port; empty: the target's own name.
str_t exchange_chosen_host(const request_t *r);
// Whether the request's body goes out as it comes (nobody collected it and it is not here yet).
bool exchange_streams_body(const request_t *r);
// Whether the client asks for a WebSocket and the request still says so. To be asked before its hop-by-hop lines are stripped.
bool exchange_asks_for_websocket(const request_t *r);
// Writes head and what is there of the body (unless it streams). 0 or ERR_*.
int exchange_write_request(exchange_t *x);
// Writes a run of a streamed body. 0 or ERR_*.
int exchange_write_body(exchange_t *x, str_t data, bool last);
// All of the request has been handed over.
bool exchange_request_sent(const exchange_t *x);

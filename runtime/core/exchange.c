// The exchange with an upstream: targets and tries, sending, deadlines. The text that is sent is made in exchange_send.c, the
// response is read in exchange_read.c. Invariant: `u` and `connector` are never both set; every callback holds the request.
#include "core/exchange_impl.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/conn.h"
#include "core/identity.h"
#include "core/passive.h"
#include "core/respond.h"
#include "core/stream.h"
#include "core/tunnel.h"
#include "core/upstreams.h"

static void try_target(exchange_t *x);

// ---- letting go ----

static void drop_upstream(exchange_t *x)
{
    io_timer_stop(&x->timer);
    if (x->connector)
        connect_cancel(x->connector);
    x->connector = NULL;
    if (x->r->tunnel)
        tunnel_end(x->r->tunnel);
    if (x->u)
        uconn_close(x->u);
    x->u = NULL;
    if (x->pool)
        pool_release(x->pool);
    x->pool = NULL;
    if (x->peer)
        passive_end(x->peer);
    x->peer = NULL;
    balancer_unwait(&x->waiter);
    buf_dispose(&x->head);
}

void exchange_cancel(request_t *r)
{
    exchange_t *x = r->exchange;
    if (!x)
        return;
    r->exchange = NULL;
    drop_upstream(x);
}

void exchange_detach(request_t *r)
{
    if (!r->exchange)
        return;
    exchange_cancel(r);
    if (r->body.mode == BODY_STREAM)
        request_drop_body(r);
}

// ---- failures before the response head ----

static unsigned status_of(int err)
{
    if (err == ERR_TIMEOUT)
        return 504;
    return err == ERR_DNS_NAME || err == ERR_DNS_FAIL ? 503 : 502;
}

static void give_up(exchange_t *x, int err)
{
    request_t *r = x->r;
    bool dns = err == ERR_DNS_NAME || err == ERR_DNS_FAIL;
    log_write(LOG_ERR, "upstream %.*s:%u: %s%s%s, client: %s, request_id: %s", STR_FMT(x->host),
              x->port, err_text(err), x->why ? ": " : "", x->why ? x->why : "", r->client_ip,
              r->id);
    exchange_cancel(r);
    respond_error(r, status_of(err), dns ? "name resolution failed" : NULL);
}

static bool is_idempotent(http_method_t m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_PUT ||
           m == METHOD_DELETE;
}

// Whether the request may be sent again after `err` on this connection.
static bool may_retry(const exchange_t *x, int err)
{
    const request_t *r = x->r;
    if (!x->sent)
        return r->n_tries <= r->up.retries && err != ERR_DENIED;
    if (x->got_bytes || x->streamed)
        return false;
    bool safe = is_idempotent(r->head.method);
    if (x->reused && err != ERR_TIMEOUT)
        return safe || r->worker->settings->retry_non_idempotent;
    return safe && r->n_tries <= r->up.retries;
}

// A kept connection that the peer had closed says nothing about the peer.
static void tell_failure(exchange_t *x, int err)
{
    bool was_closed = x->reused && err != ERR_TIMEOUT && !x->got_bytes;
    if (x->peer && !x->have_head && !was_closed)
        passive_failed(x->r, x->peer, err, clock_mono_us() - x->try_us);
}

void exchange_failed(exchange_t *x, int err)
{
    request_t *r = x->r;
    tell_failure(x, err);
    if (r->tries && r->tries->err == 0)
        r->tries->err = err;
    if (err == ERR_TIMEOUT && stream_is_open(r) &&
        r->worker->settings->stream_idle_timeout_ms) {
        stream_cut(r, "gateway_limit", "stream_idle_timeout",
                   "the upstream was silent for too long");
        return;
    }
    if (r->head_sent) {
        respond_abort(r, "the upstream broke off its response");
        return;
    }
    bool again = may_retry(x, err);
    drop_upstream(x);
    if (!again) {
        give_up(x, err);
        return;
    }
    x->fresh_only |= x->reused;
    if (r->up.ask_on_retry && r->worker->script->enter(r, PHASE_BALANCER) != SCRIPT_DONE) {
        give_up(x, err);
        return;
    }
    try_target(x);
}

// ---- sending ----

static void on_timeout(io_timer_t *t)
{
    exchange_t *x = CONTAINER_OF(t, exchange_t, timer);
    request_t *r = x->r;
    request_hold(r);
    if (x->pool)
        exchange_failed(x, ERR_TIMEOUT);
    else
        give_up(x, ERR_DNS_FAIL); // no target has an address yet
    request_drop(r);
}

void exchange_await_response(exchange_t *x)
{
    io_timer_start(&x->timer, x->r->up.read_timeout_ms);
}

// Until the upstream has taken what is queued for it, the client is not read.
static void hold_back_body(exchange_t *x)
{
    request_t *r = x->r;
    if (!sock_pending(x->u->sock) || !x->streamed || r->body.complete || !r->conn)
        return;
    r->body.paused = true;
    conn_pause_body(r->conn);
}

// Whose turn it is: the upstream's to take what is queued, the client's to send on (its connection has a deadline for that),
// or the upstream's to answer.
static void after_write(exchange_t *x)
{
    hold_back_body(x);
    if (x->got_bytes)
        return; // the response's own deadlines count
    if (sock_pending(x->u->sock))
        io_timer_start(&x->timer, x->r->up.write_timeout_ms);
    else if (x->streamed && !x->r->body.complete)
        io_timer_stop(&x->timer);
    else
        exchange_await_response(x);
}

static void send_request(exchange_t *x)
{
    request_t *r = x->r;
    x->sent = true;
    r->upstream_start_us = clock_mono_us();
    bool stream = exchange_streams_body(r);
    int err = exchange_write_request(x);
    if (err != 0) {
        exchange_failed(x, err); // nothing of a body that streams has been used up
        return;
    }
    x->streamed = stream;
    if (stream) {
        request_stream_body(r); // may end the exchange
        if (r->finished || r->exchange != x || !x->u)
            return;
    }
    after_write(x);
}

void exchange_on_body(request_t *r, str_t data, bool last)
{
    exchange_t *x = r->exchange;
    if (!x || !x->u || x->body_failed)
        return; // the upstream answered or failed before it had read everything
    if (exchange_write_body(x, data, last) == 0) {
        after_write(x);
        return;
    }
    x->body_failed = true; // its answer may still come: the read side decides
    if (!x->got_bytes)
        exchange_await_response(x);
}

// Part of exchange_events.
void exchange_on_drain(sock_t *s)
{
    exchange_t *x = sock_owner(s);
    request_t *r = x->r;
    request_hold(r);
    after_write(x);
    if (r->body.paused) {
        r->body.paused = false;
        if (!r->body.complete && r->conn)
            conn_read_body(r->conn);
    }
    request_drop(r);
}

// ---- targets and connections ----

static void record_try(exchange_t *x)
{
    request_t *r = x->r;
    try_record_t *t = arena_zalloc(&r->arena, sizeof *t);
    *t = (try_record_t){
        .next = r->tries, .ip = x->host, .port = x->port, .at_us = clock_wall_us()};
    if (x->peer) { // which may be gone when the request is logged
        t->ip = arena_dup(&r->arena, x->host);
        t->peer = x->peer->key;
    }
    r->tries = t;
    r->n_tries++;
}

static void use_connection(exchange_t *x, uconn_t *u, bool reused)
{
    ASSERT(!x->u && !x->connector, "one upstream connection at a time");
    x->u = u;
    x->reused = reused;
    sock_own(u->sock, &exchange_events, x);
    sock_resume(u->sock);
    send_request(x);
}

static void on_connected(void *arg, int err, sock_t *s)
{
    exchange_t *x = arg;
    request_t *r = x->r;
    ASSERT(x->connector != NULL, "a cancelled connector does not call back");
    x->connector = NULL;
    request_hold(r);
    r->tries->connect_us = (uint32_t)(clock_wall_us() - r->tries->at_us);
    if (err != 0) {
        const char *why = connect_why(r->worker->loop);
        x->why = why[0] ? why : NULL;
        exchange_failed(x, err);
    } else {
        use_connection(x, uconn_create(x->pool, s), false);
    }
    request_drop(r);
}

static void connect_target(exchange_t *x, const pool_key_t *key)
{
    request_t *r = x->r;
    connect_opts_t o = {.host = key->host,
                        .port = key->port,
                        .timeout_ms = r->up.connect_timeout_ms,
                        .tls = key->tls,
                        .sni = key->sni,
                        .on_done = on_connected,
                        .arg = x};
    x->connector = sock_connect(r->worker->loop, &o);
}

static str_t sni_for(const exchange_t *x)
{
    const request_t *r = x->r;
    str_t chosen = exchange_chosen_host(r);
    if (r->up.sni.n)
        return r->up.sni;
    return chosen.n ? chosen : x->name;
}

static void on_addresses(balancer_waiter_t *w)
{
    exchange_t *x = CONTAINER_OF(w, exchange_t, waiter);
    request_t *r = x->r;
    request_hold(r);
    io_timer_stop(&x->timer);
    try_target(x);
    request_drop(r);
}

// False: it waits for a target, or there is none and the client is told so.
static bool pick_target(exchange_t *x)
{
    request_t *r = x->r;
    upstream_pick_t pick;
    int rc = upstreams_pick(r, &pick);
    if (rc > 0) {
        x->host = r->up.host; // for the log, should it fail
        x->waiter.fn = on_addresses;
        upstreams_wait(r, &x->waiter);
        io_timer_start(&x->timer, r->up.connect_timeout_ms);
        return false;
    }
    if (rc < 0) {
        exchange_cancel(r);
        respond_error(r, 503, "failure to get a peer from the ring-balancer");
        return false;
    }
    x->host = pick.host;
    x->port = pick.port;
    x->name = pick.name;
    x->peer = pick.peer;
    if (x->peer) {
        passive_begin(x->peer);
        x->try_us = clock_mono_us();
    }
    return true;
}

static void try_target(exchange_t *x)
{
    request_t *r = x->r;
    x->sent = x->got_bytes = x->body_failed = false;
    x->why = NULL;
    x->scanned = 0;
    x->n_informational = 0;
    ASSERT(!x->pool && !x->peer, "what an earlier try held was released");
    if (!pick_target(x))
        return;
    record_try(x);
    pool_key_t key = {.host = x->host, .port = x->port};
    if (r->up.https) {
        key.tls = identity_for(r, &x->why);
        key.sni = sni_for(x);
        if (!key.tls) {
            give_up(x, ERR_TLS_HANDSHAKE);
            return;
        }
    }
    x->pool = pools_acquire(r->worker->pools, &key);
    uconn_t *u = x->fresh_only ? NULL : pool_take(x->pool);
    if (u)
        use_connection(x, u, true);
    else
        connect_target(x, &key);
}

void exchange_start(request_t *r)
{
    ASSERT(!r->exchange, "one exchange at a time");
    if (r->body.err &&
        !r->new_body
             .p) { // a plugin wanted the body, did not get it, and went on: what is here of it is not the body
        respond_error(r, request_body_status(r->body.err), NULL);
        return;
    }
    ASSERT(!r->exchange_room, "a request goes upstream once");
    exchange_t *x = r->exchange_room = mem_alloc(sizeof *x);
    *x = (exchange_t){.r = r, .websocket = r->head.upgrade && exchange_asks_for_websocket(r)};
    io_timer_init(&x->timer, r->worker->loop, on_timeout);
    r->exchange = x;
    r->state = REQ_PROXY;
    request_hold(r);
    try_target(x);
    request_drop(r);
}

// The exchange with an upstream: targets and tries, sending, the response head, the body. The text that is sent is made in
// exchange_send.c. Invariant: `u` and `connector` are never both set; every callback holds the request.
#include "core/exchange_impl.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/conn.h"
#include "core/respond.h"
#include "core/upstreams.h"
#include "core/upstreams_state.h"

enum { INFORMATIONAL_MAX = 8 };

static void try_target(exchange_t *x);

// ---- letting go ----

static void drop_upstream(exchange_t *x)
{
    io_timer_stop(&x->timer);
    if (x->connector)
        connect_cancel(x->connector);
    x->connector = NULL;
    if (x->u)
        uconn_close(x->u);
    x->u = NULL;
    if (x->pool)
        pool_release(x->pool);
    x->pool = NULL;
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
              x->port, err_text(err), x->why ? ": " : "", x->why ? x->why : "", r->client_ip, r->id);
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

static void failed(exchange_t *x, int err)
{
    request_t *r = x->r;
    if (r->tries && r->tries->err == 0)
        r->tries->err = err;
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
    try_target(x);
}

// ---- sending ----

static void on_timeout(io_timer_t *t)
{
    exchange_t *x = CONTAINER_OF(t, exchange_t, timer);
    request_t *r = x->r;
    request_hold(r);
    failed(x, ERR_TIMEOUT);
    request_drop(r);
}

static void await_response(exchange_t *x)
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
        return;  // the response's own deadlines count
    if (sock_pending(x->u->sock))
        io_timer_start(&x->timer, x->r->up.write_timeout_ms);
    else if (x->streamed && !x->r->body.complete)
        io_timer_stop(&x->timer);
    else
        await_response(x);
}

static void send_request(exchange_t *x)
{
    request_t *r = x->r;
    x->sent = true;
    r->upstream_start_us = clock_mono_us();
    bool stream = exchange_streams_body(r);
    int err = exchange_write_request(x);
    if (err != 0) {
        failed(x, err);  // nothing of a body that streams has been used up
        return;
    }
    x->streamed = stream;
    if (stream) {
        request_stream_body(r);  // may end the exchange
        if (r->finished || r->exchange != x || !x->u)
            return;
    }
    after_write(x);
}

void exchange_on_body(request_t *r, str_t data, bool last)
{
    exchange_t *x = r->exchange;
    if (!x || !x->u || x->body_failed)
        return;  // the upstream answered or failed before it had read everything
    if (exchange_write_body(x, data, last) == 0) {
        after_write(x);
        return;
    }
    x->body_failed = true;  // its answer may still come: the read side decides
    if (!x->got_bytes)
        await_response(x);
}

static void on_drain(sock_t *s)
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
    if (err != 0)
        failed(x, err);
    else
        use_connection(x, uconn_create(x->pool, s), false);
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
    if (r->up.sni.n)
        return r->up.sni;
    if (r->up.host_header.n) {
        ptrdiff_t colon = str_chr(r->up.host_header, ':');
        return colon > 0 ? str_make(r->up.host_header.p, (size_t)colon) : r->up.host_header;
    }
    if (r->up.balancer && r->up.balancer->host_header.n)
        return r->up.balancer->host_header;
    return x->host;
}

static void try_target(exchange_t *x)
{
    request_t *r = x->r;
    x->sent = x->got_bytes = x->body_failed = false;
    x->scanned = 0;
    x->n_informational = 0;
    if (upstreams_pick(r, &x->host, &x->port) != 0) {
        exchange_cancel(r);
        respond_error(r, 503, "failure to get a peer from the ring-balancer");
        return;
    }
    record_try(x);
    pool_key_t key = {.host = x->host, .port = x->port};
    if (r->up.https) {
        key.tls = upstreams_tls(r);
        key.sni = sni_for(x);
        if (!key.tls) {
            give_up(x, ERR_TLS_HANDSHAKE);
            return;
        }
    }
    ASSERT(!x->pool, "the pool of an earlier try was released");
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
    if (r->body.err) {  // a plugin wanted the body, did not get it, and went on: what is here of it is not the body
        respond_error(r, request_body_status(r->body.err), NULL);
        return;
    }
    exchange_t *x = arena_zalloc(&r->arena, sizeof *x);
    x->r = r;
    io_timer_init(&x->timer, r->worker->loop, on_timeout);
    r->exchange = x;
    r->state = REQ_PROXY;
    request_hold(r);
    try_target(x);
    request_drop(r);
}

// ---- the response head ----

static bool wants_collecting(const request_t *r)
{
    return r->buffering || (r->phases & PHASE_RESPONSE);
}

static uint64_t length_of(const exchange_t *x)
{
    const request_t *r = x->r;
    if (r->tap && r->tap->hide_usage && r->tap->stream)
        return UINT64_MAX;
    if (x->response.body == BODY_LENGTH || r->head.method == METHOD_HEAD)
        return x->response.content_length;
    return x->response.body == BODY_NONE ? 0 : UINT64_MAX;
}

// The response's own set starts as a copy of the upstream's, with room for what plugins add.
static void copy_headers(request_t *r, const headers_t *from)
{
    enum { SPARE = 8 };
    headers_t *to = &r->headers;
    to->cap = from->n + SPARE;
    to->v = arena_alloc(&r->arena, to->cap * sizeof *to->v);
    if (from->n)
        memcpy(to->v, from->v, from->n * sizeof *to->v);
    to->n = from->n;
}

// Lines of a gateway behind this one that this one writes itself: the client's id is the one in this gateway's logs.
static void drop_own_lines(headers_t *h)
{
    headers_remove(h, HDR_X_KONG_REQUEST_ID, hdr_name(HDR_X_KONG_REQUEST_ID));
    headers_remove(h, HDR_OTHER, STR("X-Kong-Upstream-Latency"));
    headers_remove(h, HDR_OTHER, STR("X-Kong-Proxy-Latency"));
}

static void on_head(exchange_t *x)
{
    request_t *r = x->r;
    r->upstream_head_us = clock_mono_us();
    r->upstream_status = x->response.status;
    r->source = SOURCE_SERVICE;
    headers_strip_hop_by_hop(&x->response.headers);
    r->upstream_headers = x->response.headers;
    copy_headers(r, &x->response.headers);
    drop_own_lines(&r->headers);
    x->have_head = true;
    x->body_kind = x->response.body;
    x->left = x->response.content_length;
    if (x->body_kind == BODY_CHUNKED)
        chunked_init(&x->chunked);
    if (r->tap)
        tap_head(r->tap, x->response.status, headers_get(&r->headers, HDR_CONTENT_TYPE),
                 headers_get(&r->headers, HDR_CONTENT_ENCODING));
    if (wants_collecting(r))
        r->buffering = true;
    else
        respond_begin(r, x->response.status, length_of(x));
}

// Parses the head at p[0..n): its length, 0 when more is needed, SIZE_MAX when the exchange failed or the request ended.
static size_t take_head(exchange_t *x, const char *p, size_t n)
{
    request_t *r = x->r;
    head_limits_t limits = r->worker->limits;
    limits.head_max_bytes *= 4;  // responses carry larger heads than requests do (cookies, policies)
    limits.fields_max *= 2;
    size_t end = head_find_end(p, n, &x->scanned);
    if (end == 0 && n <= limits.head_max_bytes)
        return 0;
    x->scanned = 0;
    x->why = "response head too large";
    str_t copy = end ? arena_dup(&r->arena, str_make(p, end)) : STR("");
    if (end == 0 || response_head_parse(&x->response, &r->arena, copy.p, end, r->head.method,
                                        &limits, &x->why) != HEAD_OK) {
        failed(x, ERR_PROTOCOL);
        return SIZE_MAX;
    }
    if (x->response.status >= 200) {
        on_head(x);
        return r->finished || r->exchange != x ? SIZE_MAX : end;
    }
    if (++x->n_informational > INFORMATIONAL_MAX) {
        x->why = "too many informational responses";
        failed(x, ERR_PROTOCOL);
        return SIZE_MAX;
    }
    return end;
}

// ---- the response body ----

static void finish_collected(exchange_t *x)
{
    request_t *r = x->r;
    if (r->phases & PHASE_RESPONSE) {
        r->status = x->response.status;
        script_result_t result = r->worker->script->enter(r, PHASE_RESPONSE);
        if (r->finished || result == SCRIPT_RESPONDED)
            return;
        if (result == SCRIPT_FAILED) {
            respond_error(r, 500, NULL);
            return;
        }
    }
    exchange_cancel(r);
    unsigned status = r->status ? r->status : x->response.status;
    bool no_body = r->head.method == METHOD_HEAD;
    if (respond_begin(r, status, no_body ? length_of(x) : r->collected.n) != 0)
        return;
    if (r->collected.n && respond_body(r, buf_str(&r->collected)) != 0)
        return;
    respond_end(r);
}

// The whole response has been read: the connection goes back, then the client gets its end.
static void complete(exchange_t *x, bool clean)
{
    request_t *r = x->r;
    r->upstream_end_us = clock_mono_us();
    bool reusable = clean && x->response.keep_alive && x->body_kind != BODY_TO_EOF &&
                    !x->body_failed && exchange_request_sent(x) && !sock_pending(x->u->sock);
    uconn_t *u = x->u;
    x->u = NULL;
    io_timer_stop(&x->timer);
    if (reusable)
        pool_give(u);
    else
        uconn_close(u);
    if (x->streamed && !r->body.complete)
        request_drop_body(r);
    if (r->buffering) {
        finish_collected(x);
        return;
    }
    exchange_cancel(r);
    respond_end(r);
}

static bool collect(request_t *r, str_t data)
{
    uint64_t max = r->worker->settings->body_buffer_max_bytes;
    if (max && r->collected.n + data.n > max)
        return false;
    return buf_try_append(&r->collected, data) == 0;
}

// Payload towards the client. False when the request or its exchange ended.
static bool pass_on(exchange_t *x, str_t data, bool eof)
{
    request_t *r = x->r;
    r->upstream_bytes_in += data.n;
    str_t parts[2] = {data};
    unsigned n = data.n ? 1 : 0;
    if (r->tap)
        tap_feed(r->tap, data, eof, parts, &n);
    for (unsigned i = 0; i < n; i++) {
        if (r->buffering) {
            if (!collect(r, parts[i])) {
                x->why = "response too large to be buffered for a plugin (body_buffer_max_bytes)";
                failed(x, ERR_TOO_LARGE);
                return false;
            }
        } else if (respond_body(r, parts[i]) != 0) {
            return false;
        }
    }
    return !r->finished && r->exchange == x;
}

static void take_chunked(exchange_t *x, char *p, size_t n)
{
    size_t out_n, used;
    int got = chunked_decode_in_place(&x->chunked, p, n, &out_n, &used);
    bool eof = got == CHUNKED_DONE;
    if ((out_n || eof) && !pass_on(x, str_make(p, out_n), eof))
        return;
    if (got == CHUNKED_BAD) {
        x->why = "bad chunked coding";
        failed(x, ERR_PROTOCOL);
    } else if (eof) {
        complete(x, used == n);
    }
}

static void take_counted(exchange_t *x, char *p, size_t n)
{
    size_t take = n < x->left ? n : (size_t)x->left;
    x->left -= take;
    bool eof = x->left == 0;
    if (pass_on(x, str_make(p, take), eof) && eof)
        complete(x, take == n);
}

static void take_body(exchange_t *x, char *p, size_t n)
{
    switch (x->body_kind) {
    case BODY_NONE:
        complete(x, n == 0);
        break;
    case BODY_LENGTH:
        take_counted(x, p, n);
        break;
    case BODY_CHUNKED:
        take_chunked(x, p, n);
        break;
    case BODY_TO_EOF:
        pass_on(x, str_make(p, n), false);
        break;
    }
}

// ---- events ----

static void after_data(exchange_t *x)
{
    request_t *r = x->r;
    if (r->finished || r->exchange != x || !x->u)
        return;
    respond_flush(r);
    if (r->out_failed) {
        conn_close(r->conn, true);  // ends the request too
        return;
    }
    if (respond_pending(r)) {
        sock_pause(x->u->sock);
        io_timer_stop(&x->timer);
    } else {
        await_response(x);
    }
}

// Everything that came before the body: heads, and what of the body came with the last of them.
static void take_bytes(exchange_t *x, char *p, size_t n)
{
    while (!x->have_head) {
        size_t end = n ? take_head(x, p, n) : 0;
        if (end == SIZE_MAX)
            return;
        if (end == 0) {
            buf_append(&x->head, str_make(p, n));
            return;
        }
        p += end;
        n -= end;
    }
    bool empty = x->body_kind == BODY_NONE || (x->body_kind == BODY_LENGTH && x->left == 0);
    if (n || empty)
        take_body(x, p, n);
}

static void on_data(sock_t *s, char *data, size_t n)
{
    exchange_t *x = sock_owner(s);
    request_t *r = x->r;
    buf_t whole = {0};  // a head that came in pieces; what of the body came with it is borrowed until the flush
    request_hold(r);
    x->got_bytes = true;
    if (x->have_head) {
        take_body(x, data, n);
    } else if (x->head.n) {
        buf_append(&x->head, str_make(data, n));
        whole = x->head;
        x->head = (buf_t){0};
        take_bytes(x, whole.p + whole.head, whole.n);
    } else {
        take_bytes(x, data, n);
    }
    after_data(x);
    buf_dispose(&whole);
    request_drop(r);
}

static void on_eof(sock_t *s)
{
    exchange_t *x = sock_owner(s);
    request_t *r = x->r;
    request_hold(r);
    if (x->have_head && x->body_kind == BODY_TO_EOF) {
        if (pass_on(x, STR(""), true))
            complete(x, false);
    } else {
        failed(x, ERR_EOF);
    }
    request_drop(r);
}

static void on_error(sock_t *s, int err)
{
    exchange_t *x = sock_owner(s);
    request_t *r = x->r;
    request_hold(r);
    failed(x, err);
    request_drop(r);
}

const sock_events_t exchange_events = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drain = on_drain};

void exchange_on_client_drain(request_t *r)
{
    exchange_t *x = r->exchange;
    if (!x || !x->u || !x->have_head)
        return;
    sock_resume(x->u->sock);
    await_response(x);
}

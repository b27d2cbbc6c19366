// The response of an exchange: head, interim responses, body, its end. What goes back to the pool is decided here.
// Invariant: a connection is used again only after a message that ended exactly where its framing said.
#include "core/exchange_impl.h"
#include "core/passive.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/respond.h"
#include "core/tunnel.h"

enum { INFORMATIONAL_MAX = 8 };

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
    if (x->response->body == BODY_LENGTH || r->head.method == METHOD_HEAD)
        return x->response->content_length;
    return x->response->body == BODY_NONE ? 0 : UINT64_MAX;
}

// The response's own set starts as a copy of the upstream's, with room for what plugins add.
static void copy_headers(request_t *r, const headers_t *from)
{
    enum { SPARE = 8 };
    headers_t *to = &r->headers;
    *to = *from;
    to->cap = from->n + SPARE;
    to->v = arena_alloc(&r->arena, to->cap * sizeof *to->v);
    if (from->n)
        memcpy(to->v, from->v, from->n * sizeof *to->v);
}

// Lines of a gateway behind this one that this one writes itself: the client's id is the one in this gateway's logs.
static void drop_own_lines(headers_t *h)
{
    headers_remove(h, HDR_X_KONG_REQUEST_ID, hdr_name(HDR_X_KONG_REQUEST_ID));
    headers_remove(h, HDR_OTHER, STR("X-Kong-Upstream-Latency"));
    headers_remove(h, HDR_OTHER, STR("X-Kong-Proxy-Latency"));
}

// Once the answer is there the request is not sent again, and without plugins behind it nobody looks at its body any more.
static void release_body(request_t *r)
{
    const uint32_t later = PHASE_RESPONSE | PHASE_HEADER_FILTER | PHASE_BODY_FILTER | PHASE_LOG;
    if (r->body.complete && !(r->phases & later))
        buf_dispose(&r->body.data);
}

// Between the events of a stream another patience may be due than before its head.
static void await_events(request_t *r)
{
    uint32_t ms = r->worker->settings->stream_idle_timeout_ms;
    if (r->events && ms)
        r->up.read_timeout_ms = ms;
}

// The upstream speaks WebSocket from here on. Its head goes to the client as any other does, then the connections become a tunnel.
static void switch_protocols(exchange_t *x)
{
    request_t *r = x->r;
    ASSERT(x->websocket && r->conn, "a 101 answers a client that asked for it");
    headers_set(&r->headers, &r->arena, HDR_UPGRADE, hdr_name(HDR_UPGRADE), STR("websocket"));
    if (respond_begin(r, 101, 0) != 0)
        return;
    if (r->status != 101) { // a plugin would not have it
        exchange_detach(r);
        respond_end(r);
        return;
    }
    io_timer_stop(&x->timer);
    uconn_t *u = x->u;
    x->u = NULL;
    tunnel_begin(r, u);
}

static void on_head(exchange_t *x)
{
    request_t *r = x->r;
    ASSERT(!x->have_head && !r->head_sent, "an exchange has one final head");
    r->upstream_head_us = clock_mono_us();
    r->upstream_status = x->response->status;
    x->keep_alive = x->response->keep_alive;
    if (x->peer)
        passive_answered(r, x->peer, x->response->status, clock_mono_us() - x->try_us);
    r->source = SOURCE_SERVICE;
    headers_strip_hop_by_hop(&x->response->headers);
    r->upstream_headers = x->response->headers;
    copy_headers(r, &x->response->headers);
    drop_own_lines(&r->headers);
    x->have_head = true;
    release_body(r);
    x->body_kind = x->response->body;
    x->left = x->response->content_length;
    if (x->body_kind == BODY_CHUNKED)
        chunked_init(&x->chunked);
    if (r->tap)
        tap_head(r->tap, x->response->status, headers_get(&r->headers, HDR_CONTENT_TYPE),
                 headers_get(&r->headers, HDR_CONTENT_ENCODING));
    if (x->response->status == 101)
        switch_protocols(x);
    else if (wants_collecting(r))
        r->buffering = true;
    else if (respond_begin(r, x->response->status, length_of(x)) == 0)
        await_events(r);
}

static int parse_head(exchange_t *x, str_t head, const head_limits_t *limits)
{
    request_t *r = x->r;
    if (!x->websocket)
        return response_head_parse(x->response, &r->arena, head.p, head.n, r->head.method,
                                   limits, &x->why);
    int rc =
        response_head_parse_switch(x->response, &r->arena, head.p, head.n, limits, &x->why);
    bool other = rc == HEAD_OK && x->response->status == 101 &&
                 !str_ieq(headers_get(&x->response->headers, HDR_UPGRADE), STR("websocket"));
    if (other)
        x->why = "a 101 to another protocol than the one asked for";
    return other ? HEAD_BAD : rc;
}

// Parses the head at p[0..n): its length, 0 when more is needed, SIZE_MAX when the exchange failed or the request ended.
static size_t take_head(exchange_t *x, const char *p, size_t n)
{
    request_t *r = x->r;
    head_limits_t limits = r->worker->limits;
    limits.head_max_bytes *=
        4; // responses carry larger heads than requests do (cookies, policies)
    limits.fields_max *= 2;
    size_t end = head_find_end(p, n, &x->scanned);
    if (end == 0 && n <= limits.head_max_bytes)
        return 0;
    x->scanned = 0;
    x->why = "response head too large";
    if (!x->response)
        x->response = arena_alloc(&r->arena, sizeof *x->response);
    str_t copy = end ? arena_dup(&r->arena, str_make(p, end)) : STR("");
    if (end == 0 || parse_head(x, copy, &limits) != HEAD_OK) {
        exchange_failed(x, ERR_PROTOCOL);
        return SIZE_MAX;
    }
    if (x->response->status >= 200 || x->response->status == 101) {
        on_head(x);
        return r->finished || r->exchange != x ? SIZE_MAX : end;
    }
    if (++x->n_informational > INFORMATIONAL_MAX) {
        x->why = "too many informational responses";
        exchange_failed(x, ERR_PROTOCOL);
        return SIZE_MAX;
    }
    return end;
}

// ---- the response body ----

static void finish_collected(exchange_t *x)
{
    request_t *r = x->r;
    if (r->phases & PHASE_RESPONSE) {
        r->status = x->response->status;
        script_result_t result = r->worker->script->enter(r, PHASE_RESPONSE);
        if (r->finished || result == SCRIPT_RESPONDED)
            return;
        if (result == SCRIPT_FAILED) {
            respond_error(r, 500, NULL);
            return;
        }
    }
    exchange_cancel(r);
    unsigned status = r->status ? r->status : x->response->status;
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
    bool reusable = clean && x->keep_alive && x->body_kind != BODY_TO_EOF && !x->body_failed &&
                    exchange_request_sent(x) && !sock_pending(x->u->sock);
    ASSERT(x->u && x->have_head, "a response ends on its connection");
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
                x->why =
                    "response too large to be buffered for a plugin (body_buffer_max_bytes)";
                exchange_failed(x, ERR_TOO_LARGE);
                return false;
            }
        } else if (respond_body(r, parts[i]) != 0) {
            return false;
        }
    }
    if (r->finished || r->exchange != x)
        return false;
    if (!r->filter_ended || eof)
        return true;
    exchange_detach(r); // nobody waits for the rest
    respond_end(r);
    return false;
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
        exchange_failed(x, ERR_PROTOCOL);
    } else if (eof) {
        complete(x, used == n);
    }
}

static void take_counted(exchange_t *x, char *p, size_t n)
{
    ASSERT(x->body_kind == BODY_LENGTH, "a counted body has a length");
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

// What was needed up to the response's head goes, while the client waits for the rest.
static void lighten(exchange_t *x)
{
    if (!request_lighten(x->r))
        return;
    x->host = x->name = STR("");
    x->response = NULL;
}

static void after_data(exchange_t *x)
{
    request_t *r = x->r;
    if (r->finished || r->exchange != x || !x->u)
        return;
    respond_flush(r);
    if (r->out_failed) {
        conn_close(r->conn, true); // ends the request too
        return;
    }
    if (respond_pending(r)) {
        sock_pause(x->u->sock);
        io_timer_stop(&x->timer);
    } else {
        exchange_await_response(x);
        lighten(x);
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
    if (x->r->tunnel) {
        tunnel_start(x->r->tunnel, str_make(p, n));
        return;
    }
    bool empty = x->body_kind == BODY_NONE || (x->body_kind == BODY_LENGTH && x->left == 0);
    if (n || empty)
        take_body(x, p, n);
}

static void on_data(sock_t *s, char *data, size_t n)
{
    exchange_t *x = sock_owner(s);
    request_t *r = x->r;
    buf_t whole = {
        0}; // a head that came in pieces; what of the body came with it is borrowed until the flush
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
        exchange_failed(x, ERR_EOF);
    }
    request_drop(r);
}

static void on_error(sock_t *s, int err)
{
    exchange_t *x = sock_owner(s);
    request_t *r = x->r;
    request_hold(r);
    exchange_failed(x, err);
    request_drop(r);
}

const sock_events_t exchange_events = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drain = exchange_on_drain};

void exchange_on_client_drain(request_t *r)
{
    exchange_t *x = r->exchange;
    if (!x || !x->u || !x->have_head)
        return;
    sock_resume(x->u->sock);
    exchange_await_response(x);
}

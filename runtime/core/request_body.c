// A request's body: decode the framing, then hold, collect, stream on or drop. Reading stops when nobody takes more
// (back-pressure), and a body over its limit or against its framing is an error of the request.
#include "base/check.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/exchange.h"
#include "core/request.h"
#include "core/respond.h"
#include "core/worker.h"

// RESERVE_MAX: so much is set aside for a body that only its length announces.
// ROOM_MIN: less is not worth a read of its own.
enum {
    HELD_MAX = 64 * 1024,
    DRAIN_MAX = 256 * 1024,
    RESERVE_MAX = 16 * 1024 * 1024,
    ROOM_MIN = 16 * 1024
};

// The next run of payload in *in. 0, or ERR_PROTOCOL.
static int next_run(body_t *b, str_t *in, str_t *run)
{
    if (b->kind == BODY_CHUNKED) {
        int got = chunked_feed(&b->chunked, in, run);
        b->complete = got == CHUNKED_DONE;
        return got == CHUNKED_BAD ? ERR_PROTOCOL : 0;
    }
    size_t n = in->n < b->left ? in->n : (size_t)b->left;
    *run = str_make(in->p, n);
    *in = str_from_at(*in, n);
    b->left -= n;
    b->complete = b->left == 0;
    return 0;
}

static size_t room_left(const body_t *b)
{
    return b->data.cap - b->data.head - b->data.n;
}

// Sets memory aside at once for all that is still to come.
static void reserve_rest(body_t *b, uint64_t expected)
{
    if (b->mode == BODY_COLLECT && b->kind == BODY_LENGTH && expected <= RESERVE_MAX &&
        room_left(b) < expected)
        buf_reserve(&b->data, (size_t)expected);
}

char *body_room(body_t *b, size_t *n)
{
    if (b->mode != BODY_COLLECT || b->kind != BODY_LENGTH || b->complete || b->err ||
        b->left < ROOM_MIN)
        return NULL;
    reserve_rest(b, b->left);
    size_t room = room_left(b);
    if (room < ROOM_MIN)
        return NULL;
    *n = room < b->left ? room : (size_t)b->left;
    return b->data.p + b->data.head + b->data.n;
}

static bool is_in_place(const body_t *b, str_t run)
{
    return b->data.p && run.p == b->data.p + b->data.head + b->data.n && run.n <= room_left(b);
}

static int keep(body_t *b, str_t run)
{
    if (is_in_place(b, run)) {
        buf_commit(&b->data, run.n);
        return 0;
    }
    if (!b->complete)
        reserve_rest(b, b->left + run.n);
    return buf_try_append(&b->data, run) == 0 ? 0 : ERR_TOO_LARGE;
}

static int take_run(request_t *r, str_t run)
{
    body_t *b = &r->body;
    b->received += run.n;
    if (b->limit && b->received > b->limit)
        return ERR_TOO_LARGE;
    if (b->mode == BODY_STREAM)
        exchange_on_body(r, run, b->complete);
    else if (b->mode != BODY_DROP)
        return keep(b, run);
    return 0;
}

static void body_done(request_t *r, int err)
{
    void (*fn)(request_t *, int) = r->on_body;
    r->on_body = NULL;
    if (fn)
        fn(r, err);
}

unsigned request_body_status(int err)
{
    return err == ERR_TOO_LARGE ? 413 : err == ERR_TIMEOUT ? 408 : 400;
}

static void body_failed(request_t *r, int err)
{
    r->body.err = err;
    r->body.complete = false;
    r->close_after = true;
    if (r->on_body)
        body_done(r, err);
    else if (r->body.mode == BODY_DROP)
        return; // nobody wants it: the answer under way is as good as before
    else if (r->state != REQ_HEAD && !r->finished)
        respond_error(r, request_body_status(err), NULL);
}

// Whether more bytes may be read now.
static bool wants_more(const request_t *r)
{
    const body_t *b = &r->body;
    return b->mode == BODY_COLLECT || b->mode == BODY_DROP ||
           (b->mode == BODY_HELD && b->data.n < HELD_MAX) ||
           (b->mode == BODY_STREAM && !b->paused);
}

static void set_reading(request_t *r)
{
    if (r->finished || !r->conn || r->body.err)
        return;
    if (r->body.complete)
        io_timer_stop(&r->conn->timer);
    else if (wants_more(r))
        conn_read_body(r->conn);
    else
        conn_pause_body(r->conn);
}

void request_feed_body(request_t *r, str_t *in)
{
    body_t *b = &r->body;
    size_t before = in->n;
    while (!b->complete && !b->err && !r->finished && in->n) {
        str_t run = STR("");
        int err = next_run(b, in, &run);
        b->continue_sent = true;
        if (err == 0 && (run.n || b->complete))
            err = take_run(r, run);
        if (err != 0)
            body_failed(r, err);
    }
    r->received_bytes += before - in->n;
    if (b->complete && r->on_body)
        body_done(r, 0);
    else if (r->state != REQ_HEAD)
        set_reading(r);
}

void request_send_continue(request_t *r)
{
    static const str_t LINE = {.p = "HTTP/1.1 100 Continue\r\n\r\n", .n = 25};
    if (r->body.continue_sent || r->head_sent || !r->conn)
        return;
    r->body.continue_sent = true;
    if (sock_write(r->conn->sock, &LINE, 1) != 0)
        r->out_failed = true;
}

void request_read_body(request_t *r, uint64_t max_bytes, void (*fn)(request_t *r, int err))
{
    body_t *b = &r->body;
    ASSERT(!r->on_body, "one waiter for the body");
    ASSERT(b->mode == BODY_HELD || b->mode == BODY_COLLECT, "the body went elsewhere");
    uint64_t limit = max_bytes ? max_bytes : r->worker->settings->body_buffer_max_bytes;
    if (limit && (!b->limit || limit < b->limit))
        b->limit = limit;
    b->mode = BODY_COLLECT;
    bool too_large =
        b->limit && (b->received > b->limit ||
                     (b->kind == BODY_LENGTH && r->head.content_length > b->limit));
    if (too_large)
        b->err = ERR_TOO_LARGE;
    if (b->err || b->complete) {
        fn(r, b->err);
        return;
    }
    r->on_body = fn;
    request_send_continue(r);
    set_reading(r);
}

void request_stream_body(request_t *r)
{
    body_t *b = &r->body;
    ASSERT(b->mode == BODY_HELD || b->mode == BODY_COLLECT,
           "a body streams from its beginning");
    ASSERT(!r->on_body, "somebody waits for the whole body");
    b->mode = BODY_STREAM;
    if (b->data.n)
        exchange_on_body(r, buf_str(&b->data), b->complete);
    buf_dispose(&b->data);
    request_send_continue(r);
    if (!b->complete)
        set_reading(r);
}

void request_drop_body(request_t *r)
{
    r->body.mode = BODY_DROP;
    r->close_after |= !r->body.complete;
}

bool request_can_drain(const request_t *r)
{
    const body_t *b = &r->body;
    bool bounded = b->kind == BODY_CHUNKED ? b->received < DRAIN_MAX : b->left <= DRAIN_MAX;
    return r->conn && !b->complete && !b->err && b->continue_sent && bounded;
}

static void drained(request_t *r, int err)
{
    if (err != 0)
        r->close_after = true;
    request_finish(r);
}

void request_drain(request_t *r)
{
    ASSERT(r->ended && !r->on_body, "a body is drained after its response");
    r->body.mode = BODY_DROP;
    r->body.limit = r->body.received + DRAIN_MAX;
    r->body.paused = false;
    r->on_body = drained;
    set_reading(r);
}

// Whether its silence holds anything up.
static bool body_awaited(const request_t *r)
{
    const body_t *b = &r->body;
    return r->on_body || (b->mode == BODY_STREAM && r->exchange);
}

void request_on_body_timeout(request_t *r)
{
    if (!body_awaited(r))
        return;
    request_hold(r);
    if (r->ended) {
        body_failed(r, ERR_TIMEOUT); // was draining
    } else if (!r->head_sent) {
        r->exit_reason = STR("request body incomplete at its deadline");
        body_failed(r, ERR_TIMEOUT);
    } else {
        conn_close(r->conn, true);
    }
    request_drop(r);
}

str_t request_body_text(request_t *r)
{
    if (r->new_body.p)
        return r->new_body;
    if (!r->doc || r->doc->n_edits == 0)
        return buf_str(&r->body.data);
    str_t *slices = arena_alloc(&r->arena, json_doc_max_slices(r->doc) * sizeof *slices);
    size_t total;
    uint32_t n = json_doc_slices(r->doc, slices, &total);
    char *p = arena_alloc(&r->arena, total + 1), *at = p;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(at, slices[i].p, slices[i].n);
        at += slices[i].n;
    }
    return str_make(p, total);
}

// Responses: header ops, filters, framing, writing, ending. Bytes gather in worker->out and leave in one writev at the end of the event
// being handled. The gateway's own error texts are in respond_error.c, the head's bytes in respond_head.c.
#include "core/respond.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/exchange.h"
#include "core/field_name.h"
#include "core/respond_head.h"
#include "core/worker.h"

// ---- header ops ----

static int record(request_t *r, int kind, str_t name, str_t value, bool only_on_200)
{
    hdr_id_t id;
    if (!header_value_valid(value) || field_name_take(&r->arena, name, &name, &id) != 0)
        return ERR_INVALID;
    if (r->head_sent)
        return -1;
    header_op_t *op = arena_zalloc(&r->arena, sizeof *op);
    op->kind = kind;
    op->only_on_200 = only_on_200;
    op->id = (uint16_t)id;
    op->name = id == HDR_OTHER ? name : hdr_name(id);
    op->value = arena_dup(&r->arena, value);
    *r->ops_tail = op;
    r->ops_tail = &op->next;
    return 0;
}

int respond_header_set(request_t *r, str_t name, str_t value)
{
    return record(r, HOP_SET, name, value, false);
}

int respond_header_add(request_t *r, str_t name, str_t value)
{
    return record(r, HOP_ADD, name, value, false);
}

int respond_header_remove(request_t *r, str_t name)
{
    return record(r, HOP_REMOVE, name, STR(""), false);
}

int respond_header_on_success(request_t *r, str_t name, str_t value)
{
    return record(r, HOP_SET, name, value, true);
}

void respond_apply_ops(request_t *r)
{
    for (const header_op_t *op = r->ops; op; op = op->next) {
        if (op->only_on_200 && r->upstream_status != 200)
            continue;
        if (op->kind == HOP_SET)
            headers_set(&r->headers, &r->arena, op->id, op->name, op->value);
        else if (op->kind == HOP_ADD)
            headers_add(&r->headers, &r->arena, op->id, op->name, op->value);
        else
            headers_remove(&r->headers, op->id, op->name);
    }
    r->ops = NULL;
    r->ops_tail = &r->ops;
}

// ---- gathering and writing ----

enum { OUT_MAX = sizeof((out_batch_t *)0)->v / sizeof(str_t) };

// The worker's batch, for r and with room for n more slices.
static out_batch_t *batch_for(request_t *r, unsigned n)
{
    out_batch_t *out = &r->worker->out;
    if (out->n && (out->of != r || out->n + n > OUT_MAX))
        respond_flush(out->of);
    out->of = r;
    return out;
}

static void push(request_t *r, str_t s)
{
    if (s.n == 0)
        return;
    out_batch_t *out = batch_for(r, 1);
    out->v[out->n++] = s;
}

void respond_flush(request_t *r)
{
    out_batch_t *out = &r->worker->out;
    unsigned n = out->n;
    if (n == 0 || out->of != r)
        return;
    out->n = 0;
    if (!r->conn || r->out_failed)
        return;
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += out->v[i].n;
    if (!r->first_byte_us)
        r->first_byte_us = clock_mono_us();
    if (sock_write(r->conn->sock, out->v, n) != 0) {
        r->out_failed = true;
        return;
    }
    r->sent_bytes += total;
    if (sock_pending(r->conn->sock))
        conn_watch_writer(r->conn);
}

size_t respond_pending(const request_t *r)
{
    return r->conn ? sock_pending(r->conn->sock) : 0;
}

// ---- body ----

static uint64_t tail_of(uint64_t tail, str_t data)
{
    size_t n = data.n < sizeof tail ? data.n : sizeof tail;
    for (size_t i = data.n - n; i < data.n; i++)
        tail = tail << 8 | (unsigned char)data.p[i];
    return tail;
}

static void push_chunk(request_t *r, str_t data)
{
    if (data.n == 0 || r->head_only)
        return;
    r->sent_body_bytes += data.n;
    if (r->events)
        r->tail = tail_of(r->tail, data);
    if (!r->chunked_out) {
        push(r, data);
        return;
    }
    out_batch_t *out = batch_for(r, 3);
    char *line = out->lines[out->n / 3]; // no two chunks begin within three slices
    out->v[out->n++] = str_make(line, chunk_size_line(line, data.n));
    out->v[out->n++] = data;
    out->v[out->n++] = STR("\r\n");
}

// A chunk through body_filter. -1 when the request ended.
static int filtered(request_t *r, str_t data, bool last)
{
    str_t out;
    bool eof = last;
    script_result_t result = r->worker->script->body_filter(r, data, &eof, &out);
    if (r->finished)
        return -1;
    if (result == SCRIPT_FAILED) {
        r->phases &= ~(uint32_t)PHASE_BODY_FILTER; // it has no last words
        respond_abort(r, "body_filter failed");
        return -1;
    }
    push_chunk(r, out);
    respond_flush(r); // the filter's bytes are borrowed until its next call
    r->filter_ended = eof && !last;
    return 0;
}

int respond_body(request_t *r, str_t data)
{
    ASSERT(r->head_sent, "a body follows its head");
    ASSERT(!r->ended, "no body after its end");
    if (r->phases & PHASE_BODY_FILTER)
        return data.n ? filtered(r, data, false) : 0;
    if (r->length_known && !r->head_only && data.n > r->length_out - r->sent_body_bytes)
        data.n = (size_t)(r->length_out - r->sent_body_bytes); // never more than was declared
    push_chunk(r, data);
    return 0;
}

static bool is_event_stream(const headers_t *h)
{
    static const str_t TYPE = STR("text/event-stream");
    str_t type = headers_get(h, HDR_CONTENT_TYPE);
    str_t coding = headers_get(h, HDR_CONTENT_ENCODING);
    return type.n >= TYPE.n && str_ieq(str_make(type.p, TYPE.n), TYPE) &&
           (coding.n == 0 || str_ieq(coding, STR("identity")));
}

int respond_begin(request_t *r, unsigned status, uint64_t length)
{
    ASSERT(!r->head_sent, "a response begins once");
    r->status = (uint16_t)status;
    r->state = REQ_RESPONSE;
    if (length != UINT64_MAX && !(r->phases & PHASE_BODY_FILTER)) {
        r->length_known = true;
        r->length_out = length;
    }
    respond_apply_ops(r);
    if (r->phases & PHASE_HEADER_FILTER) {
        script_result_t result = r->worker->script->enter(r, PHASE_HEADER_FILTER);
        if (r->finished)
            return -1;
        respond_apply_ops(r);
        if (result == SCRIPT_FAILED) {
            r->phases &= ~(uint32_t)PHASE_HEADER_FILTER;
            respond_error(r, 500, NULL);
            return -1;
        }
    }
    push(r, respond_head_text(r));
    r->events = !r->length_known && !r->head_only && is_event_stream(&r->headers);
    r->head_sent = true;
    return 0;
}

void respond_end(request_t *r)
{
    ASSERT(!r->ended, "a response ends once");
    if (!r->head_sent && respond_begin(r, r->status ? r->status : 200, 0) != 0)
        return;
    if ((r->phases & PHASE_BODY_FILTER) && filtered(r, STR(""), true) != 0)
        return;
    r->ended = true;
    if (r->chunked_out && !r->head_only)
        push(r, STR("0\r\n\r\n"));
    bool short_body = r->length_known && !r->head_only && r->sent_body_bytes < r->length_out;
    respond_flush(r);
    if (short_body)
        r->failed_mid_body = true;
    if (!short_body && !r->close_after && request_can_drain(r))
        request_drain(r);
    else
        request_finish(r);
}

void respond_hand_over(request_t *r)
{
    ASSERT(!r->ended, "a response that has ended is nobody's");
    respond_flush(r);
    if (!r->head_sent) {
        r->source = SOURCE_EXIT;
        r->status = r->status ? r->status : 200;
        r->state = REQ_RESPONSE;
    }
    r->head_sent = r->head_only = r->close_after = true;
    r->chunked_out = r->length_known = r->events = false;
    r->phases &= ~(uint32_t)(PHASE_HEADER_FILTER | PHASE_BODY_FILTER);
}

// A stream's filter may still tell the client, in the stream's own terms, that it broke off. True when it said something.
static bool last_words(request_t *r)
{
    str_t out;
    bool eof = true;
    if (r->worker->script->body_filter(r, STR(""), &eof, &out) != SCRIPT_DONE || r->finished)
        return false;
    r->phases &= ~(uint32_t)PHASE_BODY_FILTER;
    push_chunk(r, out);
    respond_flush(r);
    return out.n > 0;
}

// Whether the client has whole events only: nothing yet, or a blank line last. A CR last may be half of a line end; what is put
// behind it makes it a whole one.
static bool between_events(const request_t *r)
{
    uint32_t last = r->tail & 0xffffff;
    return r->sent_body_bytes == 0 || (last & 0xffff) == 0x0a0a || (last & 0xffff) == 0x0d0d ||
           last == 0x0a0d0a || last == 0x0d0d0a || (r->tail & 0xffff) == 0x0a0d;
}

void respond_last_event(request_t *r, str_t event)
{
    ASSERT(r->events && r->head_sent && !r->ended, "an open event stream has a last event");
    r->cut = true;
    bool said = (r->phases & PHASE_BODY_FILTER) && last_words(r);
    if (r->finished)
        return;
    r->phases &= ~(uint32_t)PHASE_BODY_FILTER;
    if (!said) {
        if (!between_events(r))
            push_chunk(r, STR("\n\n"));
        push_chunk(r, event);
        respond_flush(r); // the event is borrowed
    }
    respond_end(r);
}

int respond_comment(request_t *r)
{
    static const uint64_t DONE = 0x4e455d0a0a; // "NE]", LF, LF
    ASSERT(r->events && r->head_sent && !r->ended, "comments are for open event streams");
    bool over = (r->tap && r->tap->done) || (r->tail & 0xffffffffff) == DONE;
    if (over || !between_events(r) || respond_pending(r))
        return 0;
    push_chunk(r, STR(": ping\n\n"));
    respond_flush(r);
    return r->out_failed ? -1 : 0;
}

void respond_abort(request_t *r, const char *why)
{
    ASSERT(!r->finished, "a finished request cannot be aborted");
    r->exit_reason = str_from(why);
    r->failed_mid_body = true;
    if (r->head_sent && r->conn && (r->phases & PHASE_BODY_FILTER))
        last_words(r);
    r->ended = true;
    respond_flush(r); // what came before the failure belongs to the client
    request_finish(r);
}

void respond_close(request_t *r, unsigned status)
{
    ASSERT(!r->head_sent && !r->finished, "without an answer: nothing was sent yet");
    exchange_detach(r);
    r->source = SOURCE_EXIT;
    r->status = (uint16_t)status;
    r->ended = r->close_after = true;
    request_finish(r);
}

void respond_exit(request_t *r, unsigned status, str_t body, str_t content_type)
{
    if (r->head_sent) {
        respond_abort(r, "a plugin tried to answer after the response had begun");
        return;
    }
    exchange_detach(r);
    r->source = SOURCE_EXIT;
    if (content_type.n)
        headers_set(&r->headers, &r->arena, HDR_CONTENT_TYPE, hdr_name(HDR_CONTENT_TYPE),
                    arena_dup(&r->arena, content_type));
    if (respond_begin(r, status, body.n) != 0)
        return;
    if (body.n && respond_body(r, body) != 0)
        return;
    respond_end(r);
}

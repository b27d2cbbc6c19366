// Writes response heads. Framing fields are made here and nowhere else; lines that plugins or upstreams left for them are skipped.
#include "core/respond_head.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "core/conn.h"
#include "core/worker.h"

typedef struct writer {
    char *p, *end;
} writer_t;

static void put(writer_t *w, str_t s)
{
    ASSERT((size_t)(w->end - w->p) >= s.n, "a head is sized before it is written");
    memcpy(w->p, s.p, s.n);
    w->p += s.n;
}

static void put_line(writer_t *w, str_t name, str_t value)
{
    put(w, name);
    put(w, STR(": "));
    if (value.n)
        put(w, value);
    put(w, STR("\r\n"));
}

static void put_number(writer_t *w, str_t name, uint64_t value)
{
    char text[20];
    size_t n = sizeof text;
    do {
        text[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put_line(w, name, str_make(text + n, sizeof text - n));
}

static bool is_framing(uint16_t id)
{
    return id == HDR_CONTENT_LENGTH || id == HDR_TRANSFER_ENCODING || id == HDR_CONNECTION ||
           id == HDR_KEEP_ALIVE || id == HDR_TRAILER;
}

static size_t room_for(const request_t *r)
{
    size_t n = 640;  // status line and the gateway's own lines
    for (uint32_t i = 0; i < r->headers.n; i++)
        n += r->headers.v[i].name.n + r->headers.v[i].value.n + 4;
    return n;
}

static void decide_framing(request_t *r)
{
    bool no_body = r->status == 204 || r->status == 304 || r->status < 200;
    r->head_only = no_body || r->head.method == METHOD_HEAD;
    r->chunked_out = !r->length_known && !no_body && r->head.minor >= 1;
    if (!r->length_known && !r->head_only && r->head.minor == 0)
        r->close_after = true;  // the end of the connection ends the body
    if (r->source != SOURCE_SERVICE && !r->body.complete && !request_can_drain(r))
        r->close_after = true;
    if (r->worker->draining || r->conn->served >= r->worker->settings->keepalive_requests_max)
        r->close_after = true;
}

static void put_framing(writer_t *w, request_t *r)
{
    bool no_body = r->status == 204 || r->status < 200;
    bool unknown_304 = r->status == 304 && r->length_out == 0;
    if (r->length_known && !no_body && !unknown_304)
        put_number(w, hdr_name(HDR_CONTENT_LENGTH), r->length_out);
    else if (r->chunked_out)
        put(w, STR("Transfer-Encoding: chunked\r\n"));
    bool keep = r->head.keep_alive && !r->close_after && r->body.err == 0;
    bool upgrade_hint = headers_find(&r->headers, HDR_UPGRADE, STR("Upgrade"), 0) != NULL;
    if (!keep)
        put(w, upgrade_hint ? STR("Connection: close, Upgrade\r\n") : STR("Connection: close\r\n"));
    else if (r->head.minor == 0)
        put(w, STR("Connection: keep-alive\r\n"));
}

static uint64_t ms_between(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us ? (to_us - from_us) / 1000 : 0;
}

static void put_own(writer_t *w, request_t *r)
{
    const headers_t *h = &r->headers;
    bool tokens = r->worker->settings->server_header;
    if (!headers_get(h, HDR_DATE).p)
        put_line(w, hdr_name(HDR_DATE), worker_date(r->worker));
    if (r->source == SOURCE_SERVICE && tokens) {
        uint64_t upstream = ms_between(r->upstream_start_us, r->upstream_head_us);
        uint64_t total = ms_between(r->start_us, r->upstream_head_us);
        put(w, STR("Via: 1.1 moongate/" MOONGATE_VERSION "\r\n"));
        put_number(w, STR("X-Kong-Upstream-Latency"), upstream);
        put_number(w, STR("X-Kong-Proxy-Latency"), total > upstream ? total - upstream : 0);
    } else if (tokens) {
        if (!headers_get(h, HDR_SERVER).p)
            put(w, STR("Server: moongate/" MOONGATE_VERSION "\r\n"));
        put_number(w, STR("X-Kong-Response-Latency"), ms_between(r->start_us, clock_mono_us()));
    }
    if (!headers_get(h, HDR_X_KONG_REQUEST_ID).p)
        put_line(w, hdr_name(HDR_X_KONG_REQUEST_ID), str_make(r->id, 32));
}

static void put_status_line(writer_t *w, const request_t *r)
{
    char line[64];
    int n = snprintf(line, sizeof line, "HTTP/1.1 %03u %s\r\n", r->status, http_reason(r->status));
    ASSERT(n > 0 && (size_t)n < sizeof line, "a status line is short");
    put(w, str_make(line, (size_t)n));
}

str_t respond_head_text(request_t *r)
{
    decide_framing(r);
    size_t room = room_for(r);
    char *text = arena_alloc(&r->arena, room);
    writer_t w = {.p = text, .end = text + room};
    put_status_line(&w, r);
    for (uint32_t i = 0; i < r->headers.n; i++) {
        const header_t *h = &r->headers.v[i];
        if (!h->removed && !is_framing(h->id))
            put_line(&w, h->name, h->value);
    }
    put_own(&w, r);
    put_framing(&w, r);
    put(&w, STR("\r\n"));
    return str_make(text, (size_t)(w.p - text));
}

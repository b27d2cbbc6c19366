// Writes response heads. Framing fields are made here and nowhere else; lines that plugins or upstreams left for them are skipped.
#include "core/respond_head.h"

#include "base/check.h"
#include "base/clock.h"
#include "core/conn.h"
#include "core/wire.h"
#include "core/worker.h"

static bool is_framing(uint16_t id)
{
    return id == HDR_CONTENT_LENGTH || id == HDR_TRANSFER_ENCODING || id == HDR_CONNECTION ||
           id == HDR_KEEP_ALIVE || id == HDR_TRAILER;
}

static size_t room_for(const request_t *r)
{
    size_t n = 640; // status line and the gateway's own lines
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
        r->close_after = true; // the end of the connection ends the body
    if (r->source != SOURCE_SERVICE && !r->body.complete && !request_can_drain(r))
        r->close_after = true;
    if (r->status == 101)
        r->close_after = true; // what follows is no HTTP
    const settings_t *s = r->worker->settings;
    if (r->worker->draining || r->conn->served >= s->keepalive_requests_max ||
        conn_is_old(r->conn) || s->keepalive_timeout_ms == 0)
        r->close_after = true;
}

static void put_framing(wire_t *w, request_t *r)
{
    bool no_body = r->status == 204 || r->status < 200;
    bool unknown_304 = r->status == 304 && r->length_out == 0;
    if (r->length_known && !no_body && !unknown_304)
        wire_number_line(w, hdr_name(HDR_CONTENT_LENGTH), r->length_out);
    else if (r->chunked_out)
        wire_put(w, STR("Transfer-Encoding: chunked\r\n"));
    if (r->status == 101) {
        wire_put(w, STR("Connection: Upgrade\r\n"));
        return;
    }
    bool keep = r->head.keep_alive && !r->close_after && r->body.err == 0;
    bool upgrade_hint = headers_find(&r->headers, HDR_UPGRADE, STR("Upgrade"), 0) != NULL;
    if (!keep)
        wire_put(w, upgrade_hint ? STR("Connection: close, Upgrade\r\n")
                                 : STR("Connection: close\r\n"));
    else if (r->head.minor == 0)
        wire_put(w, STR("Connection: keep-alive\r\n"));
}

static uint64_t ms_between(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us ? (to_us - from_us) / 1000 : 0;
}

static void put_own(wire_t *w, request_t *r)
{
    const headers_t *h = &r->headers;
    bool tokens = r->worker->settings->server_header;
    if (!headers_get(h, HDR_DATE).p)
        wire_line(w, hdr_name(HDR_DATE), worker_date(r->worker));
    if (r->source == SOURCE_SERVICE && tokens) {
        uint64_t upstream = ms_between(r->upstream_start_us, r->upstream_head_us);
        uint64_t total = ms_between(r->start_us, r->upstream_head_us);
        wire_put(w, STR("Via: 1.1 moongate/" MOONGATE_VERSION "\r\n"));
        wire_number_line(w, STR("X-Kong-Upstream-Latency"), upstream);
        wire_number_line(w, STR("X-Kong-Proxy-Latency"),
                         total > upstream ? total - upstream : 0);
    } else if (tokens) {
        if (!headers_get(h, HDR_SERVER).p)
            wire_put(w, STR("Server: moongate/" MOONGATE_VERSION "\r\n"));
        wire_number_line(w, STR("X-Kong-Response-Latency"),
                         ms_between(r->start_us, clock_mono_us()));
    }
    if (!headers_get(h, HDR_X_KONG_REQUEST_ID).p)
        wire_line(w, hdr_name(HDR_X_KONG_REQUEST_ID), str_make(r->id, 32));
}

static void put_status_line(wire_t *w, const request_t *r)
{
    char digits[4] = {(char)('0' + r->status / 100), (char)('0' + r->status / 10 % 10),
                      (char)('0' + r->status % 10), ' '};
    ASSERT(r->status >= 100 && r->status <= 999, "a status has three digits");
    wire_put(w, STR("HTTP/1.1 "));
    wire_put(w, str_make(digits, sizeof digits));
    wire_put(w, str_from(http_reason(r->status)));
    wire_put(w, STR("\r\n"));
}

str_t respond_head_text(request_t *r)
{
    decide_framing(r);
    size_t room = room_for(r);
    char *text = arena_alloc(&r->arena, room);
    wire_t w = {.p = text, .end = text + room};
    put_status_line(&w, r);
    for (uint32_t i = 0; i < r->headers.n; i++) {
        const header_t *h = &r->headers.v[i];
        if (!h->removed && !is_framing(h->id))
            wire_line(&w, h->name, h->value);
    }
    put_own(&w, r);
    put_framing(&w, r);
    wire_put(&w, STR("\r\n"));
    return str_make(text, (size_t)(w.p - text));
}

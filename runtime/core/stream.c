// The look at open event streams: who is too old, who has been quiet for too long. What was sent is told by r->sent_body_bytes, so
// that sending itself has nothing to do with it.
#include "core/stream.h"

#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "core/conn.h"
#include "core/exchange.h"
#include "core/respond.h"
#include "core/tunnel.h"
#include "core/worker.h"

enum { LOOK_MAX_MS = 1000, LOOK_MIN_MS = 10, LOOKS_PER_SPAN = 8 };

bool stream_is_open(const request_t *r)
{
    return r->events && r->head_sent && !r->ended && !r->finished && r->conn;
}

void stream_cut(request_t *r, const char *type, const char *code, const char *message)
{
    char event[320];
    ASSERT(stream_is_open(r), "an open stream is cut");
    int n = snprintf(event, sizeof event,
                     "data: {\"error\":{\"type\":\"%s\",\"code\":\"%s\",\"message\":\"%s\","
                     "\"retryable\":true}}\n\n",
                     type, code, message);
    ASSERT(n > 0 && (size_t)n < sizeof event, "a last event is short");
    request_hold(r);
    r->exit_reason = str_from(message);
    r->worker->script->abort(r); // what a plugin waits for in its midst
    exchange_detach(r);
    respond_last_event(r, str_make(event, (size_t)n));
    request_drop(r);
}

// A client or proxy that counts quiet seconds sees that the stream lives.
static void ping(request_t *r)
{
    request_hold(r);
    if (respond_comment(r) != 0 && r->conn)
        conn_close(r->conn, true); // ends the request too
    request_drop(r);
}

static void look_at(request_t *r, uint64_t now_ms)
{
    const settings_t *s = r->worker->settings;
    if (r->seen_body_bytes != r->sent_body_bytes || !r->seen_ms) {
        if (!r->seen_ms)
            r->opened_ms = now_ms;
        r->seen_body_bytes = r->sent_body_bytes;
        r->seen_ms = now_ms;
    }
    if (s->max_stream_age_ms && now_ms - r->opened_ms >= s->max_stream_age_ms) {
        stream_cut(r, "gateway_limit", "max_stream_age",
                   "the stream has reached its greatest age");
    } else if (s->stream_ping_ms && now_ms - r->seen_ms >= s->stream_ping_ms) {
        r->seen_ms = now_ms;
        ping(r);
    }
}

// A tunnel has an age too, but nothing can be put into it while it is quiet.
static void look_at_tunnel(request_t *r, uint64_t now_ms)
{
    const settings_t *s = r->worker->settings;
    if (!r->opened_ms)
        r->opened_ms = now_ms;
    if (s->max_stream_age_ms && now_ms - r->opened_ms >= s->max_stream_age_ms)
        tunnel_cut(r, "the tunnel has reached its greatest age");
}

static void on_look(io_timer_t *t)
{
    worker_t *w = CONTAINER_OF(t, worker_t, stream_timer);
    uint64_t now_ms = loop_now_ms(w->loop);
    for (list_t *l = w->requests.next, *next; l != &w->requests; l = next) {
        next = l->next;
        request_t *r = CONTAINER_OF(l, request_t, links);
        if (stream_is_open(r))
            look_at(r, now_ms);
        else if (r->tunnel)
            look_at_tunnel(r, now_ms);
    }
    streams_start(w);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

void streams_start(worker_t *w)
{
    const settings_t *s = w->settings;
    if (!s->max_stream_age_ms && !s->stream_ping_ms)
        return;
    uint64_t span = sooner(sooner(UINT64_MAX, s->max_stream_age_ms), s->stream_ping_ms);
    uint64_t every = sooner(LOOK_MAX_MS, span / LOOKS_PER_SPAN);
    io_timer_start(&w->stream_timer, every < LOOK_MIN_MS ? LOOK_MIN_MS : every);
}

void streams_stop(worker_t *w)
{
    io_timer_stop(&w->stream_timer);
}

void streams_init(worker_t *w)
{
    io_timer_init(&w->stream_timer, w->loop, on_look);
}

// Event streams (SSE) that are open towards clients: comments while they are quiet, and a clean end when they may not go on. One look
// a second at most over the worker's requests, and only when a setting asks for it: an event costs nothing. Not: reading
// events (tap.h). Invariant: what is put in stands between two events, never within one.
#pragma once

#include "core/request.h"

void streams_init(worker_t *w);
// Begins to look after streams when max_stream_age or stream_ping ask for it. Pairs with streams_stop.
void streams_start(worker_t *w);
void streams_stop(worker_t *w);

// Whether r's response is an event stream that is under way.
bool stream_is_open(const request_t *r);

// Ends an open stream: one last event that says why, in the client's terms where a plugin translates the stream, then a clean end.
// Usage so far is booked. code: "stream_interrupted", ... Ends the request.
void stream_cut(request_t *r, const char *type, const char *code, const char *message);

// Towards the client: the one place where response heads and bodies are written. Runs header_filter and body_filter, frames (length, chunked,
// until close), counts bytes, ends the request. Not: deciding what to answer.
#pragma once

#include "core/request.h"

// The gateway's own error (source "error"): body {"message": ..., "request_id": ...} in the form Accept asks for (JSON, plain, HTML, XML).
// message NULL: the default text of the status (kong.md part 4). Usable in any state: with the head already sent the connection is cut.
void respond_error(request_t *r, unsigned status, const char *message);
// The same answer when a plugin gave it on purpose (source "exit"): kong.response.error.
void respond_refusal(request_t *r, unsigned status, const char *message);

// A plugin's complete response (source "exit"): extra header ops are already recorded. body is borrowed (copied if needed).
void respond_exit(request_t *r, unsigned status, str_t body, str_t content_type);

// A response in pieces, made by a plugin (ngx.say/print/flush) or passed on by the exchange.
// Applies header ops, runs header_filter, fixes framing. length: bytes of the body, or UINT64_MAX: unknown.
// 0, or -1 when the request ended meanwhile (r must not be touched then).
int respond_begin(request_t *r, unsigned status, uint64_t length);
// One run of body. -1: the request ended meanwhile.
int respond_body(request_t *r, str_t data);
// Writes what is gathered now (else it is written at the end of the event being handled).
void respond_flush(request_t *r);
// The body is complete. Ends the request: r must not be touched after.
void respond_end(request_t *r);
// Ends an event stream that cannot go on: plugins that translate it say so in the client's terms, or `event` does, between two events;
// then the body ends as if complete. Ends the request.
void respond_last_event(request_t *r, str_t event);
// Puts a comment into an event stream, unless it stands within an event, has had its last one, or the client has not taken what came
// before. -1: writing failed.
int respond_comment(request_t *r);
// The body cannot be completed: cuts the client's connection so that it sees an abort; ends the request.
void respond_abort(request_t *r, const char *why);
// Closes the connection without any answer; the log has this status (nginx's 444).
void respond_close(request_t *r, unsigned status);

// A plugin writes to the connection itself from now on: what was gathered goes out, the response counts as begun, and its end adds
// nothing. The connection is closed after it.
void respond_hand_over(request_t *r);

// Bytes queued towards the client because it reads slowly.
size_t respond_pending(const request_t *r);

// Field-line changes from plugins: recorded before the head, applied to r->headers once it is begun. Values are copied. 0 or ERR_INVALID (bad name or value), -1 head sent.
int respond_header_set(request_t *r, str_t name, str_t value);
int respond_header_add(request_t *r, str_t name, str_t value);
int respond_header_remove(request_t *r, str_t name);
int respond_header_on_success(request_t *r, str_t name, str_t value);

// Applies what was recorded so far to r->headers (respond_begin does; scripts may before header_filter reads).
void respond_apply_ops(request_t *r);

// Default text of an error status ("Not found"); kong.md part 4.
const char *respond_message(unsigned status);

// Watches a response that passes byte for byte and reads the usage in it: OpenAI-shaped JSON and SSE. Never changes a byte, but
// can leave out the usage event that only we asked for. Scans, never decodes; holds back at most one unfinished event (hide_usage only).
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "http/sse.h"

typedef enum tap_kind { TAP_OPENAI = 1 } tap_kind_t;

typedef struct tap {
    uint8_t kind;
    bool hide_usage; // strip the SSE event with empty choices and usage
    bool stream;     // decided by the response's Content-Type
    bool done;       // [DONE] or finish_reason seen (terminal)
    bool failed;     // an error event passed
    bool drop_lf;    // the hidden event ended with a CR: a LF that follows is its own
    bool overflow;   // a body or an event was too large to be read for usage
    bool off;        // nothing is read: not a 200, or compressed
    bool skipping;   // the event under way is too large: it passes unread
    sse_t sse;
    buf_t held; // an event under way (copy), or the JSON body collected (bounded)
    buf_t kept; // what goes on in front of a slice of the run itself
    uint32_t events;
    double prompt_tokens, completion_tokens, total_tokens, cached_tokens,
        reasoning_tokens;    // -1: not seen
    uint64_t first_event_us; // monotonic, of the first event with content
    uint64_t content_bytes;  // of delta contents, for estimates
    char model[96];          // response model, NUL-terminated; "" when not seen
    char finish_reason[24];
} tap_t;

void tap_init(tap_t *t, tap_kind_t kind, bool hide_usage);
void tap_dispose(tap_t *t);
// Before the first byte: what the response is.
void tap_head(tap_t *t, unsigned status, str_t content_type, str_t content_encoding);
// Whether what the client has so far ends within an event.
bool tap_mid_event(const tap_t *t);
// A run of payload. Gives what goes on to the client as at most two slices (borrowed until the next call): usually data itself.
void tap_feed(tap_t *t, str_t data, bool eof, str_t out[2], unsigned *n_out);

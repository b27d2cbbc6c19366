// Server-sent events: finds event ends in a byte stream, cut anywhere. Bytes are never decoded
// or changed. Line ends may be LF, CRLF or CR. A CR at the end of a read ends its line at once,
// and a LF at the front of the next read belongs to it: it opens no empty line (and stands
// before the next event). A BOM at the start of the stream is an event of its own, without
// fields.
#pragma once

#include "base/str.h"

typedef struct sse {
    uint64_t event_bytes; // of the event under way
    uint8_t state;
    bool started; // the BOM question is settled
} sse_t;

void sse_init(sse_t *s);

// Scans p[0..n) and returns the offset just past the first event end in it, or 0 when the event
// goes on. Call again with the rest. Blank lines before an event are part of it.
size_t sse_feed(sse_t *s, const char *p, size_t n);

// True when the bytes since the last event end hold part of an event: at EOF the stream was cut
// (or its last event lacks the blank line).
bool sse_in_event(const sse_t *s);

// Fields of one complete event (its bytes, blank line included). Advances *rest; false at the
// end. Comments have an empty name. Borrowed from *rest.
bool sse_field_next(str_t *rest, str_t *name, str_t *value);

// The event's only data line, without copying; false when there are several data lines or none.
bool sse_data(str_t event, str_t *data);

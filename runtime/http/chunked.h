// The chunked transfer coding (RFC 9112 7.1), decoder: a state machine fed with whatever came,
// cut anywhere. Strict: CRLF only, no space in the size, size at most 2^63-1, extensions
// skipped and bounded, trailers dropped and bounded. Overhead (size lines, extensions) over 16
// bytes a payload byte plus 64 KiB is refused. Encoding is the writer's own job
// (chunk_size_line).
#pragma once

#include "base/str.h"

typedef struct chunked {
    uint64_t left; // of the current chunk
    uint64_t overhead, payload;
    uint32_t line; // bytes of the current size or trailer line
    uint8_t state;
} chunked_t;

enum { CHUNKED_MORE = 0, CHUNKED_DONE = 1, CHUNKED_BAD = -1 };

void chunked_init(chunked_t *c);

// Decodes from *in (advanced past what was used). Each call gives at most one run of payload
// bytes in *out (borrowed from *in), possibly empty. CHUNKED_MORE: call again while in->n > 0,
// or when more bytes came. CHUNKED_DONE: the body and its trailers ended, in->p is at the next
// message. CHUNKED_BAD: refuse with 400 (or 502).
int chunked_feed(chunked_t *c, str_t *in, str_t *out);

// Decodes in place: compacts payload to the front of p[0..n). *out_n payload bytes, *used input
// bytes; results as above.
int chunked_decode_in_place(chunked_t *c, char *p, size_t n, size_t *out_n, size_t *used);

// Writes "<hex>\r\n" for a chunk of n > 0 bytes to out (at least 18 bytes); the length written.
size_t chunk_size_line(char *out, size_t n);

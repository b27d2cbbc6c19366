// The field section that requests and responses share (RFC 9112 5): lines -> header block, and
// the facts that decide framing and persistence, collected in the same pass. What the facts
// mean is head.c's and response.c's to say.
#pragma once

#include "http/header.h"

typedef struct field_facts {
    str_t host, length, coding; // values of the first Host, Content-Length, Transfer-Encoding
    uint16_t n_host, n_length, n_coding;
    bool length_differs;                       // a later Content-Length said something else
    bool close, keep_alive, nominates_upgrade; // Connection's options
    bool has_upgrade;
    bool expect_continue, expect_other;
} field_facts_t;

enum { FIELDS_BAD = -1, FIELDS_TOO_MANY = -2 };

// Parses the lines in [p, end), each with its CRLF; `end` is where the empty line "\r\n"
// begins, which must be there. Slices of *h are borrowed from p; h->v is in `a`.
// `drop_underscore` marks names with '_' removed. 0, FIELDS_BAD or FIELDS_TOO_MANY with *why.
int fields_parse(headers_t *h, arena_t *a, const char *p, const char *end, uint32_t fields_max,
                 bool drop_underscore, field_facts_t *facts, const char **why);

// A Content-Length: digits only, at most 2^63-1. 0 or -1.
int content_length_parse(str_t value, uint64_t *out);

// The end of the fields of a head p[0..n) that must end in CRLF CRLF; NULL when it does not.
const char *fields_end(const char *p, size_t n);

// Makes room for one more line, at least (header.c).
void headers_grow(headers_t *h, arena_t *a);

// Reads one JSON object into a C struct by a table of rows: one row is one member, its kind and its place.
// Not a validator of configuration (the Lua schemas are): what has the wrong type here is a bug of the loader.
// Invariant: a member that is absent or null leaves the struct's field as it was.
#pragma once

#include "base/arena.h"

typedef enum field_kind {
    FIELD_STR,       // str_t: unescaped; borrowed from the document when it has no escapes
    FIELD_LOWER,     // str_t in ASCII lower case
    FIELD_RAW,       // str_t: the JSON text itself
    FIELD_U16,       // uint16_t
    FIELD_U32,       // uint32_t
    FIELD_NUMBER,    // double
    FIELD_BOOL,      // bool
    FIELD_TRISTATE,  // int8_t: 0 or 1; stays when null
    FIELD_INDEX,     // int32_t: a 1-based reference of the document as a 0-based index
    FIELD_STRS,      // strs_t
    FIELD_PROTOCOLS, // uint8_t: PROTO_* bits of an array of protocol names
} field_kind_t;

typedef struct strs {
    str_t *v;
    uint32_t n;
} strs_t;

typedef struct field_row {
    const char *name;
    field_kind_t kind;
    size_t at; // offsetof the field
} field_row_t;

// Where a decoding stands: the arenas it uses and where its message goes.
typedef struct decoder {
    arena_t *keep;    // results live here
    arena_t *scratch; // member lists; the caller empties it now and then
    char *why;        // the message of a failure
    size_t why_cap;
} decoder_t;

// Fills *into from `object` (raw JSON, borrowed as long as *into). 0, or -1 with d->why set.
int decode_object(decoder_t *d, str_t object, const field_row_t *rows, unsigned n_rows,
                  void *into);

// The strings of a raw JSON array (null: none). 0, or -1 with d->why set.
int decode_strings(decoder_t *d, str_t array, strs_t *out);

// One raw JSON string, unescaped; borrowed from `value` when it has no escapes. 0, or -1 with d->why set.
int decode_string(decoder_t *d, str_t value, str_t *out);

// A copy in lower case (ASCII), in `a`; `s` itself when it is lower-case already.
str_t lower_dup(arena_t *a, str_t s);

// Writes the message; always -1, so that `return decoder_fail(d, ...)` reads well.
int decoder_fail(decoder_t *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// JSON on the hot path: a strict scanner (RFC 8259, UTF-8 checked, depth 128) that finds the
// members of a top-level object without building anything, and a splice list that replaces
// members without re-encoding the rest. Not a decoder: values stay text.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

typedef enum json_type {
    JSON_ABSENT = 0,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
} json_type_t;

typedef struct json_member {
    str_t key;      // raw, between the quotes (may hold escapes: key_escaped)
    str_t value;    // raw text of the value
    uint32_t count; // elements of an array, members of an object (top level of that value)
    uint8_t type;   // json_type_t
    bool key_escaped;
} json_member_t;

typedef struct json_error {
    size_t at;       // byte offset
    const char *why; // static text
} json_error_t;

// Validates one whole JSON text (surrounding white space allowed). 0, or -1 with *err.
int json_validate(str_t text, json_error_t *err);

// Validates `text` as an object and lists its members in order (array in `a`, NULL when there
// are none). 0; -1 with *err (also "not an object", "duplicate key", "too many members": over
// 65536). Two equal top-level keys (after unescaping) are refused.
int json_object(str_t text, arena_t *a, json_member_t **members, uint32_t *n,
                json_error_t *err);

// Type of one raw value (without white space round it), by its first byte; JSON_ABSENT when
// that begins no value.
json_type_t json_value_type(str_t value);

// Elements or members of one raw value; 0 when it is a scalar or no JSON.
uint32_t json_count(str_t value);

// Unescapes a raw string value (with its quotes) into `a`: UTF-8, lone surrogates become
// U+FFFD. 0 or -1 when it is no string.
int json_string(str_t value, arena_t *a, str_t *out);

// 0, or -1 when it is no number or over what a double holds (1e999).
int json_number(str_t value, double *out);

// The first member `name` of a raw object value; false when absent (or `value` is no object).
// Borrowed from value.
bool json_get(str_t value, str_t name, str_t *out);

// Walks the elements of a raw array value: *rest starts as the array's text; false at the end.
// Borrowed.
bool json_next(str_t *rest, str_t *element);

// A document: an object body plus pending edits.
typedef struct json_edit {
    uint32_t member; // index, or UINT32_MAX to append
    str_t key;       // of an appended one; it stands in `,"key":`
    str_t value;     // raw JSON; value.p == NULL removes the member
} json_edit_t;

typedef struct json_doc {
    str_t text;             // borrowed: the whole body
    json_member_t *members; // in the arena
    uint32_t n_members;
    json_edit_t *edits; // in the arena
    uint32_t n_edits, cap_edits;
    size_t open, close; // offsets of the outer braces
} json_doc_t;

// As json_object; *d is untouched on failure.
int json_doc_open(json_doc_t *d, arena_t *a, str_t text, json_error_t *err);

// The member of the original text (edits do not show), or NULL. `name` is unescaped.
const json_member_t *json_doc_find(const json_doc_t *d, str_t name);

// The raw value of member `name` as the edits leave it; false when absent. Borrowed from text
// or `a`.
bool json_doc_get(const json_doc_t *d, str_t name, str_t *raw);

// Replaces or appends member `name` (unescaped) by raw JSON; both are copied into `a`. A later
// call wins. 0; -1, and nothing changes, when raw is no JSON text, or the name is not printable
// ASCII without quotes and backslashes.
int json_doc_set(json_doc_t *d, arena_t *a, str_t name, str_t raw);

// Takes member `name` out; nothing happens when there is none.
void json_doc_remove(json_doc_t *d, arena_t *a, str_t name);

// The edited body as slices of the original and of the edits, in order: at most
// json_doc_max_slices(d). The count; *total is their length. Borrowed from text and `a`.
// Without edits it is the text itself, in one slice.
uint32_t json_doc_max_slices(const json_doc_t *d);
uint32_t json_doc_slices(const json_doc_t *d, str_t *out, size_t *total);

// The strict JSON scanner (RFC 8259) under json.h: steps over values, checks every byte, builds
// nothing. Not for other rooms. Members and edits are in json.c and json_doc.c, texts and
// numbers in json_text.c.
#pragma once

#include "http/json.h"

typedef struct json_scan {
    const char *at, *end;
    const char *why; // set when a call below failed; `at` is then the offending byte
    unsigned outer;  // containers already open round the text, for the depth bound
} json_scan_t;

void json_skip_space(json_scan_t *s);

// Steps over one value with what is inside it. *count: its elements or members. False when it
// is not JSON.
bool json_scan_value(json_scan_t *s, uint32_t *count);

// Steps over a string, `at` on its opening quote. *raw is what stands between the quotes.
bool json_scan_string(json_scan_t *s, str_t *raw, bool *escaped);

// Steps from `p`, the beginning of a character inside a string, over text that is valid, in large
// steps: to the closing quote, or to some character before it (p itself, without AVX2). *escaped
// is set when it stepped over an escape, else left alone.
const char *json_skip_blocks(const char *p, const char *end, bool *escaped);

// Steps over `"key" :` and the white space round the colon.
bool json_scan_key(json_scan_t *s, str_t *key, bool *escaped);

// Steps over one byte `c` after white space, if it is there.
bool json_scan_char(json_scan_t *s, char c);

// Decodes the next code point of a valid raw string (between quotes) into out[4]; its length in
// bytes.
size_t json_decode(const char **p, const char *end, char out[4]);

// True when a raw key means `name`.
bool json_key_equal(str_t raw, bool escaped, str_t name);

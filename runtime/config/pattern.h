// Regular expressions for routing: PCRE2 with JIT, and limits on every match.
// Only here pcre2.h. A limit hit is an error, never a silent "no": callers decide (the router refuses the request).
#pragma once

#include "base/arena.h"

typedef struct pattern pattern_t;
typedef struct matcher matcher_t;

enum {
    PATTERN_ANCHORED = 1, // matches only from the first byte
    PATTERN_CASELESS = 2,
    PATTERN_BYTES_MAX = 64 * 1024,
};

// Compiles; lives until `a` dies. 0, or -1 with why ("missing closing parenthesis at offset 7").
int pattern_compile(arena_t *a, str_t text, unsigned flags, pattern_t **out, char *why,
                    size_t why_cap);

// Name of capture group i, or empty. Borrowed from the pattern.
str_t pattern_capture_name(const pattern_t *p, uint32_t i);

// The bytes with which every match of an anchored pattern must begin; maybe fewer than there are, never too many.
str_t pattern_literal_prefix(arena_t *a, str_t text);

// Working memory of matching, for one thread at a time; lives until `a` dies.
matcher_t *matcher_create(arena_t *a);

// Matches. The number of groups set (>= 1) with *spans as start, end pairs (SIZE_MAX: unset), borrowed until the next match;
// 0: no match; -1: gave up at a limit.
int matcher_run(matcher_t *m, const pattern_t *p, str_t subject, const size_t **spans);

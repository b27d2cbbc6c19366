// Slices: a pointer and a length, not NUL-terminated, never owning.
// The bytes belong to whoever the function's comment says; {NULL, 0} is the valid empty slice.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct str {
    const char *p;
    size_t n;
} str_t;

#define STR(literal) ((str_t){.p = (literal), .n = sizeof(literal) - 1})
#define STR_FMT(s) (int)(s).n, (s).p ? (s).p : "" // for "%.*s"

static inline str_t str_make(const char *p, size_t n)
{
    return (str_t){.p = p, .n = n};
}

static inline str_t str_from(const char *cstr)
{
    return (str_t){.p = cstr, .n = cstr ? strlen(cstr) : 0};
}

static inline bool str_eq(str_t a, str_t b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(str_t s, str_t prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(str_t s, str_t suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

// The part of `s` from byte `from` on; empty when `from` is at or past the end.
static inline str_t str_from_at(str_t s, size_t from)
{
    return from >= s.n ? str_make(s.p + s.n, 0) : str_make(s.p + from, s.n - from);
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

// Equal without regard to ASCII case (field names, schemes, hosts).
bool str_ieq(str_t a, str_t b);

// Index of the first `c`, or -1.
ptrdiff_t str_chr(str_t s, char c);

// Index of the first occurrence of `needle`, or -1; an empty needle is found at 0.
ptrdiff_t str_find(str_t s, str_t needle);

// Without leading and trailing SP and HTAB.
str_t str_trim(str_t s);

// A decimal number without sign, space or leading '+': 0 and *out, or -1 (empty, other bytes, over 2^64-1).
int str_to_u64(str_t s, uint64_t *out);

// Next element of a comma-separated list (RFC 9110 5.6.1), trimmed, empty ones skipped.
// Advances *rest; false when there is none left.
bool str_list_next(str_t *rest, str_t *item);

// SipHash-free 64-bit hash for tables whose keys peers choose; `seed` is random for each process.
uint64_t str_hash(str_t s, uint64_t seed);

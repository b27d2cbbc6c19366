// Writes head text into memory that was sized for it: the one writer of request and response heads.
#pragma once

#include "base/check.h"
#include "base/str.h"

typedef struct wire {
    char *p, *end; // borrowed room
} wire_t;

enum { WIRE_NUMBER_MAX = 20 };

static inline void wire_put(wire_t *w, str_t s)
{
    ASSERT((size_t)(w->end - w->p) >= s.n, "a head is sized before it is written");
    if (s.n)
        memcpy(w->p, s.p, s.n);
    w->p += s.n;
}

static inline void wire_line(wire_t *w, str_t name, str_t value)
{
    ASSERT((size_t)(w->end - w->p) >= name.n + value.n + 4,
           "a head is sized before it is written");
    char *p = w->p;
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = ':';
    *p++ = ' ';
    if (value.n)
        memcpy(p, value.p, value.n);
    p += value.n;
    *p++ = '\r';
    *p++ = '\n';
    w->p = p;
}

// Decimal text of `value` at the end of out[0..WIRE_NUMBER_MAX).
static inline str_t wire_number(char out[WIRE_NUMBER_MAX], uint64_t value)
{
    size_t at = WIRE_NUMBER_MAX;
    do {
        out[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return str_make(out + at, WIRE_NUMBER_MAX - at);
}

static inline void wire_number_line(wire_t *w, str_t name, uint64_t value)
{
    char text[WIRE_NUMBER_MAX];
    wire_line(w, name, wire_number(text, value));
}

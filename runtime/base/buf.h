// A growable byte buffer on the heap: append at the end, take from the front.
// The bytes may move at every append; a slice of them is borrowed until the next call.
#pragma once

#include "base/str.h"

// The zero state is a valid empty buffer.
typedef struct buf {
    char *p;     // owned
    size_t head; // bytes already taken from the front
    size_t n;    // bytes in use after head
    size_t cap;
} buf_t;

void buf_dispose(buf_t *b);

// Room for `n` more bytes; returns where to write them (then buf_commit). Aborts when memory is gone.
char *buf_reserve(buf_t *b, size_t n);
static inline void buf_commit(buf_t *b, size_t n)
{
    b->n += n;
}

void buf_append(buf_t *b, str_t s);
void buf_putc(buf_t *b, char c);
void buf_printf(buf_t *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// `s` as the inside of a JSON string: escapes, and U+FFFD for bytes that are not UTF-8. No quotes added.
void buf_append_json(buf_t *b, str_t s);

// As buf_append for bytes a peer chose: -1 when memory is gone (the buffer is untouched).
int buf_try_append(buf_t *b, str_t s) __attribute__((warn_unused_result));

// Forgets the first `n` bytes.
void buf_consume(buf_t *b, size_t n);
void buf_clear(buf_t *b);

static inline str_t buf_str(const buf_t *b)
{
    return str_make(b->p ? b->p + b->head : "", b->n);
}

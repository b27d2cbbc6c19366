// A request's memory: allocations that die together, and the cleanups that close what it opened.
// Not thread-safe. Under AddressSanitizer each allocation is a block of its own, so overflows show.
#pragma once

#include "base/str.h"

typedef struct arena_block arena_block_t;
typedef struct arena_cleanup arena_cleanup_t;

// The zero state is a valid empty arena.
typedef struct arena {
    arena_block_t *blocks;     // newest first; owned
    arena_cleanup_t *cleanups; // newest first; storage in the arena itself
    char *at, *end;            // free part of the newest block
} arena_t;

// A cleanup; embed it or let arena_defer allocate it. Runs once, newest first, at dispose.
struct arena_cleanup {
    void (*fn)(void *arg);
    void *arg;
    arena_cleanup_t *next;
};

void arena_init(arena_t *a);

// Runs the cleanups, newest first, then frees everything. The arena is empty and usable after.
void arena_dispose(arena_t *a);

// 16-byte aligned, uninitialised; aborts when memory is gone. Borrowed until arena_dispose.
void *arena_alloc(arena_t *a, size_t n) __attribute__((returns_nonnull));
void *arena_zalloc(arena_t *a, size_t n) __attribute__((returns_nonnull));

// As arena_alloc, in a block of its own of just that size: for what stays long.
void *arena_alloc_own(arena_t *a, size_t n) __attribute__((returns_nonnull));

// As arena_alloc for a size that a peer chose: NULL when memory is gone.
void *arena_try_alloc(arena_t *a, size_t n) __attribute__((warn_unused_result));

// A copy of `s` that lives as long as the arena (with a NUL behind it, not counted).
str_t arena_dup(arena_t *a, str_t s);

// printf into the arena.
str_t arena_printf(arena_t *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Registers fn(arg) to run at dispose. The returned handle may be given to arena_cancel.
arena_cleanup_t *arena_defer(arena_t *a, void (*fn)(void *arg), void *arg);

// Takes a cleanup back: it will not run.
static inline void arena_cancel(arena_cleanup_t *c)
{
    c->fn = NULL;
}

// Bytes held from the heap, for accounting and specs.
size_t arena_size(const arena_t *a);

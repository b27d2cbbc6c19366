// Bump allocation in blocks of 4 KiB (larger for larger requests), cleanups in a list.
// Blocks of the usual size are kept on a small free list, because requests come one after another.
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_BUMP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_BUMP 0
#endif
#endif
#ifndef ARENA_BUMP
#define ARENA_BUMP 1
#endif

enum { BLOCK_BYTES = 4096, ALIGN = 16, SPARE_MAX = 64 };

struct arena_block {
    arena_block_t *next;
    size_t size; // of the whole block, header included
};

static _Thread_local arena_block_t *spare;
static _Thread_local unsigned n_spare;

_Static_assert(sizeof(arena_block_t) % ALIGN == 0, "the first allocation must be aligned");

void arena_init(arena_t *a)
{
    *a = (arena_t){0};
}

static void block_free(arena_block_t *b)
{
    if (ARENA_BUMP && b->size == BLOCK_BYTES && n_spare < SPARE_MAX) {
        b->next = spare;
        spare = b;
        n_spare++;
        return;
    }
    free(b);
}

static arena_block_t *block_new(size_t size)
{
    if (ARENA_BUMP && size == BLOCK_BYTES && spare) {
        arena_block_t *b = spare;
        spare = b->next;
        n_spare--;
        return b;
    }
    arena_block_t *b = mem_try_alloc(size);
    if (b)
        b->size = size;
    return b;
}

void arena_dispose(arena_t *a)
{
    while (a->cleanups) {
        arena_cleanup_t *c = a->cleanups;
        a->cleanups = c->next;
        if (c->fn)
            c->fn(c->arg);
    }
    while (a->blocks) {
        arena_block_t *b = a->blocks;
        a->blocks = b->next;
        block_free(b);
    }
    arena_init(a);
}

static void *own_block(arena_t *a, size_t n)
{
    arena_block_t *b = block_new(sizeof *b + n);
    if (!b)
        return NULL;
    b->next = a->blocks ? a->blocks->next : NULL;
    if (a->blocks)
        a->blocks->next = b; // behind the newest, whose free part stays in use
    else
        a->blocks = b;
    return b + 1;
}

void *arena_try_alloc(arena_t *a, size_t n)
{
    if (n > SIZE_MAX - BLOCK_BYTES)
        return NULL;
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!ARENA_BUMP || n > BLOCK_BYTES / 4)
        return own_block(a, n);
    if ((size_t)(a->end - a->at) < n) {
        arena_block_t *b = block_new(BLOCK_BYTES);
        if (!b)
            return NULL;
        b->next = a->blocks;
        a->blocks = b;
        a->at = (char *)(b + 1);
        a->end = (char *)b + BLOCK_BYTES;
    }
    void *p = a->at;
    a->at += n;
    ASSERT(a->at <= a->end, "an arena block was overrun");
    return p;
}

void *arena_alloc(arena_t *a, size_t n)
{
    void *p = arena_try_alloc(a, n);
    ASSERT(p != NULL, "out of memory");
    return p;
}

void *arena_alloc_own(arena_t *a, size_t n)
{
    ASSERT(n <= SIZE_MAX - BLOCK_BYTES, "a size that cannot be");
    void *p = own_block(a, n);
    ASSERT(p != NULL, "out of memory");
    return p;
}

void *arena_zalloc(arena_t *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

str_t arena_dup(arena_t *a, str_t s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_make(p, s.n);
}

str_t arena_printf(arena_t *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0, "a format of ours is wrong");
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return str_make(p, (size_t)n);
}

arena_cleanup_t *arena_defer(arena_t *a, void (*fn)(void *arg), void *arg)
{
    arena_cleanup_t *c = arena_alloc(a, sizeof *c);
    *c = (arena_cleanup_t){.fn = fn, .arg = arg, .next = a->cleanups};
    a->cleanups = c;
    return c;
}

size_t arena_size(const arena_t *a)
{
    size_t sum = 0;
    for (const arena_block_t *b = a->blocks; b; b = b->next)
        sum += b->size;
    return sum;
}

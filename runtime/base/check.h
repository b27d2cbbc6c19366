// Assertions that stay on in release, and the memory policy.
// A failed ASSERT is a bug of ours: it says where and why, and aborts (the master respawns the worker).
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define ASSERT(cond, why)                                                                      \
    do {                                                                                       \
        if (__builtin_expect(!(cond), 0))                                                      \
            check_fail(#cond, why, __FILE__, __LINE__);                                        \
    } while (0)

#define UNREACHABLE(why) check_fail("unreachable", why, __FILE__, __LINE__)

_Noreturn void check_fail(const char *cond, const char *why, const char *file, int line);

// Allocation whose size we choose: never returns NULL, aborts when memory is gone. Returned owned; free() it.
void *mem_alloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((alloc_size(2), returns_nonnull));

// Allocation whose size a peer chose: NULL when memory is gone; the caller answers 413 or 503.
void *mem_try_alloc(size_t n) __attribute__((malloc, alloc_size(1), warn_unused_result));
void *mem_try_realloc(void *p, size_t n) __attribute__((alloc_size(2), warn_unused_result));

// The failing side of ASSERT, and malloc with a policy. Not a pool: arenas are in arena.c.
#include "base/check.h"

#include "base/log.h"

_Noreturn void check_fail(const char *cond, const char *why, const char *file, int line)
{
    log_write(LOG_EMERG, "assertion failed: %s (%s) at %s:%d", why, cond, file, line);
    abort();
}

static void *or_die(void *p)
{
    ASSERT(p != NULL, "out of memory");
    return p;
}

void *mem_alloc(size_t n)
{
    return or_die(malloc(n ? n : 1));
}

void *mem_zalloc(size_t n)
{
    return or_die(calloc(1, n ? n : 1));
}

void *mem_realloc(void *p, size_t n)
{
    return or_die(realloc(p, n ? n : 1));
}

void *mem_try_alloc(size_t n)
{
    return malloc(n ? n : 1);
}

void *mem_try_realloc(void *p, size_t n)
{
    return realloc(p, n ? n : 1);
}

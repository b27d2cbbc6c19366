// How much memory a Lua state may take: LuaJIT's own allocator, counted. Past `soft` the running code is stopped by an error at its
// next instruction (watchdog.c); past `hard` memory is refused, for what takes that much at once inside a C function.
// Not how long code may run (watchdog.c). Invariant: outside of plugins' code nothing is refused; what is freed is always counted.
#include "lua/bridge.h"

#include "base/check.h"

// A compiled trace cannot be told "no memory" without the process's end, so that the way there is long.
enum { HARD_FACTOR = 4 };

// True: the memory is refused.
static bool is_refused(heap_t *h, uint64_t after)
{
    bridge_t *b = CONTAINER_OF(h, bridge_t, heap);
    watchdog_memory(b);
    if (after <= h->hard)
        return false;
    b->stop_told = true; // by LuaJIT's own error
    return true;
}

static void *take(void *data, void *p, size_t old_n, size_t n)
{
    heap_t *h = data;
    if (n > old_n && h->bytes + (n - old_n) > h->soft && is_refused(h, h->bytes + (n - old_n)))
        return NULL;
    void *q = h->alloc(h->alloc_data, p, old_n, n);
    if (q || n == 0)
        h->bytes = h->bytes + n - old_n;
    return q;
}

void heap_init(bridge_t *b)
{
    heap_t *h = &b->heap;
    ASSERT(b->L && !h->alloc, "a state is counted from its beginning");
    h->alloc = lua_getallocf(b->L, &h->alloc_data);
    h->bytes =
        (uint64_t)lua_gc(b->L, LUA_GCCOUNT, 0) * 1024 + (uint64_t)lua_gc(b->L, LUA_GCCOUNTB, 0);
    heap_unlimit(h);
    lua_setallocf(b->L, take, h);
}

void heap_dispose(bridge_t *b)
{
    // LuaJIT frees all at once when it finds its own allocator.
    ASSERT(b->heap.alloc, "heap_init came first");
    lua_setallocf(b->L, b->heap.alloc, b->heap.alloc_data);
}

void heap_limit(heap_t *h, uint64_t growth)
{
    ASSERT(growth <= UINT64_MAX / (2 * HARD_FACTOR), "a limit is a size of memory");
    h->soft = growth ? h->bytes + growth : UINT64_MAX;
    h->hard = growth ? h->bytes + HARD_FACTOR * growth : UINT64_MAX;
}

void heap_unlimit(heap_t *h)
{
    h->soft = h->hard = UINT64_MAX;
}

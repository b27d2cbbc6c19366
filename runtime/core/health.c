// The table of cells; see health.h. A cell's state is one word, so that a report is one compare-and-swap and a worker that dies
// leaves nothing half done. Keys are looked for in a window of neighbours, always in the same order.
#include "core/health.h"

#include <sys/mman.h>

#include "base/check.h"
#include "base/err.h"

enum { WINDOW = 32, LEASE_OWNER_BITS = 8 };

// A word: two flags, then a byte for each kind of report, in the order of health_report_t.
enum { UNHEALTHY = 1, BY_HAND = 2, FLAGS = 3, COUNTERS_AT = 8 };

typedef struct table {
    _Atomic(uint64_t) version;
    _Atomic(uint64_t) lease; // until when (ms), then the owner in the low bits; 0: nobody's
    health_cell_t cells[HEALTH_CELLS];
} table_t;

// The process's and its children's.
static table_t *table;
static _Atomic(uint64_t) private_version;

int health_create(void)
{
    ASSERT(!table, "made once");
    void *p = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return ERR_NOMEM;
    table = p;
    return 0;
}

void health_destroy(void)
{
    if (table)
        munmap(table, sizeof *table);
    table = NULL;
}

// ---- cells ----

void health_touch(health_cell_t *c, uint32_t now_s)
{
    atomic_store_explicit(&c->touched_s, now_s, memory_order_relaxed);
}

static bool is_abandoned(const health_cell_t *c, uint32_t now_s)
{
    uint32_t at_s = atomic_load_explicit(&c->touched_s, memory_order_relaxed);
    return now_s > at_s && now_s - at_s > HEALTH_KEPT_S;
}

// Takes the cell for `key` if it still holds `old`. True when it is key's, whoever was first.
static bool claim(health_cell_t *c, uint64_t old, uint64_t key)
{
    if (atomic_compare_exchange_strong(&c->key, &old, key)) {
        atomic_store(&c->word, 0);
        return true;
    }
    return old == key;
}

health_cell_t *health_cell(uint64_t key, uint32_t now_s)
{
    ASSERT(key != 0, "0 marks a free cell");
    if (!table)
        return NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < WINDOW; i++) {
            health_cell_t *c = &table->cells[(key + i) % HEALTH_CELLS];
            uint64_t held = atomic_load(&c->key);
            bool may_take = pass == 1 && (held == 0 || is_abandoned(c, now_s));
            if (held == key || (may_take && claim(c, held, key))) {
                health_touch(c, now_s);
                return c;
            }
        }
    }
    return NULL;
}

// ---- states ----

static unsigned counter_of(uint64_t word, health_report_t what)
{
    return (unsigned)(word >> (COUNTERS_AT + 8 * what)) & 0xff;
}

static uint8_t limit_of(const health_limits_t *l, health_report_t what)
{
    switch (what) {
    case HEALTH_SUCCESS:
        return l->successes;
    case HEALTH_HTTP_FAILURE:
        return l->http_failures;
    case HEALTH_TCP_FAILURE:
        return l->tcp_failures;
    case HEALTH_TIMEOUT:
        return l->timeouts;
    }
    UNREACHABLE("a kind of report");
}

// The word after a report, and whether the state changed with it.
static uint64_t counted(uint64_t word, health_report_t what, uint8_t limit,
                        health_change_t *change)
{
    const uint64_t successes = 0xffull << COUNTERS_AT;
    bool good = !(word & UNHEALTHY), success = what == HEALTH_SUCCESS;
    word &= success ? FLAGS | successes : ~successes;
    *change = HEALTH_SAME;
    if (good == success)
        return success ? word & FLAGS : word;
    if (counter_of(word, what) + 1 < limit)
        return word + (1ull << (COUNTERS_AT + 8 * what));
    *change = success ? HEALTH_HEALTHY : HEALTH_UNHEALTHY;
    return success ? 0 : UNHEALTHY;
}

static void tell_change(void)
{
    atomic_fetch_add(table ? &table->version : &private_version, 1);
}

health_change_t health_report(health_cell_t *c, const health_limits_t *limits,
                              health_report_t what)
{
    uint8_t limit = limit_of(limits, what);
    uint64_t old = atomic_load_explicit(&c->word, memory_order_relaxed), new;
    health_change_t change;
    if (limit == 0)
        return HEALTH_SAME;
    do {
        bool settled =
            what == HEALTH_SUCCESS ? old == 0 : old & UNHEALTHY && !(old >> COUNTERS_AT);
        if (settled)
            return HEALTH_SAME; // the usual case costs one load
        new = counted(old, what, limit, &change);
    } while (!atomic_compare_exchange_weak(&c->word, &old, new));
    if (change != HEALTH_SAME)
        tell_change();
    return change;
}

void health_set(health_cell_t *c, bool healthy)
{
    atomic_store(&c->word, healthy ? 0 : UNHEALTHY | BY_HAND);
    tell_change();
}

bool health_is_good(const health_cell_t *c)
{
    return !(atomic_load_explicit(&c->word, memory_order_relaxed) & UNHEALTHY);
}

bool health_is_by_hand(const health_cell_t *c)
{
    return (atomic_load_explicit(&c->word, memory_order_relaxed) & FLAGS) == FLAGS;
}

uint64_t health_version(void)
{
    return atomic_load_explicit(table ? &table->version : &private_version,
                                memory_order_acquire);
}

// ---- the lease ----

bool health_lease(unsigned owner, uint64_t now_ms, uint32_t ttl_ms)
{
    const uint64_t mask = (1u << LEASE_OWNER_BITS) - 1;
    ASSERT(owner <= mask, "an owner fits its bits");
    if (!table)
        return true;
    uint64_t held = atomic_load(&table->lease);
    if (held != 0 && (held & mask) != owner && held >> LEASE_OWNER_BITS > now_ms)
        return false;
    return atomic_compare_exchange_strong(&table->lease, &held,
                                          (now_ms + ttl_ms) << LEASE_OWNER_BITS | owner);
}

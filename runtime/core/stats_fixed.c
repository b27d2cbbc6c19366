// The fixed counters: one row of them for each worker slot.
// Invariant: only the process of a slot adds to its row; the master takes a dead worker's gauges back.
#include "base/check.h"
#include "core/stats_table.h"

// This process's row; a private one as long as there is no table (unit tests, subcommands).
static stats_row_t private_row;
static stats_row_t *row = &private_row;

void stats_use_slot(unsigned slot)
{
    ASSERT(slot < STATS_SLOTS_MAX, "a slot is below STATS_SLOTS_MAX");
    row = stats_table ? &stats_table->rows[slot] : &private_row;
}

void stat_fixed_add(stat_fixed_t f, int64_t by)
{
    atomic_fetch_add_explicit(&row->fixed[f], by, memory_order_relaxed);
}

void stat_fixed_set(stat_fixed_t f, int64_t value)
{
    atomic_store_explicit(&row->fixed[f], value, memory_order_relaxed);
}

int64_t stat_fixed_get(stat_fixed_t f)
{
    if (!stats_table)
        return atomic_load_explicit(&private_row.fixed[f], memory_order_relaxed);
    int64_t sum = 0;
    for (unsigned i = 0; i < STATS_SLOTS_MAX; i++)
        sum += atomic_load_explicit(&stats_table->rows[i].fixed[f], memory_order_relaxed);
    return sum;
}

void stats_slot_died(unsigned slot)
{
    ASSERT(slot < STATS_SLOTS_MAX, "a slot is below STATS_SLOTS_MAX");
    static const stat_fixed_t GAUGES[] = {SF_CONN_ACTIVE,    SF_CONN_READING,
                                          SF_CONN_WRITING,   SF_CONN_WAITING,
                                          SF_TIMERS_PENDING, SF_TIMERS_RUNNING};
    if (!stats_table)
        return;
    for (unsigned i = 0; i < sizeof GAUGES / sizeof *GAUGES; i++)
        atomic_store(&stats_table->rows[slot].fixed[GAUGES[i]], 0);
    atomic_store(&stats_table->rows[slot].pid, 0);
}

void stats_slot_report(int pid, uint64_t lua_bytes)
{
    atomic_store_explicit(&row->lua_bytes, lua_bytes, memory_order_relaxed);
    atomic_store_explicit(&row->pid, pid, memory_order_relaxed);
}

bool stats_slot_get(unsigned slot, int *pid, uint64_t *lua_bytes)
{
    ASSERT(slot < STATS_SLOTS_MAX, "a slot is below STATS_SLOTS_MAX");
    stats_row_t *of = stats_table ? &stats_table->rows[slot] : &private_row;
    if (!stats_table && slot != 0)
        return false;
    *pid = atomic_load_explicit(&of->pid, memory_order_relaxed);
    *lua_bytes = atomic_load_explicit(&of->lua_bytes, memory_order_relaxed);
    return *pid != 0;
}

// See quarantine.h. Rows are claimed by compare-and-swap, so that a worker that dies meanwhile leaves no lock behind.
#include "core/quarantine.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/err.h"
#include "core/stats.h"

enum { CELL_STRIDE = 16, CLAIM_SPINS = 1000000 };

typedef enum row_state { ROW_FREE, ROW_CLAIMED, ROW_READY } row_state_t;

typedef struct row {
    _Atomic(uint32_t) state;
    _Atomic(uint32_t) kills; // ever
    char name[QUARANTINE_NAME_MAX];
    uint64_t kills_ms[QUARANTINE_KILLS_MAX]; // the master's: the latest ones, in turn
} row_t;

typedef struct table {
    row_t rows[QUARANTINE_ROWS];
    uint32_t off[QUARANTINE_ROWS];
    uint32_t running[STATS_SLOTS_MAX * CELL_STRIDE]; // a cache line for each worker
} table_t;

static table_t private_table;
static table_t *table = &private_table;

int quarantine_create(void)
{
    ASSERT(table == &private_table, "created once");
    void *p =
        mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return ERR_NOMEM;
    table = p;
    return 0;
}

void quarantine_destroy(void)
{
    if (table != &private_table)
        munmap(table, sizeof *table);
    else
        memset(table, 0, sizeof *table);
    table = &private_table;
}

// ---- rows ----

// True: the row is complete. Another process is at it for some instructions, unless it died there.
static bool is_ready(row_t *r)
{
    for (int i = 0; i < CLAIM_SPINS; i++) {
        uint32_t state = atomic_load(&r->state);
        if (state != ROW_CLAIMED)
            return state == ROW_READY;
    }
    return false;
}

uint32_t quarantine_row(str_t name)
{
    if (name.n >= QUARANTINE_NAME_MAX)
        name.n = QUARANTINE_NAME_MAX - 1;
    for (uint32_t i = 1; i < QUARANTINE_ROWS; i++) {
        row_t *r = &table->rows[i];
        uint32_t free_state = ROW_FREE;
        if (atomic_compare_exchange_strong(&r->state, &free_state, ROW_CLAIMED)) {
            memcpy(r->name, name.p, name.n);
            r->name[name.n] = '\0';
            atomic_store(&r->state, ROW_READY);
            return i;
        }
        if (is_ready(r) && str_eq(str_from(r->name), name))
            return i;
    }
    return 0;
}

uint32_t *quarantine_running(unsigned slot)
{
    ASSERT(slot < STATS_SLOTS_MAX, "a slot is below STATS_SLOTS_MAX");
    return &table->running[slot * CELL_STRIDE];
}

const uint32_t *quarantine_off(void)
{
    return table->off;
}

void quarantine_forget_running(unsigned slot)
{
    *quarantine_running(slot) = 0;
}

// ---- blame ----

static unsigned kills_since(const row_t *r, uint64_t from_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < QUARANTINE_KILLS_MAX; i++)
        n += r->kills_ms[i] != 0 && r->kills_ms[i] >= from_ms;
    return n;
}

bool quarantine_blame(unsigned slot, uint64_t now_ms, unsigned limit, uint64_t window_ms,
                      quarantine_verdict_t *out)
{
    ASSERT(limit <= QUARANTINE_KILLS_MAX, "no more kills are remembered");
    uint32_t i = *quarantine_running(slot);
    // A worker that went wild may have written anything there.
    if (i == 0 || i >= QUARANTINE_ROWS || atomic_load(&table->rows[i].state) != ROW_READY)
        return false;
    row_t *r = &table->rows[i];
    uint32_t before = atomic_fetch_add(&r->kills, 1);
    r->kills_ms[before % QUARANTINE_KILLS_MAX] = now_ms;
    unsigned kills = kills_since(r, now_ms > window_ms ? now_ms - window_ms : 0);
    bool over = limit > 0 && kills >= limit;
    *out = (quarantine_verdict_t){r->name, kills, over && !table->off[i]};
    if (over)
        table->off[i] = 1;
    return true;
}

unsigned quarantine_lift(void)
{
    unsigned n = 0;
    for (uint32_t i = 1; i < QUARANTINE_ROWS; i++) {
        n += table->off[i] != 0;
        table->off[i] = 0;
        memset(table->rows[i].kills_ms, 0, sizeof table->rows[i].kills_ms);
    }
    return n;
}

// ---- to be seen ----

void quarantine_json(buf_t *b)
{
    unsigned put = 0;
    buf_append(b, STR("\"plugins\":{\"switched_off\":["));
    for (uint32_t i = 1; i < QUARANTINE_ROWS; i++) {
        row_t *r = &table->rows[i];
        if (!table->off[i] || atomic_load(&r->state) != ROW_READY)
            continue;
        buf_append(b, put++ ? STR(",{\"name\":\"") : STR("{\"name\":\""));
        buf_append_json(b, str_from(r->name));
        buf_printf(b, "\",\"kills\":%u}", atomic_load(&r->kills));
    }
    buf_append(b, STR("]}"));
}

static void put_family(buf_t *b, const char *name, const char *type, const char *help, bool off)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    for (uint32_t i = 1; i < QUARANTINE_ROWS; i++) {
        row_t *r = &table->rows[i];
        uint32_t value = off ? table->off[i] : atomic_load(&r->kills);
        if (value == 0 || atomic_load(&r->state) != ROW_READY)
            continue;
        buf_t labels = {0};
        stat_label(&labels, STR("plugin"), str_from(r->name));
        buf_printf(b, "%s{%.*s} %u\n", name, STR_FMT(buf_str(&labels)), value);
        buf_dispose(&labels);
    }
}

void quarantine_metrics(buf_t *b)
{
    put_family(b, "moongate_plugin_kills_total", "counter",
               "Workers that were killed or crashed while the plugin's code ran", false);
    put_family(b, "moongate_plugin_switched_off", "gauge",
               "Plugins that are switched off since they ended workers too often", true);
}

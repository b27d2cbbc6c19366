// How series lie in shared memory: for stats.c, stats_fixed.c and stats_render.c only.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/stats.h"

enum { OTHERS_MAX = 64, CELLS_EACH = 24, TEXT_EACH = 384, BOUNDS_MAX = 32 };
typedef enum stat_type { STAT_COUNTER = 1, STAT_GAUGE, STAT_HISTOGRAM } stat_type_t;

typedef struct stat_spec {
    stat_type_t type;
    str_t name, labels, help;
    const double *bounds;
    unsigned n_bounds;
} stat_spec_t;

// Offsets into text and cells. The links between series hold index + 1, 0: none; they are changed under the lock and read without.
typedef struct series {
    uint64_t hash;
    stat_type_t type;
    uint32_t name, name_n, labels, labels_n, help, help_n;
    uint32_t cell, bounds, n_bounds;
    uint32_t family;      // the first series of that name
    uint32_t last_member; // of a family's first: its newest member
    _Atomic(uint32_t) next_member, next_family;
} series_t;

typedef struct stats_row {
    _Atomic(int64_t) fixed[SF_COUNT];
    _Atomic(uint64_t) lua_bytes;
    _Atomic(int) pid; // 0: nobody
} __attribute__((aligned(64))) stats_row_t;

typedef struct stats_table {
    pthread_mutex_t lock;
    size_t mapped;
    uint32_t max_series, n_slots, max_cells, max_text;
    uint32_t n_cells, n_text, last_family;
    _Atomic(uint32_t) n_series, first_family;
    _Atomic(uint64_t) dropped;
    series_t *series;
    _Atomic(uint64_t) *cells;
    _Atomic(uint32_t) *slots; // index + 1 of a series, 0: free; open addressing
    char *text;
    stats_row_t rows[STATS_SLOTS_MAX];
} stats_table_t;

extern stats_table_t *stats_table;

static inline double cell_value(_Atomic(uint64_t) *cell)
{
    uint64_t bits = atomic_load_explicit(cell, memory_order_relaxed);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

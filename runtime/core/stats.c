// The shared table of series and its cells. A cell is a double in 64 bits, changed by compare-and-swap: counts stay exact to 2^53.
// Not: which metrics exist (core/status.c, the prometheus plugin).
// Invariants: a series is complete before its hash slot says so and never changes after; only makers take the lock; a maker that
// dies leaks what it took and nothing else.
#include "core/stats.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/err.h"
#include "core/stats_table.h"

// The table of this process and its parent: made once, before the first fork.
stats_table_t *stats_table;

// ---- life ----

static void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    int err = pthread_mutex_init(lock, &attr);
    ASSERT(err == 0, "a shared robust mutex can be made");
    pthread_mutexattr_destroy(&attr);
}

static uint32_t pow2_over(uint32_t n)
{
    uint32_t p = 16;
    while (p < n)
        p *= 2;
    return p;
}

int stats_create(uint32_t max_series)
{
    ASSERT(!stats_table, "stats are made once");
    uint32_t n_series = max_series + OTHERS_MAX, n_slots = pow2_over(n_series * 2);
    size_t head = (sizeof(stats_table_t) + 63) & ~(size_t)63;
    size_t cells = (size_t)n_series * CELLS_EACH, text = (size_t)n_series * TEXT_EACH;
    size_t total = head + n_series * sizeof(series_t) + cells * sizeof(uint64_t) +
                   n_slots * sizeof(uint32_t) + text;
    char *p = mmap(NULL, total, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return ERR_NOMEM;
    stats_table_t *t = (stats_table_t *)(void *)p;
    t->series = (series_t *)(void *)(p + head);
    t->cells = (_Atomic(uint64_t) *)(void *)(t->series + n_series);
    t->slots = (_Atomic(uint32_t) *)(void *)(t->cells + cells);
    t->text = (char *)(void *)(t->slots + n_slots);
    t->mapped = total;
    t->max_series = max_series;
    t->n_slots = n_slots;
    t->max_cells = (uint32_t)cells;
    t->max_text = (uint32_t)text;
    lock_init(&t->lock);
    stats_table = t;
    stats_use_slot(0);
    return 0;
}

void stats_destroy(void)
{
    if (stats_table)
        munmap(stats_table, stats_table->mapped);
    stats_table = NULL;
    stats_use_slot(0);
}

// ---- cells ----

static double cell_get(uint32_t cell)
{
    return cell_value(&stats_table->cells[cell]);
}

static void cell_set(uint32_t cell, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    atomic_store_explicit(&stats_table->cells[cell], bits, memory_order_relaxed);
}

static void cell_add(uint32_t cell, double by)
{
    _Atomic(uint64_t) *c = &stats_table->cells[cell];
    uint64_t old = atomic_load_explicit(c, memory_order_relaxed), bits;
    do {
        double v;
        memcpy(&v, &old, sizeof v);
        v += by;
        memcpy(&bits, &v, sizeof bits);
    } while (!atomic_compare_exchange_weak_explicit(c, &old, bits, memory_order_relaxed,
                                                    memory_order_relaxed));
}

static const series_t *series_of(stat_t s)
{
    if (s < 0 || !stats_table) {
        if (stats_table)
            atomic_fetch_add_explicit(&stats_table->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    ASSERT((uint32_t)s < atomic_load_explicit(&stats_table->n_series, memory_order_acquire),
           "a handle came from stat_*");
    return &stats_table->series[s];
}

void stat_add(stat_t s, double by)
{
    const series_t *series = series_of(s);
    if (series)
        cell_add(series->cell, by);
}

void stat_set(stat_t s, double value)
{
    const series_t *series = series_of(s);
    if (series)
        cell_set(series->cell, value);
}

double stat_get(stat_t s)
{
    const series_t *series = series_of(s);
    return series ? cell_get(series->cell) : 0;
}

// A histogram's cells: one for each bound (not cumulative), +Inf, the sum.
void stat_observe(stat_t s, double value)
{
    const series_t *series = series_of(s);
    if (!series)
        return;
    ASSERT(series->type == STAT_HISTOGRAM, "only a histogram is observed");
    unsigned i = 0;
    while (i < series->n_bounds && value > cell_get(series->bounds + i))
        i++;
    cell_add(series->cell + i, 1);
    cell_add(series->cell + series->n_bounds + 1, value);
}

// ---- making and finding ----

static uint64_t series_hash(str_t name, str_t labels)
{
    return str_hash(labels, str_hash(name, 0x5eed));
}

static str_t text_at(uint32_t at, uint32_t n)
{
    return str_make(stats_table->text + at, n);
}

static str_t series_name(const series_t *s)
{
    return text_at(s->name, s->name_n);
}

static str_t series_labels(const series_t *s)
{
    return text_at(s->labels, s->labels_n);
}

// The series, or -1 with *slot where it belongs.
static stat_t find(str_t name, str_t labels, uint64_t hash, uint32_t *slot)
{
    stats_table_t *t = stats_table;
    for (uint32_t i = (uint32_t)hash & (t->n_slots - 1);; i = (i + 1) & (t->n_slots - 1)) {
        uint32_t at = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        *slot = i;
        if (at == 0)
            return -1;
        const series_t *s = &t->series[at - 1];
        if (s->hash == hash && str_eq(series_name(s), name) && str_eq(series_labels(s), labels))
            return (stat_t)(at - 1);
    }
}

static const series_t *find_family(str_t name)
{
    for (uint32_t at = stats_table->first_family; at;
         at = stats_table->series[at - 1].next_family) {
        if (str_eq(series_name(&stats_table->series[at - 1]), name))
            return &stats_table->series[at - 1];
    }
    return NULL;
}

static uint32_t text_put(str_t s)
{
    stats_table_t *t = stats_table;
    uint32_t at = t->n_text;
    t->n_text += (uint32_t)s.n;
    if (s.n)
        memcpy(t->text + at, s.p, s.n);
    return at;
}

static uint32_t cells_put(const double *values, uint32_t n)
{
    uint32_t at = stats_table->n_cells;
    stats_table->n_cells += n;
    for (uint32_t i = 0; i < n; i++)
        cell_set(at + i, values ? values[i] : 0);
    return at;
}

static bool has_room(const stat_spec_t *spec, bool other)
{
    const stats_table_t *t = stats_table;
    size_t text = spec->name.n + spec->labels.n + spec->help.n, cells = spec->n_bounds * 2 + 2;
    return t->n_series < t->max_series + (other ? OTHERS_MAX : 0) &&
           t->max_text - t->n_text >= text && t->max_cells - t->n_cells >= cells;
}

static void family_link(const series_t *family, series_t *s, uint32_t at)
{
    stats_table_t *t = stats_table;
    if (family) {
        series_t *first = &t->series[family - t->series];
        s->family = (uint32_t)(first - t->series) + 1;
        atomic_store_explicit(first->last_member
                                  ? &t->series[first->last_member - 1].next_member
                                  : &first->next_member,
                              at, memory_order_release);
        first->last_member = at;
        return;
    }
    s->family = at;
    atomic_store_explicit(t->last_family ? &t->series[t->last_family - 1].next_family
                                         : &t->first_family,
                          at, memory_order_release);
    t->last_family = at;
}

// Room has been checked; the lock is held.
static stat_t make(const stat_spec_t *spec, uint64_t hash, uint32_t slot,
                   const series_t *family)
{
    stats_table_t *t = stats_table;
    uint32_t at = t->n_series;
    series_t *s = &t->series[at];
    bool histogram = spec->type == STAT_HISTOGRAM;
    *s = (series_t){.hash = hash,
                    .type = spec->type,
                    .name_n = (uint32_t)spec->name.n,
                    .labels_n = (uint32_t)spec->labels.n};
    s->name = family ? family->name : text_put(spec->name);
    s->labels = text_put(spec->labels);
    s->help = family ? family->help : text_put(spec->help);
    s->help_n = family ? family->help_n : (uint32_t)spec->help.n;
    s->n_bounds = family ? family->n_bounds : spec->n_bounds;
    s->bounds = family ? family->bounds : cells_put(spec->bounds, spec->n_bounds);
    s->cell = cells_put(NULL, histogram ? s->n_bounds + 2 : 1);
    atomic_store_explicit(&t->n_series, at + 1, memory_order_release);
    atomic_store_explicit(&t->slots[slot], at + 1, memory_order_release);
    family_link(family, s, at + 1);
    return (stat_t)at;
}

// The same labels with "other" for every value.
static str_t other_labels(str_t labels, char *out, size_t cap)
{
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i < labels.n && n + 8 < cap; i++) {
        char c = labels.p[i];
        if (quoted && c == '\\') {
            i++;
            continue;
        }
        if (c == '"') {
            if (!quoted)
                n += (size_t)snprintf(out + n, cap - n, "\"other\"");
            quoted = !quoted;
        } else if (!quoted) {
            out[n++] = c;
        }
    }
    return str_make(out, n);
}

static stat_t make_or_collapse(const stat_spec_t *spec, uint64_t hash)
{
    uint32_t slot;
    stat_t found =
        find(spec->name, spec->labels, hash, &slot); // somebody else may have made it
    if (found >= 0)
        return found;
    const series_t *family = find_family(spec->name);
    if (family && family->type != spec->type)
        return -1;
    if (has_room(spec, false))
        return make(spec, hash, slot, family);
    char text[512];
    stat_spec_t other = *spec;
    other.labels = other_labels(spec->labels, text, sizeof text);
    uint64_t other_hash = series_hash(other.name, other.labels);
    found = find(other.name, other.labels, other_hash, &slot);
    if (found >= 0 || !has_room(&other, true))
        return found;
    return make(&other, other_hash, slot, family);
}

static bool name_valid(str_t name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = ascii_lower(name.p[i]);
        if (!((c >= 'a' && c <= 'z') || c == '_' || c == ':' ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return name.n > 0 && name.n < 256;
}

static stat_t get_or_make(const stat_spec_t *spec)
{
    stats_table_t *t = stats_table;
    if (!t || !name_valid(spec->name))
        return -1;
    uint32_t slot;
    uint64_t hash = series_hash(spec->name, spec->labels);
    stat_t found = find(spec->name, spec->labels, hash, &slot);
    if (found >= 0)
        return t->series[found].type == spec->type ? found : -1;
    int err = pthread_mutex_lock(&t->lock);
    if (err == EOWNERDEAD)
        pthread_mutex_consistent(&t->lock);
    else
        ASSERT(err == 0, "the table's mutex can be locked");
    found = make_or_collapse(spec, hash);
    pthread_mutex_unlock(&t->lock);
    return found;
}

stat_t stat_counter(str_t name, str_t labels, const char *help)
{
    return get_or_make(&(stat_spec_t){
        .type = STAT_COUNTER, .name = name, .labels = labels, .help = str_from(help)});
}

stat_t stat_gauge(str_t name, str_t labels, const char *help)
{
    return get_or_make(&(stat_spec_t){
        .type = STAT_GAUGE, .name = name, .labels = labels, .help = str_from(help)});
}

stat_t stat_histogram(str_t name, str_t labels, const char *help, const double *bounds,
                      unsigned n_bounds)
{
    ASSERT(n_bounds <= BOUNDS_MAX, "a histogram has at most 32 bounds");
    return get_or_make(&(stat_spec_t){.type = STAT_HISTOGRAM,
                                      .name = name,
                                      .labels = labels,
                                      .help = str_from(help),
                                      .bounds = bounds,
                                      .n_bounds = n_bounds});
}

uint64_t stats_dropped(void)
{
    return stats_table ? atomic_load_explicit(&stats_table->dropped, memory_order_relaxed) : 0;
}

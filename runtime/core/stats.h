// Counters and histograms in shared memory, one cell for all workers, read by /metrics. Series are named by their full Prometheus text
// (`kong_http_requests_total{service="a",...}`) once; after that a handle is an index and adding is one atomic add.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

typedef int32_t stat_t; // handle; -1: no room or bad name (adding to it is counted as dropped)

// Made by the master before it forks. Past max_series a metric's further series collapse into one whose label values are all "other".
// 0 or ERR_NOMEM. Without it every handle is -1, and the fixed counters are this process's own.
int stats_create(uint32_t max_series);
void stats_destroy(void);

// The handle of a series, made on first use (then found without a lock). name: metric name; labels: `a="b",c="d"` already escaped
// (stat_label), may be empty. A name has one type for ever; HELP is the first one given. bounds: rising, at most 32, without +Inf.
stat_t stat_counter(str_t name, str_t labels, const char *help);
stat_t stat_gauge(str_t name, str_t labels, const char *help);
stat_t stat_histogram(str_t name, str_t labels, const char *help, const double *bounds,
                      unsigned n_bounds);
void stat_add(stat_t s, double by);
void stat_set(stat_t s, double value);
void stat_observe(stat_t s, double value);
double stat_get(stat_t s);

// Appends `name="value"` with the value escaped (backslash, quote, newline), behind a comma unless `out` is empty.
void stat_label(buf_t *out, str_t name, str_t value);
// Prometheus text exposition (0.0.4) of all series: by metric in the order of first use. Not the fixed ones (core/status.c).
void stats_render(buf_t *out);

// The fixed ones every request touches (no names, no hash): a row of counters for each worker slot, so that workers share no cache line
// and the gauges of a worker that died can be taken back.
typedef enum stat_fixed {
    SF_CONN_ACCEPTED,
    SF_CONN_HANDLED,
    SF_CONN_ACTIVE,
    SF_CONN_READING,
    SF_CONN_WRITING,
    SF_CONN_WAITING,
    SF_REQUESTS,
    SF_RESPAWNS,
    SF_LOG_DROPPED,
    SF_TLS_ERRORS,
    SF_RELOADS_OK,
    SF_RELOADS_FAILED,
    SF_RELOADS_UNCHANGED,
    SF_TIMERS_PENDING, // of plugins
    SF_TIMERS_RUNNING,
    SF_COUNT,
} stat_fixed_t;
void stat_fixed_add(stat_fixed_t f, int64_t by);
int64_t stat_fixed_get(stat_fixed_t f);             // sum over all slots
void stat_fixed_set(stat_fixed_t f, int64_t value); // of this process's slot, for gauges

// Slots (one a worker, and one for the master). Without these calls everything goes to slot 0.
enum { STATS_SLOTS_MAX = 129, STATS_SLOT_MASTER = STATS_SLOTS_MAX - 1 };
void stats_use_slot(unsigned slot); // this process from now on
void stats_slot_died(
    unsigned slot); // by the master: its gauges (connections and timers of now) become 0
void stats_slot_report(int pid, uint64_t lua_bytes); // this process's slot; pid 0: gone
// The i-th slot's report; false when there is none.
bool stats_slot_get(unsigned slot, int *pid, uint64_t *lua_bytes);
// What a scrape needs beside the series: additions to stats that had no room.
uint64_t stats_dropped(void);

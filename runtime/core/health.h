// The health of targets' addresses, in memory that all workers share: counted and changed without locks, kept over reloads and over a
// worker's death. Not who is asked (balancer.h) nor who probes (prober.h). A cell is found by its key and belongs to nobody: what no
// worker has touched for HEALTH_KEPT_S may be given to another key.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/upstream.h"

enum { HEALTH_CELLS = 16384, HEALTH_KEPT_S = 600 };

typedef struct health_cell {
    _Atomic(uint64_t) key;  // 0: free
    _Atomic(uint64_t) word; // flags and counters, see health.c; 0: healthy
    _Atomic(uint32_t) touched_s;
} health_cell_t;

typedef enum health_report {
    HEALTH_SUCCESS,
    HEALTH_HTTP_FAILURE,
    HEALTH_TCP_FAILURE,
    HEALTH_TIMEOUT,
} health_report_t;

typedef enum health_change {
    HEALTH_UNHEALTHY = -1,
    HEALTH_SAME = 0,
    HEALTH_HEALTHY = 1
} health_change_t;

// Made by the master before it forks. 0 or ERR_NOMEM. Without it health_cell gives NULL.
int health_create(void);
void health_destroy(void);

// The cell of a key (not 0), healthy when it is new; borrowed, for as long as it is touched. NULL: there is no room, or no memory was made.
health_cell_t *health_cell(uint64_t key, uint32_t now_s);
void health_touch(health_cell_t *c, uint32_t now_s);

// Counts one outcome. What is limited to 0 is not counted. A success forgets failures, a failure forgets successes.
health_change_t health_report(health_cell_t *c, const health_limits_t *limits,
                              health_report_t what);
// Sets the state by hand, counters to 0. An unhealthy one stays so, even without checks, until somebody or a check says otherwise.
void health_set(health_cell_t *c, bool healthy);
bool health_is_good(const health_cell_t *c);
// Whether it was set unhealthy by hand and no check has changed it since.
bool health_is_by_hand(const health_cell_t *c);

// Changes with every change of any cell's state: who remembers states asks again when it differs.
uint64_t health_version(void);

// Probing is one worker's work: true when `owner` may do it until now_ms + ttl_ms. To be asked again before that.
bool health_lease(unsigned owner, uint64_t now_ms, uint32_t ttl_ms);

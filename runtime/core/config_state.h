// Which configuration is in use, since when, and how the last attempt to load one went: in memory that all processes share, written by
// whoever loads (the master, or a process alone) and read by status.c. Not the configuration (config/generation.h).
// Invariant: a reader never sees half of an update.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { CONFIG_ERROR_MAX = 4096, CONFIG_ERRORS_TOLD = 16 };

typedef struct config_state {
    uint64_t generation; // 1: the first; counts what was adopted
    uint64_t loaded_ms;  // wall clock
    uint64_t attempt_ms;
    bool attempt_ok;
    bool last_good; // not from the files, which are invalid: what was kept of an earlier run
    char hash[33];  // of the configuration in use
    char attempt_content[65];
    uint32_t files;
    uint32_t workers, workers_acked; // how many there are, how many have it
    char watch[8];                   // watcher_mode
    char error
        [CONFIG_ERROR_MAX]; // problems of the last attempt, one a line; "" when it went well
} config_state_t;

// Before the first fork. 0 or ERR_NOMEM; without it (specs) what is written is kept in this process.
int config_state_create(void);
void config_state_destroy(void);

// The writer's copy, between begin and end. Only one process writes.
config_state_t *config_state_begin(void);
void config_state_end(void);
// A consistent copy.
void config_state_get(config_state_t *out);

// The next two are what writers mostly say. `problems` as lines; NULL content: unknown; 0 files: the empty configuration before the first
// has come, whose hash is shown as zeros.
void config_state_loaded(str_t hash, uint32_t files, str_t content);
void config_state_failed(str_t problems, str_t content);

// Live generations of this process's worker, and the most that any worker has. A slot is below STATS_SLOTS_MAX.
void config_state_alive(unsigned slot, uint32_t generations);
uint32_t config_state_most_alive(void);

// Whether this gateway was taken out of service by its operator (control_set_drained), for readiness in every worker.
void config_state_set_drained(bool drained);
bool config_state_drained(void);

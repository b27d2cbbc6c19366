// Which plugin's code each worker runs, and the plugins that are switched off because they ended workers too often: a table in memory that
// all processes share. Workers say what they run by one store; only the master blames. Not what a chain does about it (lualib/runloop).
// Invariant: a row's name never changes; row 0 is nobody.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { QUARANTINE_ROWS = 512, QUARANTINE_NAME_MAX = 120, QUARANTINE_KILLS_MAX = 16 };

// Before the first fork. 0 or ERR_NOMEM; without it (specs, a process alone) the table is this process's own.
int quarantine_create(void);
void quarantine_destroy(void);

// The row of a plugin by name (cut at QUARANTINE_NAME_MAX - 1 bytes), made on first use; 0 when there is no room: it is never blamed.
uint32_t quarantine_row(str_t name);
// Where the worker of that slot says what it runs. For the life of the process.
uint32_t *quarantine_running(unsigned slot);
// By row: not 0 when it is switched off. QUARANTINE_ROWS of them, for the life of the process.
const uint32_t *quarantine_off(void);

typedef struct quarantine_verdict {
    const char *name;  // for the life of the process
    unsigned kills;    // within the window, this one included
    bool switched_off; // by this one
} quarantine_verdict_t;

// The worker of that slot was killed or crashed: blames what it ran. limit: so many within window_ms switch it off (at most
// QUARANTINE_KILLS_MAX); 0: never. False: it ran nobody's code. By the master.
bool quarantine_blame(unsigned slot, uint64_t now_ms, unsigned limit, uint64_t window_ms,
                      quarantine_verdict_t *out);
// The worker of that slot begins anew.
void quarantine_forget_running(unsigned slot);
// All are on again and nobody has killed: the configuration or its code is another one. How many were off.
unsigned quarantine_lift(void);

// The member "plugins" of /status, and the metrics.
void quarantine_json(buf_t *b);
void quarantine_metrics(buf_t *b);

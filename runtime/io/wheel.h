// A hierarchical timer wheel over io_timer_t: O(1) arm and disarm, the next deadline by bit
// scan. No clock and no event loop in here: the caller says what time it is (specs: any time
// they like). Invariant: a timer in level L, slot S shares all digits (base 64) above L with
// `now`, and S > now's digit L; so the lowest busy level holds the earliest timers, and no slot
// ever wraps.
#pragma once

#include "io/loop.h"

enum { WHEEL_BITS = 6, WHEEL_SLOTS = 64, WHEEL_LEVELS = 7 }; // 2^42 ms: 139 years
#define WHEEL_NEVER UINT64_MAX

typedef struct wheel {
    uint64_t now;                // everything due before or at this is in `ready`
    uint64_t busy[WHEEL_LEVELS]; // bit S: slot S is not empty
    list_t slots[WHEEL_LEVELS][WHEEL_SLOTS];
    list_t ready;   // due, in order of their deadlines
    unsigned armed; // timers in slots and in ready
} wheel_t;

void wheel_init(wheel_t *w, uint64_t now);

// Arms t (not armed) for due_ms; a deadline in the past is due at once.
void wheel_insert(wheel_t *w, io_timer_t *t, uint64_t due_ms);
void wheel_remove(wheel_t *w, io_timer_t *t);

// When the wheel must next be advanced: at or before the earliest deadline. WHEEL_NEVER when
// nothing is armed.
uint64_t wheel_next(const wheel_t *w);

// Moves what is due at `now` (or before) to the end of `ready`.
void wheel_advance(wheel_t *w, uint64_t now);

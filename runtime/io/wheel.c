// The timer wheel: placing by the highest base-64 digit in which deadline and now differ.
#include "io/wheel.h"

#include "base/check.h"

void wheel_init(wheel_t *w, uint64_t now)
{
    w->now = now;
    w->armed = 0;
    list_init(&w->ready);
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        w->busy[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
}

static void place(wheel_t *w, io_timer_t *t)
{
    if (t->due_ms <= w->now) {
        list_push_back(&w->ready, &t->links);
        return;
    }
    unsigned level = (63u - (unsigned)__builtin_clzll(t->due_ms ^ w->now)) / WHEEL_BITS;
    ASSERT(level < WHEEL_LEVELS, "a deadline lies within the wheel's range");
    unsigned slot = (unsigned)(t->due_ms >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
    list_push_back(&w->slots[level][slot], &t->links);
    w->busy[level] |= UINT64_C(1) << slot;
}

void wheel_insert(wheel_t *w, io_timer_t *t, uint64_t due_ms)
{
    ASSERT(t->due_ms == 0 && due_ms != 0, "a timer is armed once, for a time after zero");
    t->due_ms = due_ms;
    w->armed++;
    place(w, t);
}

// Clears the busy bit when the last timer of a slot leaves: what remains is the slot's own
// head.
static void forget_empty_slot(wheel_t *w, const list_t *head)
{
    const list_t *first = &w->slots[0][0];
    if (head < first || head >= first + (size_t)WHEEL_LEVELS * WHEEL_SLOTS)
        return; // the ready list, or the one the caller took it over to
    size_t i = (size_t)(head - first);
    w->busy[i / WHEEL_SLOTS] &= ~(UINT64_C(1) << (i % WHEEL_SLOTS));
}

void wheel_remove(wheel_t *w, io_timer_t *t)
{
    ASSERT(t->due_ms != 0 && w->armed > 0, "only an armed timer is removed");
    if (t->links.next == t->links.prev)
        forget_empty_slot(w, t->links.next);
    list_unlink(&t->links);
    t->due_ms = 0;
    w->armed--;
}

// The first busy slot and the time at which it starts; false when all are empty.
static bool first_slot(const wheel_t *w, unsigned *level, unsigned *slot, uint64_t *start)
{
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        if (!w->busy[l])
            continue;
        *level = l;
        *slot = (unsigned)__builtin_ctzll(w->busy[l]);
        uint64_t above = ~UINT64_C(0) << ((l + 1) * WHEEL_BITS);
        *start = (w->now & above) | ((uint64_t)*slot << (l * WHEEL_BITS));
        return true;
    }
    return false;
}

uint64_t wheel_next(const wheel_t *w)
{
    unsigned level, slot;
    uint64_t start;
    if (!list_empty(&w->ready))
        return w->now;
    return first_slot(w, &level, &slot, &start) ? start : WHEEL_NEVER;
}

void wheel_advance(wheel_t *w, uint64_t now)
{
    unsigned level, slot;
    uint64_t start;
    while (first_slot(w, &level, &slot, &start) && start <= now) {
        ASSERT(start > w->now, "the wheel turns forward");
        w->now = start;
        w->busy[level] &= ~(UINT64_C(1) << slot);
        list_t *head = &w->slots[level][slot];
        while (!list_empty(head)) {
            io_timer_t *t = CONTAINER_OF(head->next, io_timer_t, links);
            list_unlink(&t->links);
            place(w, t);
        }
    }
    if (now > w->now)
        w->now = now;
}

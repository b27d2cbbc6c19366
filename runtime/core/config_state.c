// A sequence lock over one struct in shared memory; see config_state.h.
#include "core/config_state.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/stats.h"

typedef struct shared {
    _Atomic(uint32_t) turn; // odd: being written
    config_state_t state;
    _Atomic(bool) drained;
    _Atomic(uint32_t) alive[STATS_SLOTS_MAX];
} shared_t;

// The process's: shared with its children once created.
static shared_t private_state;
static shared_t *shared = &private_state;

int config_state_create(void)
{
    ASSERT(shared == &private_state, "created once");
    void *p =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return ERR_NOMEM;
    shared = p;
    return 0;
}

void config_state_destroy(void)
{
    if (shared != &private_state)
        munmap(shared, sizeof *shared);
    shared = &private_state;
}

config_state_t *config_state_begin(void)
{
    ASSERT(!(atomic_load(&shared->turn) & 1), "one update at a time");
    atomic_fetch_add(&shared->turn, 1);
    return &shared->state;
}

void config_state_end(void)
{
    ASSERT(atomic_load(&shared->turn) & 1, "an update was begun");
    atomic_fetch_add(&shared->turn, 1);
}

void config_state_get(config_state_t *out)
{
    // An update is a few stores; a writer that died inside it leaves the turn odd, and half an answer is better than none.
    for (int tries = 0; tries < 10000; tries++) {
        uint32_t turn = atomic_load(&shared->turn);
        memcpy(out, &shared->state, sizeof *out);
        atomic_thread_fence(memory_order_seq_cst);
        if (!(turn & 1) && atomic_load(&shared->turn) == turn)
            return;
    }
}

static void put(char *to, size_t cap, str_t text)
{
    size_t n = text.n < cap ? text.n : cap - 1;
    memcpy(to, text.n ? text.p : "", n);
    to[n] = '\0';
}

static uint64_t now_ms(void)
{
    return clock_wall_us() / 1000;
}

// What the Kong Ingress Controller takes for "push again".
#define NO_CONFIGURATION "00000000000000000000000000000000"

void config_state_loaded(str_t hash, uint32_t files, str_t content)
{
    config_state_t *s = config_state_begin();
    s->generation++;
    s->loaded_ms = s->attempt_ms = now_ms();
    s->attempt_ok = true;
    s->last_good = false;
    s->files = files;
    s->error[0] = '\0';
    put(s->hash, sizeof s->hash, files ? hash : STR(NO_CONFIGURATION));
    put(s->attempt_content, sizeof s->attempt_content, content);
    config_state_end();
}

void config_state_failed(str_t problems, str_t content)
{
    config_state_t *s = config_state_begin();
    s->attempt_ms = now_ms();
    s->attempt_ok = false;
    put(s->error, sizeof s->error, problems);
    put(s->attempt_content, sizeof s->attempt_content, content);
    config_state_end();
}

void config_state_alive(unsigned slot, uint32_t generations)
{
    ASSERT(slot < STATS_SLOTS_MAX, "a slot is below STATS_SLOTS_MAX");
    atomic_store_explicit(&shared->alive[slot], generations, memory_order_relaxed);
}

uint32_t config_state_most_alive(void)
{
    uint32_t most = 0;
    for (unsigned i = 0; i < STATS_SLOTS_MAX; i++) {
        uint32_t n = atomic_load_explicit(&shared->alive[i], memory_order_relaxed);
        most = n > most ? n : most;
    }
    return most;
}

void config_state_set_drained(bool drained)
{
    atomic_store(&shared->drained, drained);
}

bool config_state_drained(void)
{
    return atomic_load(&shared->drained);
}

// The algorithms; see algorithm.h. Consistent hashing is weighted rendezvous hashing of slots: a slot belongs to the candidate that
// scores best in it, whoever else there is, so a candidate that comes or goes moves its own share and nothing else. A winner is found
// when its slot is first asked for, and kept in a table: nobody waits for a whole table. While a winner cannot be used its slots go to
// their second best, each to its own.
#include "core/algorithm.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"

// ---- weighted round robin ----

// Smooth: each candidate gains its weight, the one with most is picked and pays the total.
static uint32_t pick_round_robin(candidates_t *c, const choice_t *by)
{
    (void)by;
    int64_t total = 0;
    uint32_t best = NO_CANDIDATE;
    for (uint32_t i = 0; i < c->n; i++) {
        const candidate_t *v = &c->v[i];
        if (!v->usable)
            continue;
        v->peer->current += v->weight;
        total += v->weight;
        if (best == NO_CANDIDATE || v->peer->current > c->v[best].peer->current)
            best = i;
    }
    if (best != NO_CANDIDATE)
        c->v[best].peer->current -= total;
    return best;
}

// ---- consistent hashing ----

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// Between 0 and 1, equally likely everywhere.
static double chance(const candidate_t *v, uint32_t slot)
{
    uint64_t bits = mix(v->peer->key + slot * 0x9e3779b97f4a7c15ull);
    return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

// The least score wins: -log(chance) / weight is exponentially distributed with rate `weight`, so shares are as the weights. It is
// never below (1 - chance) / weight, which spares most logarithms.
static uint32_t best_of_slot(const candidates_t *c, uint32_t slot, bool usable_only)
{
    uint32_t best = NO_CANDIDATE;
    double least = INFINITY;
    for (uint32_t i = 0; i < c->n; i++) {
        const candidate_t *v = &c->v[i];
        if (v->weight == 0 || (usable_only ? !v->usable : v->failover))
            continue;
        double u = chance(v, slot);
        if (1 - u >= least * v->weight)
            continue;
        double score = -log(u) / v->weight;
        if (score < least) {
            least = score;
            best = i;
        }
    }
    return best;
}

enum { NOT_ASKED = UINT32_MAX - 1 };

static uint32_t winner_of(candidates_t *c, uint32_t slot)
{
    ASSERT(slot < c->slots, "a slot of the table");
    if (!c->table) {
        c->table = mem_alloc(c->slots * sizeof *c->table);
        for (uint32_t i = 0; i < c->slots; i++)
            c->table[i] = NOT_ASKED;
    }
    if (c->table[slot] == NOT_ASKED)
        c->table[slot] = best_of_slot(c, slot, false);
    return c->table[slot];
}

static uint32_t pick_hashed(candidates_t *c, const choice_t *by)
{
    if (!by->hashed)
        return pick_round_robin(c, by);
    ASSERT(c->slots > 0, "a table has slots");
    uint32_t slot = (uint32_t)(mix(by->hash) % c->slots), i = winner_of(c, slot);
    ASSERT(i == NO_CANDIDATE || i < c->n, "the table is of these candidates");
    return i != NO_CANDIDATE && c->v[i].usable ? i : best_of_slot(c, slot, true);
}

// ---- least connections ----

// Whether a has more to do for its weight than b: below, at or above 0.
static int compare_load(const candidate_t *a, const candidate_t *b)
{
    uint64_t of_a = ((uint64_t)a->peer->active + 1) * b->weight,
             of_b = ((uint64_t)b->peer->active + 1) * a->weight;
    return (of_a > of_b) - (of_a < of_b);
}

// The least loaded for its weight; those that are even take turns, as in round robin.
static uint32_t pick_least_connections(candidates_t *c, const choice_t *by)
{
    (void)by;
    const candidate_t *least = NULL;
    uint32_t best = NO_CANDIDATE;
    int64_t total = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->v[i].usable && (!least || compare_load(&c->v[i], least) < 0))
            least = &c->v[i];
    }
    for (uint32_t i = 0; i < c->n; i++) {
        const candidate_t *v = &c->v[i];
        if (!v->usable || compare_load(v, least) != 0)
            continue;
        v->peer->current += v->weight;
        total += v->weight;
        if (best == NO_CANDIDATE || v->peer->current > c->v[best].peer->current)
            best = i;
    }
    if (best != NO_CANDIDATE)
        c->v[best].peer->current -= total;
    return best;
}

// ---- latency ----

static uint64_t next_random(candidates_t *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

static double load_of(const candidate_t *v, uint64_t now_ms)
{
    return (peer_latency_us(v->peer, now_ms) + 1) * (v->peer->active + 1.0) / v->weight;
}

static uint32_t usable_from(const candidates_t *c, uint32_t from, uint32_t but)
{
    for (uint32_t k = 0; k < c->n; k++) {
        uint32_t i = (from + k) % c->n;
        if (c->v[i].usable && i != but)
            return i;
    }
    return NO_CANDIDATE;
}

// The better one of two taken at random: close to the best of all, and never all to one.
static uint32_t pick_latency(candidates_t *c, const choice_t *by)
{
    if (c->n == 0)
        return NO_CANDIDATE;
    uint64_t random = next_random(c);
    uint32_t a = usable_from(c, (uint32_t)random % c->n, NO_CANDIDATE);
    uint32_t b = usable_from(c, (uint32_t)(random >> 32) % c->n, a);
    if (a == NO_CANDIDATE || b == NO_CANDIDATE)
        return a;
    return load_of(&c->v[b], by->now_ms) < load_of(&c->v[a], by->now_ms) ? b : a;
}

// ---- sticky sessions ----

// hash is the session of the peer that answered before.
static uint32_t pick_sticky(candidates_t *c, const choice_t *by)
{
    for (uint32_t i = 0; by->hashed && i < c->n; i++) {
        if (c->v[i].usable && c->v[i].peer->session == by->hash)
            return i;
    }
    return pick_round_robin(c, by);
}

// ---- all ----

uint32_t algorithm_pick(balance_algorithm_t a, candidates_t *c, const choice_t *by)
{
    static uint32_t (*const PICK[])(candidates_t *, const choice_t *) = {
        [BALANCE_ROUND_ROBIN] = pick_round_robin,
        [BALANCE_CONSISTENT_HASHING] = pick_hashed,
        [BALANCE_LEAST_CONNECTIONS] = pick_least_connections,
        [BALANCE_LATENCY] = pick_latency,
        [BALANCE_STICKY_SESSIONS] = pick_sticky,
    };
    uint32_t i = PICK[a](c, by);
    ASSERT(i == NO_CANDIDATE || c->v[i].usable, "what is picked is usable");
    return i;
}

void candidates_changed(candidates_t *c)
{
    free(c->table);
    c->table = NULL;
}

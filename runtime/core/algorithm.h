// How one of several candidates is chosen: a function each. Pure but for the state in its arguments: no request, no clock.
// Not who is a candidate and who is usable (balancer.h).
#pragma once

#include "core/peer.h"

typedef struct candidate {
    peer_t *peer; // held by the set's owner
    uint32_t weight;
    uint32_t target; // whose address it is: an index
    bool failover;
    bool usable; // weight, health and the tries so far allow it
} candidate_t;

typedef struct candidates {
    candidate_t *v;
    uint32_t n;
    uint32_t slots; // of the table of consistent hashing
    uint32_t *
        table; // slot -> index, as far as asked for; NULL at first. candidates_changed forgets it
    uint64_t random; // state of a generator, not 0
} candidates_t;

// What a choice may depend on.
typedef struct choice {
    bool hashed; // hash means something
    uint64_t hash;
    uint64_t now_ms;
} choice_t;

enum { NO_CANDIDATE = UINT32_MAX };

// The index of a usable candidate, or NO_CANDIDATE when none is.
uint32_t algorithm_pick(balance_algorithm_t a, candidates_t *c, const choice_t *by);

// Must be called when peers, weights or their order changed (not for `usable`).
void candidates_changed(candidates_t *c);

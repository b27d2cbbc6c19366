// An Upstream at work in this worker: its targets' addresses as they are now, which of them can be used, and the choice of one.
// One for each Upstream, by name, as long as some generation has it: a reload changes it in place, so that requests that began before
// choose among today's targets. Not requests and what is read from them (upstreams.h); not probing (prober.h).
#pragma once

#include "base/buf.h"
#include "core/algorithm.h"
#include "core/resolver.h"

typedef struct balancer balancer_t;

typedef struct balancer_env {
    loop_t *loop;
    peers_t *peers;
} balancer_env_t;

typedef enum target_health {
    TARGET_HEALTHY,
    TARGET_UNHEALTHY,
    TARGET_UNCHECKED, // Kong's HEALTHCHECKS_OFF
    TARGET_DNS_ERROR,
} target_health_t;

// Begins to resolve the targets. `u` is copied. Returned owned: balancer_release.
balancer_t *balancer_create(const balancer_env_t *env, const upstream_t *u);
// From now on it is as `u` says; what stays the same keeps its state. Costs little when nothing differs.
void balancer_update(balancer_t *b, const upstream_t *u);
balancer_t *balancer_acquire(balancer_t *b);
void balancer_release(balancer_t *b);

// The definition in use: borrowed until balancer_update.
const upstream_t *balancer_upstream(const balancer_t *b);

// One candidate is chosen, but none of tried[0..n] (their peers' keys) while there is another.
// 0 and *out (borrowed: peer_hold it); 1: none yet, names are being resolved (balancer_wait); -1: there is none.
int balancer_pick(balancer_t *b, const choice_t *by, const uint64_t *tried, unsigned n,
                  peer_t **out);

// Calls fn once, at the end of a turn, when addresses have changed. Embed it; balancer_unwait takes it back (harmless when it is not waiting).
typedef struct balancer_waiter {
    list_t links;
    void (*fn)(struct balancer_waiter *w);
} balancer_waiter_t;
void balancer_wait(balancer_t *b, balancer_waiter_t *w);
void balancer_unwait(balancer_waiter_t *w);

// The candidates now, for probes and for showing: borrowed until the loop turns.
const candidates_t *balancer_candidates(balancer_t *b);
target_health_t balancer_health_of(const balancer_t *b, const candidate_t *c);
// Of a target (an index in its definition): what its addresses are together.
target_health_t balancer_target_health(balancer_t *b, uint32_t target);
// Whether too little of the weight is healthy for `threshold`, or nothing can be used.
bool balancer_is_down(balancer_t *b);

// One address of one target of an Upstream, as a worker knows it: what is under way to it, how fast it answers, and its cell of health.
// It outlives generations: who holds it counts. Not which one is chosen (algorithm.h).
#pragma once

#include "base/str.h"
#include "core/health.h"

typedef struct peers peers_t;

// Who it is. The texts are borrowed by peer_acquire, and owned by the peer in peer_t.
typedef struct peer_name {
    str_t upstream;
    str_t target; // host as configured
    uint16_t target_port;
    str_t host; // where it is: an IP literal, or the name a SRV record gave
    uint16_t port;
    bool by_srv; // no part of its identity: that is in host
} peer_name_t;

typedef struct peer {
    struct peer *next; // in its bucket
    peers_t *peers;
    uint32_t refs;
    uint64_t key;     // of its name, the same in every process; not 0
    uint64_t session; // what stands for it in the cookie of sticky sessions; 0: nothing yet
    peer_name_t name;
    health_cell_t *cell; // shared; or `own`, when there is no room
    health_cell_t own;
    uint32_t active;        // tries of this worker under way
    int64_t current;        // of smooth round robin
    double latency_us;      // decaying mean of the time to an answer
    uint64_t latency_at_ms; // when the last one came; 0: none yet
} peer_t;

peers_t *peers_create(void);
// All peers must have been released.
void peers_destroy(peers_t *p);

// The peer of that name, made on first use. Returned owned (peer_release).
peer_t *peer_acquire(peers_t *p, const peer_name_t *name);
void peer_hold(peer_t *p);
void peer_release(peer_t *p);
// Tells the shared memory that all of these are still in use. Every HEALTH_KEPT_S / 4 at least.
void peers_touch(peers_t *p);

// A try's time until the answer (or until it failed) goes into the mean.
void peer_took(peer_t *p, uint64_t took_us, uint64_t now_ms);
// The mean as it counts now: what is long ago counts less, so that a slow peer is tried again.
double peer_latency_us(const peer_t *p, uint64_t now_ms);

// Active health checks: asks targets' addresses by itself whether they are well, at their Upstream's intervals. One worker of all does it,
// whoever holds the lease; what it finds is in shared memory (health.h). Not the outcome of requests (passive.h).
#pragma once

#include "core/worker.h"

typedef struct prober prober_t;

// Borrows w and its generations from now on. Nothing is sent before the loop runs.
prober_t *prober_create(worker_t *w);
// Drops probes under way. Before w's peers and generation go.
void prober_destroy(prober_t *p);
// Another generation is in use: its Upstreams' intervals count from now on; those that stay keep their rhythm.
void prober_install(prober_t *p);

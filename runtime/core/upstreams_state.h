// A worker's run-time state of one generation: round-robin positions. Made on first use, freed with it.
#pragma once

#include "core/request.h"

typedef struct upstreams_state {
    int64_t **current; // by Upstream: smooth round-robin counters of its targets
    uint32_t n_upstreams;
} upstreams_state_t;

void upstreams_state_free(void *runtime);

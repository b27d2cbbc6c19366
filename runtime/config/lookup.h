// Hash tables of a generation: name -> index into one of its arrays, and the finders declared in generation.h.
// Built once, then read-only. Open addressing, at most half full, so that a miss ends quickly.
#pragma once

#include "config/generation.h"

typedef struct lookup_slot {
    uint64_t hash;
    uint32_t value; // index + 1; 0: empty
} lookup_slot_t;

typedef struct lookup {
    lookup_slot_t *slots;
    uint64_t mask;
    uint32_t n;
} lookup_t;

struct lookups {
    lookup_t services, routes, upstreams, consumers, custom_ids, credentials, snis;
};

enum { LOOKUP_NONE = UINT32_MAX };

// Room for n entries, in `a`.
void lookup_init(lookup_t *l, arena_t *a, uint32_t n);
void lookup_add(lookup_t *l, uint64_t hash, uint32_t value);

// Values with this hash, in the order they were added: start with *cursor 0; LOOKUP_NONE at the end.
uint32_t lookup_next(const lookup_t *l, uint64_t hash, uint64_t *cursor);

// Makes g->lookups and links services to upstreams.
void lookups_build(generation_t *g);

// What the files of the shared dictionary share: one stripe, a locked hash table over fixed-size blocks. Nobody else includes it.
// An entry is a chain of 128-byte blocks, so memory never fragments: any free block serves any entry.
// Invariant: `changing` is 0 whenever the lock is free; found otherwise after its owner died, the stripe is emptied.
#pragma once

#include <pthread.h>

#include "core/shdict.h"

enum {
    BLOCK_BYTES = 128,
    PART_HEAD = 8,  // bytes of a block that hold no data: of a continuation,
    ITEM_HEAD = 32, // of a list element,
    NODE_HEAD = 48, // of an entry
    STRIPES_MAX = 16,
};

enum block_kind { BLOCK_FREE, BLOCK_PART, BLOCK_NODE, BLOCK_LIMIT, BLOCK_ITEM };
enum { TYPE_LIST = SHD_STRING + 1 }; // beside shdict_type_t

typedef struct node {
    uint32_t next;      // block that continues this one, 0: none
    uint8_t kind, type; // block_kind; shdict_type_t or TYPE_LIST
    uint16_t key_n;
    uint32_t hash, bucket_next, newer, older; // blocks; 0: none
    uint32_t value_n;                         // bytes of a string, elements of a list
    uint32_t flags;
    uint64_t expires_ms; // monotonic, 0: never
    union {
        double number;
        struct {
            uint32_t first, last;
        } list;
    };
} node_t;

typedef struct item {
    uint32_t next;
    uint8_t kind, type;
    uint16_t unused;
    uint32_t value_n, left, right;
    double number;
} item_t;

typedef union block {
    struct {
        uint32_t next;
        uint8_t kind;
    };
    node_t node;
    item_t item;
    char bytes[BLOCK_BYTES];
} block_t;

typedef struct stripe {
    pthread_mutex_t lock;
    volatile uint32_t changing;
    uint32_t n_blocks, n_free, free_first, fresh; // fresh: first block never used
    uint32_t bucket_mask, newest, oldest, n_nodes, hand;
    uint32_t removals, evictions, losses;
    uint32_t *buckets;
    block_t *blocks; // [0] is never used
} stripe_t;

struct shdict {
    char name[33];
    uint32_t n_stripes;
    size_t mapped;
    uint64_t seed, capacity;
    stripe_t stripes[] __attribute__((aligned(64)));
};

// A key in two runs, so that a limit's window needs no copy; rest is empty for ordinary entries.
typedef struct shdict_key {
    str_t text, rest;
    uint32_t hash;
    uint8_t kind;
} shdict_key_t;

static inline node_t *node_at(stripe_t *s, uint32_t block)
{
    return &s->blocks[block].node;
}

static inline bool node_expired(const node_t *n, uint64_t now_ms)
{
    return n->expires_ms != 0 && n->expires_ms <= now_ms;
}

uint64_t shdict_now_ms(void);
// The stripe of a key, locked; *key is filled. shdict_unlock gives it back.
stripe_t *shdict_lock(shdict_t *d, str_t text, shdict_key_t *key);
void stripe_lock(stripe_t *s);
void stripe_unlock(stripe_t *s);
void stripe_init(stripe_t *s, uint32_t *buckets, uint32_t n_buckets, block_t *blocks,
                 uint32_t n_blocks);
void stripe_clear(stripe_t *s);

// The entry's block, or 0; expired ones are found too. Nothing is touched.
uint32_t stripe_find(stripe_t *s, const shdict_key_t *key);
// Makes the entry the newest of its stripe.
void stripe_touch(stripe_t *s, uint32_t block);
void stripe_remove(stripe_t *s, uint32_t block);

// Free blocks for `need` more, evicting expired entries, then (unless safe) the oldest but never `keep`. 0 or SHD_NO_MEMORY; *forcible when valid ones went.
int stripe_make_room(stripe_t *s, uint32_t need, uint32_t keep, bool safe, bool *forcible);
uint32_t blocks_for(size_t head, size_t data);
// A new entry at the newest end, its value of `value_n` bytes unwritten. Room must have been made.
uint32_t stripe_insert(stripe_t *s, const shdict_key_t *key, str_t value);
// Frees up to `max` expired entries but `keep`, all with max 0; how many.
uint32_t stripe_sweep(stripe_t *s, uint32_t max, uint32_t keep);

// Bytes of a chain: `skip` data bytes after `head`.
void chain_write(stripe_t *s, uint32_t block, size_t head, size_t skip, str_t data);
void chain_read(stripe_t *s, uint32_t block, size_t head, size_t skip, char *out, size_t n);
uint32_t chain_take(stripe_t *s, uint32_t n_blocks);
void chain_free(stripe_t *s, uint32_t block);

// Brackets around every change of links: what a dead owner left half done is found by it.
static inline void change_begin(stripe_t *s)
{
    s->changing++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void change_end(stripe_t *s)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    s->changing--;
}

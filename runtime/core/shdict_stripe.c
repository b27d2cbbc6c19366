// One stripe of a shared dictionary: blocks, chains, hash buckets, the order of use, expiry. Not: what the values mean (shdict.c).
// Every function but stripe_lock is called with the lock held.
// Invariant: n_free counts the free list plus the blocks from `fresh` on.
#include "core/shdict_stripe.h"

#include <errno.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

_Static_assert(sizeof(block_t) == BLOCK_BYTES, "a block is 128 bytes");
_Static_assert(sizeof(node_t) == NODE_HEAD, "an entry's head");
_Static_assert(sizeof(item_t) == ITEM_HEAD, "a list element's head");

uint64_t shdict_now_ms(void)
{
    return clock_mono_us() / 1000;
}

void stripe_init(stripe_t *s, uint32_t *buckets, uint32_t n_buckets, block_t *blocks,
                 uint32_t n_blocks)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    int err = pthread_mutex_init(&s->lock, &attr);
    ASSERT(err == 0, "a shared robust mutex can be made");
    pthread_mutexattr_destroy(&attr);
    s->buckets = buckets;
    s->bucket_mask = n_buckets - 1;
    s->blocks = blocks;
    s->n_blocks = n_blocks;
    s->fresh = 1;
    s->n_free = n_blocks - 1;
}

void stripe_clear(stripe_t *s)
{
    s->changing = 1;
    memset(s->buckets, 0, sizeof *s->buckets * ((size_t)s->bucket_mask + 1));
    s->newest = s->oldest = s->n_nodes = s->hand = s->free_first = 0;
    s->fresh = 1;
    s->n_free = s->n_blocks - 1;
    s->changing = 0;
}

static void take_over(stripe_t *s)
{
    uint32_t n = s->n_nodes;
    if (s->changing) {
        stripe_clear(s);
        s->losses++;
        log_write(LOG_WARN,
                  "shared dictionary: a process died while changing it; %u entries of one "
                  "stripe dropped",
                  n);
    }
    pthread_mutex_consistent(&s->lock);
}

void stripe_lock(stripe_t *s)
{
    int err = pthread_mutex_lock(&s->lock);
    if (__builtin_expect(err == EOWNERDEAD, 0))
        take_over(s);
    else
        ASSERT(err == 0, "a stripe's mutex can be locked");
}

void stripe_unlock(stripe_t *s)
{
    ASSERT(s->changing == 0, "no change is open when the lock goes");
    pthread_mutex_unlock(&s->lock);
}

// ---- chains ----

uint32_t blocks_for(size_t head, size_t data)
{
    size_t first = BLOCK_BYTES - head, more = BLOCK_BYTES - PART_HEAD;
    return data <= first ? 1 : (uint32_t)(1 + (data - first + more - 1) / more);
}

static uint32_t block_take(stripe_t *s)
{
    ASSERT(s->n_free > 0, "room was made before blocks are taken");
    s->n_free--;
    uint32_t b = s->free_first;
    if (b)
        s->free_first = s->blocks[b].next;
    else
        b = s->fresh++;
    s->blocks[b].next = 0;
    s->blocks[b].kind = BLOCK_PART;
    return b;
}

uint32_t chain_take(stripe_t *s, uint32_t n_blocks)
{
    uint32_t first = block_take(s);
    for (uint32_t at = first, i = 1; i < n_blocks; i++) {
        uint32_t b = block_take(s);
        s->blocks[at].next = b;
        at = b;
    }
    return first;
}

void chain_free(stripe_t *s, uint32_t block)
{
    while (block) {
        uint32_t next = s->blocks[block].next;
        ASSERT(s->blocks[block].kind != BLOCK_FREE, "a block is freed once");
        s->blocks[block].kind = BLOCK_FREE;
        s->blocks[block].next = s->free_first;
        s->free_first = block;
        s->n_free++;
        block = next;
    }
}

// The next run of a chain: at most n bytes from `*skip` data bytes on; advances block and head past what is skipped.
static size_t chain_run(stripe_t *s, uint32_t *block, size_t *head, size_t *skip, size_t n)
{
    while (*skip >= BLOCK_BYTES - *head) {
        *skip -= BLOCK_BYTES - *head;
        *block = s->blocks[*block].next;
        *head = PART_HEAD;
        ASSERT(*block != 0, "a chain is as long as its lengths say");
    }
    size_t room = BLOCK_BYTES - *head - *skip;
    return n < room ? n : room;
}

void chain_write(stripe_t *s, uint32_t block, size_t head, size_t skip, str_t data)
{
    for (size_t at = 0; at < data.n;) {
        size_t n = chain_run(s, &block, &head, &skip, data.n - at);
        memcpy(s->blocks[block].bytes + head + skip, data.p + at, n);
        at += n;
        skip += n;
    }
}

void chain_read(stripe_t *s, uint32_t block, size_t head, size_t skip, char *out, size_t want)
{
    for (size_t at = 0; at < want;) {
        size_t n = chain_run(s, &block, &head, &skip, want - at);
        memcpy(out + at, s->blocks[block].bytes + head + skip, n);
        at += n;
        skip += n;
    }
}

static bool chain_equal(stripe_t *s, uint32_t block, size_t head, size_t skip, str_t data)
{
    for (size_t at = 0; at < data.n;) {
        size_t n = chain_run(s, &block, &head, &skip, data.n - at);
        if (memcmp(data.p + at, s->blocks[block].bytes + head + skip, n) != 0)
            return false;
        at += n;
        skip += n;
    }
    return true;
}

// ---- entries ----

uint32_t stripe_find(stripe_t *s, const shdict_key_t *key)
{
    size_t key_n = key->text.n + key->rest.n;
    uint32_t b = s->buckets[key->hash & s->bucket_mask];
    for (; b; b = node_at(s, b)->bucket_next) {
        const node_t *n = node_at(s, b);
        if (n->hash == key->hash && n->key_n == key_n && n->kind == key->kind &&
            chain_equal(s, b, NODE_HEAD, 0, key->text) &&
            chain_equal(s, b, NODE_HEAD, key->text.n, key->rest))
            return b;
    }
    return 0;
}

static void order_unlink(stripe_t *s, const node_t *n)
{
    *(n->newer ? &node_at(s, n->newer)->older : &s->newest) = n->older;
    *(n->older ? &node_at(s, n->older)->newer : &s->oldest) = n->newer;
}

static void order_push(stripe_t *s, uint32_t block)
{
    node_t *n = node_at(s, block);
    n->newer = 0;
    n->older = s->newest;
    *(s->newest ? &node_at(s, s->newest)->newer : &s->oldest) = block;
    s->newest = block;
}

void stripe_touch(stripe_t *s, uint32_t block)
{
    if (s->newest == block)
        return;
    change_begin(s);
    order_unlink(s, node_at(s, block));
    order_push(s, block);
    change_end(s);
}

static void free_items(stripe_t *s, const node_t *n)
{
    for (uint32_t b = n->list.first, right; b; b = right) {
        right = s->blocks[b].item.right;
        chain_free(s, b);
    }
}

void stripe_remove(stripe_t *s, uint32_t block)
{
    node_t *n = node_at(s, block);
    ASSERT(n->kind == BLOCK_NODE || n->kind == BLOCK_LIMIT, "only an entry is removed");
    change_begin(s);
    uint32_t *link = &s->buckets[n->hash & s->bucket_mask];
    while (*link != block)
        link = &node_at(s, *link)->bucket_next;
    *link = n->bucket_next;
    order_unlink(s, n);
    if (n->type == TYPE_LIST)
        free_items(s, n);
    chain_free(s, block);
    s->n_nodes--;
    s->removals++;
    change_end(s);
}

uint32_t stripe_insert(stripe_t *s, const shdict_key_t *key, str_t value)
{
    size_t key_n = key->text.n + key->rest.n;
    change_begin(s);
    uint32_t b = chain_take(s, blocks_for(NODE_HEAD, key_n + value.n));
    node_t *n = node_at(s, b);
    uint32_t *bucket = &s->buckets[key->hash & s->bucket_mask];
    *n = (node_t){.next = n->next,
                  .kind = key->kind,
                  .key_n = (uint16_t)key_n,
                  .hash = key->hash,
                  .bucket_next = *bucket,
                  .value_n = (uint32_t)value.n};
    *bucket = b;
    order_push(s, b);
    s->n_nodes++;
    chain_write(s, b, NODE_HEAD, 0, key->text);
    chain_write(s, b, NODE_HEAD, key->text.n, key->rest);
    chain_write(s, b, NODE_HEAD, key_n, value);
    change_end(s);
    return b;
}

// ---- making room ----

// Looks at the next `n` blocks for expired entries, as a clock's hand goes.
static void sweep_some(stripe_t *s, uint32_t n, uint32_t keep, uint64_t now_ms)
{
    if (n > s->fresh)
        n = s->fresh;
    while (n-- > 0) {
        if (++s->hand >= s->fresh)
            s->hand = 1;
        const node_t *node = node_at(s, s->hand);
        bool entry =
            s->hand < s->fresh && (node->kind == BLOCK_NODE || node->kind == BLOCK_LIMIT);
        if (entry && s->hand != keep && node_expired(node, now_ms))
            stripe_remove(s, s->hand);
    }
}

uint32_t stripe_sweep(stripe_t *s, uint32_t max, uint32_t keep)
{
    uint64_t now_ms = shdict_now_ms();
    uint32_t freed = 0;
    for (uint32_t b = 1; b < s->fresh && (max == 0 || freed < max); b++) {
        const node_t *n = node_at(s, b);
        bool entry = n->kind == BLOCK_NODE || n->kind == BLOCK_LIMIT;
        if (!entry || b == keep || !node_expired(n, now_ms))
            continue;
        stripe_remove(s, b);
        freed++;
    }
    return freed;
}

static int evict_oldest(stripe_t *s, uint32_t keep, uint64_t now_ms, bool *forcible)
{
    uint32_t b = s->oldest == keep && keep ? node_at(s, keep)->newer : s->oldest;
    if (!b)
        return SHD_NO_MEMORY;
    if (!node_expired(node_at(s, b), now_ms)) {
        s->evictions++;
        if (forcible)
            *forcible = true;
    }
    stripe_remove(s, b);
    return SHD_OK;
}

int stripe_make_room(stripe_t *s, uint32_t need, uint32_t keep, bool safe, bool *forcible)
{
    enum { SWEEP_ALWAYS = 4, SWEEP_FULL = 64 };
    if (need >= s->n_blocks)
        return SHD_NO_MEMORY;
    uint64_t now_ms = shdict_now_ms();
    sweep_some(s, s->n_free < need ? SWEEP_FULL : SWEEP_ALWAYS, keep, now_ms);
    if (s->n_free < need && safe)
        stripe_sweep(s, 0, keep);
    while (s->n_free < need) {
        if (safe || evict_oldest(s, keep, now_ms, forcible) != SHD_OK)
            return SHD_NO_MEMORY;
    }
    return SHD_OK;
}

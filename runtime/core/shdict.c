// Shared dictionaries: plain values. Lists and limits are in shdict_list.c and shdict_limit.c, memory and locks in shdict_stripe.c.
// Invariant: the mapping is at the same address in every process that uses it, because all are forks of its maker.
#include "core/shdict.h"

#include <sys/mman.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/check.h"
#include "core/shdict_stripe.h"

enum { STRIPE_MIN_BYTES = 64 * 1024, KEY_MAX_BYTES = 65535 };

// Dictionaries are found by name in every process; the master fills this before it forks.
static shdict_t *dicts[SHDICTS_MAX];

// ---- life ----

static uint32_t pow2_at_most(size_t n)
{
    uint32_t p = 1;
    while ((size_t)p * 2 <= n && p < 1u << 30)
        p *= 2;
    return p;
}

static void place_stripes(shdict_t *d, char *at, size_t each)
{
    size_t n_blocks = each / (BLOCK_BYTES + sizeof(uint32_t));
    uint32_t n_buckets = pow2_at_most(n_blocks);
    n_blocks = (each - n_buckets * sizeof(uint32_t)) / BLOCK_BYTES;
    ASSERT(n_blocks > 8 && n_blocks < UINT32_MAX, "a stripe holds some blocks");
    for (uint32_t i = 0; i < d->n_stripes; i++, at += each)
        stripe_init(&d->stripes[i], (uint32_t *)(void *)(at + n_blocks * BLOCK_BYTES),
                    n_buckets, (block_t *)(void *)at, (uint32_t)n_blocks);
    d->capacity = (uint64_t)d->n_stripes * (n_blocks - 1) * BLOCK_BYTES;
}

static void register_dict(shdict_t *d)
{
    for (unsigned i = 0; i < SHDICTS_MAX; i++) {
        if (!dicts[i]) {
            dicts[i] = d;
            return;
        }
    }
    UNREACHABLE("more shared dictionaries than SHDICTS_MAX");
}

shdict_t *shdict_create(str_t name, size_t bytes)
{
    ASSERT(name.n > 0 && name.n <= 32, "a dictionary's name has 1 to 32 bytes");
    if (bytes < STRIPE_MIN_BYTES / 4)
        bytes = STRIPE_MIN_BYTES / 4;
    uint32_t n = pow2_at_most(bytes / STRIPE_MIN_BYTES);
    n = n > STRIPES_MAX ? STRIPES_MAX : n;
    size_t head = (sizeof(shdict_t) + n * sizeof(stripe_t) + 4095) & ~(size_t)4095;
    size_t each = (bytes / n + BLOCK_BYTES - 1) & ~(size_t)(BLOCK_BYTES - 1),
           total = head + each * n;
    shdict_t *d = mmap(NULL, total, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (d == MAP_FAILED)
        return NULL;
    memcpy(d->name, name.p, name.n);
    d->n_stripes = n;
    d->mapped = total;
    if (getrandom(&d->seed, sizeof d->seed, 0) != sizeof d->seed)
        d->seed = shdict_now_ms() * 0x9e3779b97f4a7c15u;
    place_stripes(d, (char *)d + head, each);
    register_dict(d);
    return d;
}

void shdict_destroy(shdict_t *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < SHDICTS_MAX; i++) {
        if (dicts[i] == d)
            dicts[i] = NULL;
    }
    munmap(d, d->mapped);
}

shdict_t *shdict_find(str_t name)
{
    for (unsigned i = 0; i < SHDICTS_MAX; i++) {
        if (dicts[i] && str_eq(shdict_name(dicts[i]), name))
            return dicts[i];
    }
    return NULL;
}

shdict_t *shdict_at(unsigned i)
{
    return i < SHDICTS_MAX ? dicts[i] : NULL;
}

str_t shdict_name(const shdict_t *d)
{
    return str_from(d->name);
}

// ---- one key ----

stripe_t *shdict_lock(shdict_t *d, str_t text, shdict_key_t *key)
{
    uint64_t hash = str_hash(text, d->seed);
    *key = (shdict_key_t){.text = text, .hash = (uint32_t)hash, .kind = BLOCK_NODE};
    stripe_t *s = &d->stripes[(hash >> 32) & (d->n_stripes - 1)];
    stripe_lock(s);
    return s;
}

static bool key_valid(str_t key)
{
    return key.n > 0 && key.n <= KEY_MAX_BYTES;
}

// The live entry of a key, made the newest; 0 when there is none (an expired one stays for get_stale).
static uint32_t find_live(stripe_t *s, const shdict_key_t *key)
{
    uint32_t b = stripe_find(s, key);
    if (!b || (node_at(s, b)->expires_ms && node_expired(node_at(s, b), shdict_now_ms())))
        return 0;
    stripe_touch(s, b);
    return b;
}

static int read_value(stripe_t *s, uint32_t b, shdict_value_t *out, char *buf, size_t cap)
{
    const node_t *n = node_at(s, b);
    if (n->type == TYPE_LIST)
        return SHD_IS_LIST;
    *out = (shdict_value_t){.type = n->type, .number = n->number, .flags = n->flags};
    if (n->type != SHD_STRING)
        return SHD_OK;
    out->number = 0;
    out->string = str_make(buf, n->value_n);
    if (n->value_n > cap)
        return SHD_NO_MEMORY;
    chain_read(s, b, NODE_HEAD, n->key_n, buf, n->value_n);
    return SHD_OK;
}

int shdict_get(shdict_t *d, str_t text, shdict_value_t *out, char *buf, size_t cap, bool stale,
               bool *is_stale)
{
    if (!key_valid(text))
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    uint32_t b = find_live(s, &key);
    bool old = false;
    if (!b && stale) {
        b = stripe_find(s, &key);
        old = b != 0;
    }
    int rc = b ? read_value(s, b, out, buf, cap) : SHD_NOT_FOUND;
    stripe_unlock(s);
    if (is_stale)
        *is_stale = old;
    return rc;
}

// Blocks of the entry itself (a list's elements are not counted: they only make the estimate cautious).
static uint32_t node_blocks(const node_t *n)
{
    return blocks_for(NODE_HEAD, n->key_n + (n->type == SHD_STRING ? n->value_n : 0));
}

// Replaces whatever stands at `old` (0: nothing) by a new entry.
static int put(stripe_t *s, const shdict_key_t *key, uint32_t old, const shdict_value_t *v,
               uint64_t ttl_ms, bool safe, bool *forcible)
{
    str_t value = v->type == SHD_STRING ? v->string : (str_t){0};
    if (value.n > (size_t)s->n_blocks * BLOCK_BYTES)
        return SHD_NO_MEMORY;
    uint32_t need = blocks_for(NODE_HEAD, key->text.n + value.n);
    uint32_t had = old ? node_blocks(node_at(s, old)) : 0;
    if (need >= s->n_blocks ||
        stripe_make_room(s, need > had ? need - had : 0, old, safe, forcible) != SHD_OK)
        return SHD_NO_MEMORY;
    if (old)
        stripe_remove(s, old);
    node_t *n = node_at(s, stripe_insert(s, key, value));
    n->type = (uint8_t)v->type;
    n->flags = v->flags;
    n->expires_ms = ttl_ms ? shdict_now_ms() + ttl_ms : 0;
    if (v->type != SHD_STRING)
        n->number = v->number;
    return SHD_OK;
}

static int store_locked(stripe_t *s, const shdict_key_t *key, const shdict_value_t *v,
                        uint64_t ttl_ms, shdict_mode_t mode, bool safe, bool *forcible)
{
    uint32_t old = stripe_find(s, key);
    bool live = old && !node_expired(node_at(s, old), shdict_now_ms());
    if (mode == SHD_ADD && live)
        return SHD_EXISTS;
    if (mode == SHD_REPLACE && !live)
        return SHD_NOT_FOUND;
    if (v->type == SHD_NIL) {
        if (old)
            stripe_remove(s, old);
        return SHD_OK;
    }
    return put(s, key, old, v, ttl_ms, safe, forcible);
}

int shdict_store(shdict_t *d, str_t text, const shdict_value_t *v, uint64_t ttl_ms,
                 shdict_mode_t mode, bool safe, bool *forcible)
{
    ASSERT(v->type != SHD_NIL || mode == SHD_SET, "only set takes nil");
    if (forcible)
        *forcible = false;
    if (!key_valid(text))
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    int rc = store_locked(s, &key, v, ttl_ms, mode, safe, forcible);
    stripe_unlock(s);
    return rc;
}

int shdict_delete(shdict_t *d, str_t key)
{
    return shdict_store(d, key, &(shdict_value_t){.type = SHD_NIL}, 0, SHD_SET, false, NULL);
}

static int incr_locked(stripe_t *s, const shdict_key_t *key, double by, const double *init,
                       uint64_t init_ttl_ms, double *out, bool *forcible)
{
    uint32_t b = find_live(s, key);
    if (b) {
        node_t *n = node_at(s, b);
        if (n->type != SHD_NUMBER)
            return SHD_NOT_A_NUMBER;
        *out = n->number += by;
        return SHD_OK;
    }
    if (!init)
        return SHD_NOT_FOUND;
    shdict_value_t v = {.type = SHD_NUMBER, .number = *init + by};
    int rc = put(s, key, stripe_find(s, key), &v, init_ttl_ms, false, forcible);
    if (rc == SHD_OK)
        *out = v.number;
    return rc;
}

int shdict_incr(shdict_t *d, str_t text, double by, const double *init, uint64_t init_ttl_ms,
                double *out, bool *forcible)
{
    if (forcible)
        *forcible = false;
    if (!key_valid(text))
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    int rc = incr_locked(s, &key, by, init, init_ttl_ms, out, forcible);
    stripe_unlock(s);
    return rc;
}

int shdict_ttl(shdict_t *d, str_t text, int64_t *ttl_ms)
{
    if (!key_valid(text))
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    uint32_t b = find_live(s, &key);
    uint64_t expires_ms = b ? node_at(s, b)->expires_ms : 0;
    stripe_unlock(s);
    if (!b)
        return SHD_NOT_FOUND;
    int64_t left = (int64_t)(expires_ms - shdict_now_ms());
    *ttl_ms = expires_ms == 0 ? 0 : left > 0 ? left : 1;
    return SHD_OK;
}

int shdict_expire(shdict_t *d, str_t text, uint64_t ttl_ms)
{
    if (!key_valid(text))
        return SHD_KEY_INVALID;
    shdict_key_t key;
    stripe_t *s = shdict_lock(d, text, &key);
    uint32_t b = find_live(s, &key);
    if (b)
        node_at(s, b)->expires_ms = ttl_ms ? shdict_now_ms() + ttl_ms : 0;
    stripe_unlock(s);
    return b ? SHD_OK : SHD_NOT_FOUND;
}

// ---- all keys ----

static void expire_all(stripe_t *s)
{
    for (uint32_t b = s->newest; b; b = node_at(s, b)->older)
        node_at(s, b)->expires_ms = 1;
}

void shdict_flush_all(shdict_t *d)
{
    for (uint32_t i = 0; i < d->n_stripes; i++) {
        stripe_lock(&d->stripes[i]);
        expire_all(&d->stripes[i]);
        stripe_unlock(&d->stripes[i]);
    }
}

uint32_t shdict_flush_expired(shdict_t *d, uint32_t max)
{
    uint32_t freed = 0;
    for (uint32_t i = 0; i < d->n_stripes && (max == 0 || freed < max); i++) {
        stripe_lock(&d->stripes[i]);
        freed += stripe_sweep(&d->stripes[i], max ? max - freed : 0, 0);
        stripe_unlock(&d->stripes[i]);
    }
    return freed;
}

// Appends the stripe's live keys, each behind its two bytes of length.
static uint32_t snapshot(stripe_t *s, uint32_t max, buf_t *out)
{
    uint64_t now_ms = shdict_now_ms();
    uint32_t taken = 0;
    for (uint32_t b = s->newest; b && (max == 0 || taken < max); b = node_at(s, b)->older) {
        const node_t *n = node_at(s, b);
        if (n->kind != BLOCK_NODE || node_expired(n, now_ms))
            continue;
        char *to = buf_reserve(out, sizeof n->key_n + n->key_n);
        memcpy(to, &n->key_n, sizeof n->key_n);
        chain_read(s, b, NODE_HEAD, 0, to + sizeof n->key_n, n->key_n);
        buf_commit(out, sizeof n->key_n + n->key_n);
        taken++;
    }
    return taken;
}

static void each_key(str_t keys, void (*each)(void *arg, str_t key), void *arg)
{
    while (keys.n > 0) {
        uint16_t n;
        memcpy(&n, keys.p, sizeof n);
        each(arg, str_make(keys.p + sizeof n, n));
        keys = str_from_at(keys, sizeof n + n);
    }
}

void shdict_keys(shdict_t *d, uint32_t max, void (*each)(void *arg, str_t key), void *arg)
{
    uint32_t taken = 0;
    buf_t keys = {0};
    for (uint32_t i = 0; i < d->n_stripes && (max == 0 || taken < max); i++) {
        stripe_lock(&d->stripes[i]);
        taken += snapshot(&d->stripes[i], max ? max - taken : 0, &keys);
        stripe_unlock(&d->stripes[i]);
    }
    each_key(buf_str(&keys), each, arg);
    buf_dispose(&keys);
}

uint64_t shdict_capacity(const shdict_t *d)
{
    return d->capacity;
}

uint64_t shdict_free_space(shdict_t *d)
{
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < d->n_stripes; i++)
        blocks += __atomic_load_n(&d->stripes[i].n_free, __ATOMIC_RELAXED);
    return blocks * BLOCK_BYTES;
}

uint64_t shdict_largest(const shdict_t *d)
{
    return (uint64_t)(d->stripes[0].n_blocks - 2) * (BLOCK_BYTES - PART_HEAD);
}

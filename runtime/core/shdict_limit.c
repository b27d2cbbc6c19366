// Fixed-window limits in a shared dictionary. All windows of one key live in the key's stripe, so one lock makes the decision exact.
// Not the windows' calendar (the caller says when they start) and not other nodes' usage.
#include <math.h>

#include "base/check.h"
#include "core/shdict_stripe.h"

enum { WINDOWS_MAX = 8 };

// What follows the key's text in the entry of one window.
typedef struct window_rest {
    uint64_t start_ms, length_ms;
} window_rest_t;

static shdict_key_t window_key(const shdict_key_t *key, const window_rest_t *rest)
{
    str_t tail = str_make((const char *)rest, sizeof *rest);
    return (shdict_key_t){.text = key->text,
                          .rest = tail,
                          .hash = (uint32_t)str_hash(tail, key->hash),
                          .kind = BLOCK_LIMIT};
}

static uint32_t window_find(stripe_t *s, const shdict_key_t *key, const limit_window_t *w,
                            uint64_t now_ms)
{
    window_rest_t rest = {w->start_ms, w->length_ms};
    shdict_key_t full = window_key(key, &rest);
    uint32_t b = stripe_find(s, &full);
    if (b && node_expired(node_at(s, b), now_ms)) {
        stripe_remove(s, b);
        return 0;
    }
    if (b)
        stripe_touch(s, b);
    return b;
}

// A new counter, at 0.
static uint32_t window_make(stripe_t *s, const shdict_key_t *key, const limit_window_t *w,
                            uint64_t now_ms)
{
    window_rest_t rest = {w->start_ms, w->length_ms};
    shdict_key_t full = window_key(key, &rest);
    int rc =
        stripe_make_room(s, blocks_for(NODE_HEAD, key->text.n + sizeof rest), 0, false, NULL);
    ASSERT(rc == SHD_OK, "a stripe has room for the windows of one key");
    uint32_t b = stripe_insert(s, &full, (str_t){0});
    node_at(s, b)->type = SHD_NUMBER;
    node_at(s, b)->number = 0;
    node_at(s, b)->expires_ms = now_ms + w->length_ms;
    return b;
}

// One call's walk over its windows: what look found, take need not find again unless something was removed meanwhile.
typedef struct walk {
    stripe_t *s;
    const shdict_key_t *key;
    uint64_t now_ms;
    uint32_t found[WINDOWS_MAX], removals;
} walk_t;

static bool look(walk_t *k, double cost, limit_window_t *w, unsigned n, unsigned *full)
{
    bool fits = true;
    for (unsigned i = 0; i < n; i++) {
        uint32_t b = k->found[i] = window_find(k->s, k->key, &w[i], k->now_ms);
        w[i].used = b ? node_at(k->s, b)->number : 0;
        if (cost >= 0 && w[i].used + cost > w[i].limit && fits) {
            fits = false;
            *full = i;
        }
    }
    k->removals = k->s->removals;
    return fits;
}

static void take(walk_t *k, double cost, limit_window_t *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        bool fresh = k->removals == k->s->removals;
        uint32_t b = fresh ? k->found[i] : window_find(k->s, k->key, &w[i], k->now_ms);
        if (!b)
            b = window_make(k->s, k->key, &w[i], k->now_ms);
        w[i].used = fmax(0, w[i].used + cost);
        node_at(k->s, b)->number = w[i].used;
    }
}

bool shdict_limit_take(shdict_t *d, str_t text, double cost, limit_window_t *w, unsigned n,
                       unsigned *full)
{
    ASSERT(n <= WINDOWS_MAX, "a limit has at most 8 windows");
    *full = 0;
    if (text.n + sizeof(window_rest_t) > UINT16_MAX ||
        text.n > shdict_largest(d) / WINDOWS_MAX / 2)
        return false; // a key nobody has honestly
    shdict_key_t key;
    walk_t walk = {.s = shdict_lock(d, text, &key), .key = &key, .now_ms = shdict_now_ms()};
    bool fits = look(&walk, cost, w, n, full);
    if (fits && cost != 0)
        take(&walk, cost, w, n);
    stripe_unlock(walk.s);
    return fits;
}

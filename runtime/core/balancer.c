// Balancers; see balancer.h. Names resolve on their own (resolver.h) and candidates are rebuilt when one changes; which candidates are
// usable is worked out again when the shared health has changed, so a pick reads one shared word and its own memory.
#include "core/balancer.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/hash_key.h"

struct balancer {
    balancer_env_t env;
    uint32_t refs;
    arena_t arena; // of `u`
    upstream_t u;
    resolver_t **resolvers; // of u.targets, in order; owned
    candidates_t set;
    bool dirty;       // candidates, or the tries marked in them, are not those of `version`
    uint64_t version; // of the shared health when `usable` was worked out
    bool down;
    bool
        failing_over; // the regular targets are too few, or none: only those for failover are used
    list_t waiters;
    io_defer_t wake;
};

// ---- candidates ----

static void drop_candidates(candidates_t *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        peer_release(set->v[i].peer);
    free(set->v);
    candidates_changed(set);
    set->v = NULL;
    set->n = 0;
}

static candidate_t make_candidate(balancer_t *b, uint32_t target, const resolved_t *at)
{
    const target_t *t = &b->u.targets[target];
    peer_name_t name = {.upstream = b->u.name,
                        .target = t->host,
                        .target_port = t->port,
                        .host = str_from(at->host),
                        .port = at->port,
                        .by_srv = at->weight > 0};
    peer_t *peer = peer_acquire(b->env.peers, &name);
    if (b->u.algorithm == BALANCE_STICKY_SESSIONS)
        peer->session = hash_key_session(&b->u, &name);
    return (candidate_t){.peer = peer,
                         .weight = t->weight && at->weight ? at->weight : t->weight,
                         .target = target,
                         .failover = t->failover};
}

static void build_candidates(balancer_t *b)
{
    candidates_t old = b->set;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->u.n_targets; i++)
        n += b->resolvers[i]->used.n;
    b->set.v = mem_alloc((n + 1) * sizeof *b->set.v);
    b->set.n = 0;
    b->set.table = NULL;
    b->set.slots = b->u.slots;
    for (uint32_t i = 0; i < b->u.n_targets; i++) {
        const answer_list_t *l = &b->resolvers[i]->used;
        for (unsigned k = 0; k < l->n; k++)
            b->set.v[b->set.n++] = make_candidate(b, i, &l->v[k]);
    }
    ASSERT(b->set.n == n, "every address is a candidate");
    b->dirty = true;
    drop_candidates(&old); // after the new ones are held: what stays keeps its state
}

static bool has_pending(const balancer_t *b)
{
    for (uint32_t i = 0; i < b->u.n_targets; i++) {
        if (b->resolvers[i]->state == RESOLVE_PENDING)
            return true;
    }
    return false;
}

// ---- who can be used ----

static bool checks(const balancer_t *b)
{
    return upstream_probes(&b->u) || upstream_watches(&b->u);
}

static bool is_good(const balancer_t *b, const candidate_t *c)
{
    const health_cell_t *cell = c->peer->cell;
    return health_is_good(cell) || (!checks(b) && !health_is_by_hand(cell));
}

static bool was_tried(const candidate_t *c, const uint64_t *tried, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (tried[i] == c->peer->key)
            return true;
    }
    return false;
}

// Marks who is usable on one level: the regular targets, or those for failover. The weight they have, and the whole level's.
static uint64_t mark_level(balancer_t *b, bool failover, const uint64_t *tried, unsigned n,
                           uint64_t *whole)
{
    uint64_t weight = 0;
    *whole = 0;
    for (uint32_t i = 0; i < b->set.n; i++) {
        candidate_t *c = &b->set.v[i];
        c->usable = c->failover == failover && c->weight > 0 && is_good(b, c) &&
                    !was_tried(c, tried, n);
        *whole += c->failover == failover ? c->weight : 0;
        weight += c->usable ? c->weight : 0;
    }
    return weight;
}

static void refresh(balancer_t *b)
{
    uint64_t version = health_version(), whole;
    if (!b->dirty && b->version == version)
        return;
    uint64_t weight = mark_level(b, false, NULL, 0, &whole);
    bool too_little = whole > 0 && (double)weight * 100 / (double)whole < b->u.threshold;
    b->failing_over = weight == 0 || too_little;
    if (b->failing_over)
        weight = mark_level(b, true, NULL, 0, &whole);
    b->down = weight == 0;
    b->version = version;
    b->dirty = false;
}

// The tries so far are left out: first among the regular targets (if they are used at all), then those for failover.
static uint32_t pick_untried(balancer_t *b, const choice_t *by, const uint64_t *tried,
                             unsigned n)
{
    uint64_t whole;
    b->dirty = true;
    if ((b->failing_over || mark_level(b, false, tried, n, &whole) == 0) &&
        mark_level(b, true, tried, n, &whole) == 0) {
        refresh(b);
        return NO_CANDIDATE;
    }
    return algorithm_pick(b->u.algorithm, &b->set, by);
}

int balancer_pick(balancer_t *b, const choice_t *by, const uint64_t *tried, unsigned n,
                  peer_t **out)
{
    uint32_t i = NO_CANDIDATE;
    refresh(b);
    if (b->down)
        return has_pending(b) ? 1 : -1;
    if (n > 0)
        i = pick_untried(b, by, tried, n);
    if (i == NO_CANDIDATE)
        i = algorithm_pick(b->u.algorithm, &b->set, by);
    ASSERT(i != NO_CANDIDATE, "an Upstream that is not down has somebody");
    *out = b->set.v[i].peer;
    return 0;
}

// ---- waiting for addresses ----

static void on_wake(io_defer_t *d)
{
    balancer_t *b = CONTAINER_OF(d, balancer_t, wake);
    list_t ready;
    balancer_acquire(b);
    list_init(&ready);
    while (!list_empty(&b->waiters)) {
        list_t *first = b->waiters.next;
        list_unlink(first);
        list_push_back(&ready, first);
    }
    while (!list_empty(&ready)) { // whoever waits again does so in b->waiters
        balancer_waiter_t *w = CONTAINER_OF(ready.next, balancer_waiter_t, links);
        list_unlink(&w->links);
        w->fn(w);
    }
    balancer_release(b);
}

void balancer_wait(balancer_t *b, balancer_waiter_t *w)
{
    ASSERT(w->fn, "someone waits");
    list_push_back(&b->waiters, &w->links);
}

void balancer_unwait(balancer_waiter_t *w)
{
    if (w->links.next)
        list_unlink(&w->links);
}

// ---- life ----

static void on_resolved(void *owner)
{
    balancer_t *b = owner;
    build_candidates(b);
    io_defer_start(b->env.loop, &b->wake);
}

static void define(balancer_t *b, const upstream_t *u)
{
    char why[256] = "";
    arena_init(&b->arena);
    int rc = upstream_read(arena_dup(&b->arena, u->json), &b->arena, &b->u, why, sizeof why);
    ASSERT(rc == 0, "an Upstream that was read once can be read again");
}

// The resolver of the same host and port out of `old`, or a new one.
static resolver_t *resolver_for(balancer_t *b, const target_t *t, resolver_t **old, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        resolver_t *r = old[i];
        if (r && r->port == t->port && str_eq(str_from(r->name), t->host)) {
            old[i] = NULL;
            return r;
        }
    }
    return resolver_create(b->env.loop, t->host, t->port, on_resolved, b);
}

static void start_resolvers(balancer_t *b, resolver_t **old, uint32_t n_old)
{
    b->resolvers = mem_zalloc((b->u.n_targets + 1) * sizeof(resolver_t *));
    for (uint32_t i = 0; i < b->u.n_targets; i++)
        b->resolvers[i] = resolver_for(b, &b->u.targets[i], old, n_old);
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i])
            resolver_destroy(old[i]);
    }
    free(old);
}

balancer_t *balancer_create(const balancer_env_t *env, const upstream_t *u)
{
    balancer_t *b = mem_zalloc(sizeof *b);
    b->env = *env;
    b->refs = 1;
    list_init(&b->waiters);
    io_defer_init(&b->wake, on_wake);
    b->set.random = clock_mono_us() | 1;
    define(b, u);
    start_resolvers(b, NULL, 0);
    build_candidates(b);
    return b;
}

void balancer_update(balancer_t *b, const upstream_t *u)
{
    ASSERT(str_eq(b->u.name, u->name), "a balancer belongs to one name");
    if (str_eq(b->u.json, u->json))
        return;
    arena_t old = b->arena;
    resolver_t **resolvers = b->resolvers;
    uint32_t n = b->u.n_targets;
    define(b, u);
    start_resolvers(b, resolvers, n);
    build_candidates(b);
    io_defer_start(b->env.loop, &b->wake);
    arena_dispose(&old);
}

balancer_t *balancer_acquire(balancer_t *b)
{
    ASSERT(b->refs > 0, "a balancer is alive when it is acquired");
    b->refs++;
    return b;
}

void balancer_release(balancer_t *b)
{
    ASSERT(b->refs > 0, "a balancer is released once for each reference");
    if (--b->refs > 0)
        return;
    ASSERT(list_empty(&b->waiters), "who waits holds its generation");
    io_defer_stop(&b->wake);
    for (uint32_t i = 0; i < b->u.n_targets; i++)
        resolver_destroy(b->resolvers[i]);
    free(b->resolvers);
    drop_candidates(&b->set);
    arena_dispose(&b->arena);
    free(b);
}

// ---- showing ----

const upstream_t *balancer_upstream(const balancer_t *b)
{
    return &b->u;
}

const candidates_t *balancer_candidates(balancer_t *b)
{
    refresh(b);
    return &b->set;
}

target_health_t balancer_health_of(const balancer_t *b, const candidate_t *c)
{
    if (!is_good(b, c))
        return TARGET_UNHEALTHY;
    return checks(b) ? TARGET_HEALTHY : TARGET_UNCHECKED;
}

target_health_t balancer_target_health(balancer_t *b, uint32_t target)
{
    ASSERT(target < b->u.n_targets, "a target of the definition in use");
    target_health_t health = checks(b) ? TARGET_UNHEALTHY : TARGET_UNCHECKED;
    if (b->resolvers[target]->state == RESOLVE_FAILED)
        return TARGET_DNS_ERROR;
    for (uint32_t i = 0; i < b->set.n; i++) {
        const candidate_t *c = &b->set.v[i];
        if (c->target != target)
            continue;
        health = balancer_health_of(b, c);
        if (health != TARGET_UNHEALTHY)
            break; // one good address is enough
    }
    return health;
}

bool balancer_is_down(balancer_t *b)
{
    refresh(b);
    return b->down;
}

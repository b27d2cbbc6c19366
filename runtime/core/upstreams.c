// From a route's service to where its requests go; the balancers of a generation.
#include "core/upstreams.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "config/router.h"
#include "core/hash_key.h"
#include "core/worker.h"

// A worker's run-time state of one generation. Made on first use, freed with it.
typedef struct upstreams_state {
    balancer_t **balancers; // by Upstream; acquired, NULL before upstreams_install
    uint32_t n_upstreams;
} upstreams_state_t;

static void state_free(void *runtime)
{
    upstreams_state_t *s = runtime;
    for (uint32_t i = 0; i < s->n_upstreams; i++) {
        if (s->balancers[i])
            balancer_release(s->balancers[i]);
    }
    free(s->balancers);
    free(s);
}

static upstreams_state_t *state_of(generation_t *g)
{
    if (!g->runtime) {
        upstreams_state_t *s = mem_zalloc(sizeof *s);
        s->balancers = mem_zalloc((g->n_upstreams + 1) * sizeof *s->balancers);
        s->n_upstreams = g->n_upstreams;
        g->runtime = s;
        g->runtime_free = state_free;
    }
    return g->runtime;
}

void upstreams_prepare(request_t *r)
{
    const service_t *s = r->service;
    upstream_request_t *up = &r->up;
    up->query = r->head.query;
    up->method = r->method;
    up->connect_timeout_ms = up->write_timeout_ms = up->read_timeout_ms = 60000;
    up->retries = 5;
    up->path = r->path;
    if (!s)
        return;
    up->https = s->https;
    up->host = s->host;
    up->port = s->port;
    up->balancer = s->upstream;
    up->connect_timeout_ms = s->connect_timeout_ms;
    up->write_timeout_ms = s->write_timeout_ms;
    up->read_timeout_ms = s->read_timeout_ms;
    up->retries = s->retries;
    up->tls_verify = s->tls_verify;
    up->path = router_upstream_path(&r->arena, r->route, s->path, r->path, r->prefix);
}

int upstreams_select(request_t *r, str_t name)
{
    const upstream_t *u = upstream_find(r->gen, name);
    if (!u)
        return -1;
    r->up.balancer = u;
    r->up.host = u->name;
    r->up.hash_state = HASH_UNKNOWN;
    r->up.set = true;
    return 0;
}

// ---- balancers ----

void upstreams_install(worker_t *w, generation_t *g)
{
    upstreams_state_t *s = state_of(g), *before = w->gen ? state_of(w->gen) : NULL;
    balancer_env_t env = {.loop = w->loop, .peers = w->peers};
    for (uint32_t i = 0; i < g->n_upstreams; i++) {
        const upstream_t *u = &g->upstreams[i];
        const upstream_t *old = w->gen ? upstream_find(w->gen, u->name) : NULL;
        ASSERT(!s->balancers[i], "a generation is installed once");
        if (old && before->balancers[old->index]) {
            s->balancers[i] = balancer_acquire(before->balancers[old->index]);
            balancer_update(s->balancers[i], u);
        } else {
            s->balancers[i] = balancer_create(&env, u);
        }
    }
}

balancer_t *upstreams_balancer(generation_t *g, const upstream_t *u)
{
    upstreams_state_t *s = state_of(g);
    ASSERT(u->index < s->n_upstreams && s->balancers[u->index],
           "an Upstream belongs to its generation, which was installed");
    return s->balancers[u->index];
}

// What the choice goes by: read from the request once, for all its tries.
static choice_t choice_for(request_t *r, const upstream_t *u)
{
    upstream_request_t *up = &r->up;
    if (up->hash_state == HASH_UNKNOWN) {
        bool known = false;
        if (u->algorithm == BALANCE_CONSISTENT_HASHING)
            known = hash_key(r, u, &up->hash);
        else if (u->algorithm == BALANCE_STICKY_SESSIONS)
            known = hash_key_of_session(r, u, &up->hash);
        up->hash_state = known ? HASH_KNOWN : HASH_NOTHING;
    }
    return (choice_t){.hashed = up->hash_state == HASH_KNOWN,
                      .hash = up->hash,
                      .now_ms = loop_now_ms(r->worker->loop)};
}

int upstreams_pick(request_t *r, upstream_pick_t *out)
{
    enum { TRIED_MAX = 64 };
    const upstream_t *u = r->up.balancer;
    uint64_t tried[TRIED_MAX];
    unsigned n = 0;
    *out = (upstream_pick_t){.host = r->up.host, .port = r->up.port, .name = r->up.host};
    if (!u)
        return 0;
    for (const try_record_t *t = r->tries; t && n < TRIED_MAX; t = t->next)
        tried[n++] = t->peer;
    balancer_t *b = upstreams_balancer(r->gen, u);
    choice_t by = choice_for(r, balancer_upstream(b));
    int rc = balancer_pick(b, &by, tried, n, &out->peer);
    if (rc != 0)
        return rc;
    const peer_name_t *name = &out->peer->name;
    out->host = name->host;
    out->port = name->port;
    bool by_srv = name->by_srv && balancer_upstream(b)->use_srv_name;
    out->name = by_srv ? name->host : name->target;
    return 0;
}

void upstreams_wait(request_t *r, balancer_waiter_t *w)
{
    ASSERT(r->up.balancer, "only names of an Upstream's targets are waited for");
    balancer_wait(upstreams_balancer(r->gen, r->up.balancer), w);
}

// From a route's service to where its requests go. Smooth weighted round robin over the targets of an Upstream; the state is a worker's
// own and lives with the generation.
#include "core/upstreams.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "config/router.h"
#include "core/upstreams_state.h"
#include "core/worker.h"

static upstreams_state_t *state_of(generation_t *g)
{
    if (!g->runtime) {
        upstreams_state_t *s = mem_zalloc(sizeof *s);
        s->current = mem_zalloc((g->n_upstreams + 1) * sizeof *s->current);
        s->n_upstreams = g->n_upstreams;
        g->runtime = s;
        g->runtime_free = upstreams_state_free;
    }
    return g->runtime;
}

void upstreams_state_free(void *runtime)
{
    upstreams_state_t *s = runtime;
    for (uint32_t i = 0; i < s->n_upstreams; i++)
        free(s->current[i]);
    free(s->current);
    free(s);
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
    r->up.set = true;
    return 0;
}

static bool was_tried(const request_t *r, const target_t *t)
{
    for (const try_record_t *x = r->tries; x; x = x->next) {
        if (str_eq(x->ip, t->host) && x->port == t->port)
            return true;
    }
    return false;
}

// Smooth weighted round robin: each target gains its weight, the largest is picked and pays the total.
static const target_t *pick(const request_t *r, const upstream_t *u, int64_t *current,
                            bool untried_only)
{
    int64_t total = 0;
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < u->n_targets; i++) {
        const target_t *t = &u->targets[i];
        if (t->weight == 0 || (untried_only && was_tried(r, t)))
            continue;
        current[i] += t->weight;
        total += t->weight;
        if (best == UINT32_MAX || current[i] > current[best])
            best = i;
    }
    if (best == UINT32_MAX)
        return NULL;
    current[best] -= total;
    return &u->targets[best];
}

int upstreams_pick(request_t *r, str_t *host, uint16_t *port)
{
    const upstream_t *u = r->up.balancer;
    *host = r->up.host;
    *port = r->up.port;
    if (!u)
        return 0;
    upstreams_state_t *s = state_of(r->gen);
    int64_t **current = &s->current[u->index];
    ASSERT(u->index < s->n_upstreams, "an Upstream belongs to its generation");
    if (!*current)
        *current = mem_zalloc((u->n_targets + 1) * sizeof **current);
    const target_t *t = r->n_tries ? pick(r, u, *current, true) : NULL;
    if (!t)
        t = pick(r, u, *current, false);
    if (!t)
        return -1;
    *host = t->host;
    *port = t->port;
    return 0;
}

// When which address is probed; see prober.h. One probe's way is in probe.c. A schedule belongs to one Upstream by its name, and outlives
// generations. Invariant: an address has at most one probe under way, an Upstream at most `concurrency`.
#include "core/prober.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/identity.h"
#include "core/passive.h"
#include "core/probe.h"
#include "core/upstreams.h"

enum { LEASE_MS = 3000, LEASE_EVERY_MS = 500 };

// What is due: addresses in one of the two states, each interval anew.
typedef struct round {
    io_timer_t timer;
    struct schedule *schedule;
    bool healthy; // whom it probes
} round_t;

typedef struct schedule {
    struct schedule *next;
    prober_t *prober;
    balancer_t *balancer; // acquired
    round_t rounds[2];
    list_t due;    // job_t, waiting for concurrency
    list_t active; // job_t, under way
    unsigned n_active;
    bool seen; // by prober_install
} schedule_t;

typedef struct job {
    list_t links;
    schedule_t *schedule;
    peer_t *peer; // held
    probe_t *probe;
} job_t;

struct prober {
    worker_t *worker;
    schedule_t *schedules;
    io_timer_t lease_timer;
    bool mine; // this worker probes
};

// ---- jobs ----

static void job_destroy(job_t *j)
{
    list_unlink(&j->links);
    if (j->probe)
        probe_cancel(j->probe);
    peer_release(j->peer);
    free(j);
}

static bool has_job(const schedule_t *s, const peer_t *p)
{
    const list_t *const LISTS[] = {&s->due, &s->active};
    for (int i = 0; i < 2; i++) {
        for (const list_t *l = LISTS[i]->next; l != LISTS[i]; l = l->next) {
            if (CONTAINER_OF(l, job_t, links)->peer == p)
                return true;
        }
    }
    return false;
}

static void start_due(schedule_t *s);

static void on_probed(void *arg, health_report_t what, bool counts, const char *why)
{
    job_t *j = arg;
    schedule_t *s = j->schedule;
    const active_checks_t *a = &balancer_upstream(s->balancer)->active;
    ASSERT(s->n_active > 0, "a probe under way is counted");
    j->probe = NULL;
    s->n_active--;
    if (counts)
        passive_report(j->peer, &a->limits, what, why);
    job_destroy(j);
    start_due(s);
}

static void start_job(schedule_t *s, job_t *j)
{
    worker_t *w = s->prober->worker;
    const upstream_t *u = balancer_upstream(s->balancer);
    const peer_name_t *n = &j->peer->name;
    const char *why = NULL;
    probe_opts_t o = {.checks = &u->active,
                      .host = n->host,
                      .port = n->port,
                      .name = u->host_header.n ? u->host_header : n->target,
                      .done = on_probed,
                      .arg = j};
    if (u->active.type == CHECK_HTTPS) {
        identity_t id = {.verify = u->active.verify, .depth = -1};
        if (u->client_certificate >= 0)
            id.cert =
                identity_certificate(w->gen, &w->gen->certificates[u->client_certificate]);
        o.tls = identity_context(w, w->gen, &id, &why);
        if (!o.tls) {
            log_write(LOG_ERR, "upstream %.*s cannot be probed: %s", STR_FMT(u->name), why);
            job_destroy(j);
            return;
        }
    }
    list_unlink(&j->links);
    list_push_back(&s->active, &j->links);
    s->n_active++;
    j->probe = probe_start(w->loop, &o);
}

static void start_due(schedule_t *s)
{
    uint32_t most = balancer_upstream(s->balancer)->active.concurrency;
    while (!list_empty(&s->due) && s->n_active < most)
        start_job(s, CONTAINER_OF(s->due.next, job_t, links));
}

static void add_job(schedule_t *s, peer_t *p)
{
    job_t *j = mem_zalloc(sizeof *j);
    j->schedule = s;
    j->peer = p;
    peer_hold(p);
    list_push_back(&s->due, &j->links);
}

static void drop_jobs(schedule_t *s)
{
    while (!list_empty(&s->due))
        job_destroy(CONTAINER_OF(s->due.next, job_t, links));
    while (!list_empty(&s->active))
        job_destroy(CONTAINER_OF(s->active.next, job_t, links));
    s->n_active = 0;
}

// ---- rounds ----

static uint32_t interval_of(const round_t *r)
{
    const active_checks_t *a = &balancer_upstream(r->schedule->balancer)->active;
    return r->healthy ? a->healthy_ms : a->unhealthy_ms;
}

static void on_round(io_timer_t *t)
{
    round_t *r = CONTAINER_OF(t, round_t, timer);
    schedule_t *s = r->schedule;
    const candidates_t *set = balancer_candidates(s->balancer);
    io_timer_start(t, interval_of(r));
    if (!s->prober->mine)
        return;
    for (uint32_t i = 0; i < set->n; i++) {
        const candidate_t *c = &set->v[i];
        if (c->weight > 0 && health_is_good(c->peer->cell) == r->healthy &&
            !has_job(s, c->peer))
            add_job(s, c->peer);
    }
    start_due(s);
}

static void set_rhythm(round_t *r)
{
    uint32_t ms = interval_of(r);
    if (ms == 0)
        io_timer_stop(&r->timer);
    else if (!io_timer_active(&r->timer) ||
             r->timer.due_ms > loop_now_ms(r->schedule->prober->worker->loop) + ms)
        io_timer_start(&r->timer, ms);
}

// ---- the lease ----

static void on_lease(io_timer_t *t)
{
    prober_t *p = CONTAINER_OF(t, prober_t, lease_timer);
    worker_t *w = p->worker;
    io_timer_start(t, LEASE_EVERY_MS);
    p->mine =
        !w->draining && !w->admin && health_lease(w->index, clock_mono_us() / 1000, LEASE_MS);
}

// ---- life ----

static schedule_t *schedule_create(prober_t *p, balancer_t *b)
{
    schedule_t *s = mem_zalloc(sizeof *s);
    s->prober = p;
    s->balancer = balancer_acquire(b);
    list_init(&s->due);
    list_init(&s->active);
    for (int i = 0; i < 2; i++) {
        s->rounds[i].schedule = s;
        s->rounds[i].healthy = i == 0;
        io_timer_init(&s->rounds[i].timer, p->worker->loop, on_round);
    }
    s->next = p->schedules;
    p->schedules = s;
    return s;
}

static void schedule_destroy(schedule_t *s)
{
    drop_jobs(s);
    io_timer_stop(&s->rounds[0].timer);
    io_timer_stop(&s->rounds[1].timer);
    balancer_release(s->balancer);
    free(s);
}

static schedule_t *schedule_of(prober_t *p, balancer_t *b)
{
    schedule_t *s = p->schedules;
    while (s && s->balancer != b)
        s = s->next;
    return s ? s : schedule_create(p, b);
}

static void drop_unseen(prober_t *p)
{
    for (schedule_t **at = &p->schedules; *at;) {
        schedule_t *s = *at;
        if (s->seen) {
            s->seen = false;
            at = &s->next;
            continue;
        }
        *at = s->next;
        schedule_destroy(s);
    }
}

void prober_install(prober_t *p)
{
    generation_t *g = p->worker->gen;
    ASSERT(g, "a generation is in use");
    for (uint32_t i = 0; i < g->n_upstreams; i++) {
        const upstream_t *u = &g->upstreams[i];
        if (!upstream_probes(u))
            continue;
        schedule_t *s = schedule_of(p, upstreams_balancer(g, u));
        s->seen = true;
        set_rhythm(&s->rounds[0]);
        set_rhythm(&s->rounds[1]);
    }
    drop_unseen(p);
    if (p->schedules && !io_timer_active(&p->lease_timer))
        on_lease(&p->lease_timer);
    else if (!p->schedules)
        io_timer_stop(&p->lease_timer);
}

prober_t *prober_create(worker_t *w)
{
    prober_t *p = mem_zalloc(sizeof *p);
    p->worker = w;
    io_timer_init(&p->lease_timer, w->loop, on_lease);
    return p;
}

void prober_destroy(prober_t *p)
{
    io_timer_stop(&p->lease_timer);
    drop_unseen(p); // none is seen between installs
    ASSERT(!p->schedules, "every schedule was dropped");
    free(p);
}

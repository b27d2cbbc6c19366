// Outcomes of tries; see passive.h.
#include "core/passive.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/hash_key.h"
#include "core/worker.h"

// A failure is never quick for the mean of latencies: a target that refuses at once must not look like the best one.
enum { FAILED_MIN_US = 1000 * 1000 };

void passive_begin(peer_t *p)
{
    peer_hold(p);
    p->active++;
}

void passive_end(peer_t *p)
{
    ASSERT(p->active > 0, "a try ends once");
    p->active--;
    peer_release(p);
}

void passive_report(peer_t *p, const health_limits_t *limits, health_report_t what,
                    const char *why)
{
    health_change_t change = health_report(p->cell, limits, what);
    const peer_name_t *n = &p->name;
    if (change == HEALTH_SAME)
        return;
    log_write(change == HEALTH_HEALTHY ? LOG_NOTICE : LOG_WARN,
              "upstream %.*s: target %.*s:%u (%.*s:%u) is %s: %s", STR_FMT(n->upstream),
              STR_FMT(n->target), n->target_port, STR_FMT(n->host), n->port,
              change == HEALTH_HEALTHY ? "healthy" : "unhealthy", why);
}

static void report_status(peer_t *p, const passive_checks_t *c, unsigned status)
{
    char why[32];
    bool bad = status_in(&c->bad, status);
    if (c->type == CHECK_TCP || (!bad && !status_in(&c->good, status)))
        return;
    if (bad)
        snprintf(why, sizeof why, "it answered with %u", status);
    passive_report(p, &c->limits, bad ? HEALTH_HTTP_FAILURE : HEALTH_SUCCESS,
                   bad ? why : "it answers");
}

void passive_answered(request_t *r, peer_t *p, unsigned status, uint64_t took_us)
{
    const upstream_t *u = r->up.balancer;
    peer_took(p, took_us, loop_now_ms(r->worker->loop));
    if (!u)
        return; // a plugin sends the request elsewhere meanwhile
    report_status(p, &u->passive, status);
    if (u->algorithm == BALANCE_STICKY_SESSIONS && p->session)
        hash_key_set_session(r, u, p->session);
}

// Failures of this machine say nothing about a target.
static bool is_ours(int err)
{
    return err == ERR_FILES || err == ERR_NOMEM || err == ERR_ADDRESS || err == ERR_DENIED ||
           err == ERR_ABORTED;
}

void passive_failed(request_t *r, peer_t *p, int err, uint64_t took_us)
{
    const upstream_t *u = r->up.balancer;
    if (is_ours(err))
        return;
    peer_took(p, took_us > FAILED_MIN_US ? took_us : FAILED_MIN_US,
              loop_now_ms(r->worker->loop));
    if (u)
        passive_report(p, &u->passive.limits,
                       err == ERR_TIMEOUT ? HEALTH_TIMEOUT : HEALTH_TCP_FAILURE, err_text(err));
}

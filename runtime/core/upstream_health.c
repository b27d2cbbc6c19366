// Showing and setting health; see upstream_health.h.
#include "core/upstream_health.h"

#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "core/passive.h"
#include "core/stats.h"
#include "core/upstreams.h"
#include "http/json.h"

static const char *const NAMES[] = {
    [TARGET_HEALTHY] = "HEALTHY",
    [TARGET_UNHEALTHY] = "UNHEALTHY",
    [TARGET_UNCHECKED] = "HEALTHCHECKS_OFF",
    [TARGET_DNS_ERROR] = "DNS_ERROR",
};

// ---- names ----

enum { ADDRESS_MAX = 300 };

// "host:port", an IPv6 host in brackets; cut at ADDRESS_MAX, which no name reaches.
static str_t address_text(char out[ADDRESS_MAX], str_t host, uint16_t port)
{
    bool v6 = str_chr(host, ':') >= 0;
    int n = snprintf(out, ADDRESS_MAX, v6 ? "[%.*s]:%u" : "%.*s:%u", STR_FMT(host), port);
    return str_make(out, n < ADDRESS_MAX ? (size_t)n : ADDRESS_MAX - 1);
}

static void put_text(buf_t *b, const char *name, str_t value)
{
    buf_printf(b, "\"%s\":\"", name);
    buf_append_json(b, value);
    buf_putc(b, '"');
}

// A member of the target's own JSON, as it is there.
static void put_raw(buf_t *b, const char *name, str_t json)
{
    str_t value;
    bool found = json.n && json_get(json, str_from(name), &value);
    buf_printf(b, ",\"%s\":", name);
    buf_append(b, found ? value : STR("null"));
}

const upstream_t *upstream_health_find(const worker_t *w, str_t name_or_id)
{
    const generation_t *g = w->gen;
    const upstream_t *u = upstream_find(g, name_or_id);
    for (uint32_t i = 0; !u && i < g->n_upstreams; i++) {
        if (g->upstreams[i].id.n && str_eq(g->upstreams[i].id, name_or_id))
            u = &g->upstreams[i];
    }
    return u;
}

// ---- JSON ----

typedef struct weights {
    uint64_t total, available;
} weights_t;

static void count_weight(weights_t *w, const balancer_t *b, const candidate_t *c)
{
    w->total += c->weight;
    if (balancer_health_of(b, c) != TARGET_UNHEALTHY)
        w->available += c->weight;
}

static void put_weights(buf_t *out, const weights_t *w)
{
    buf_printf(out, "\"weight\":{\"total\":%llu,\"available\":%llu,\"unavailable\":%llu}",
               (unsigned long long)w->total, (unsigned long long)w->available,
               (unsigned long long)(w->total - w->available));
}

static void put_addresses(buf_t *out, balancer_t *b, uint32_t target, weights_t *w)
{
    const candidates_t *set = balancer_candidates(b);
    buf_append(out, STR("\"addresses\":["));
    for (uint32_t i = 0, put = 0; i < set->n; i++) {
        const candidate_t *c = &set->v[i];
        if (c->target != target)
            continue;
        count_weight(w, b, c);
        buf_append(out, put++ ? STR(",{") : STR("{"));
        put_text(out, "ip", c->peer->name.host);
        buf_printf(out, ",\"port\":%u,\"weight\":%u,\"health\":\"%s\"}", c->peer->name.port,
                   c->weight, NAMES[balancer_health_of(b, c)]);
    }
    buf_putc(out, ']');
}

static void put_target(buf_t *out, balancer_t *b, uint32_t i)
{
    const upstream_t *u = balancer_upstream(b);
    const target_t *t = &u->targets[i];
    char text[ADDRESS_MAX];
    weights_t w = {0};
    buf_putc(out, '{');
    put_text(out, "id", t->id);
    buf_putc(out, ',');
    put_text(out, "target", address_text(text, t->host, t->port));
    buf_printf(out, ",\"weight\":%u,\"health\":\"%s\",\"upstream\":{", t->weight,
               NAMES[balancer_target_health(b, i)]);
    put_text(out, "id", u->id);
    buf_putc(out, '}');
    put_raw(out, "tags", t->json);
    put_raw(out, "created_at", t->json);
    buf_append(out, STR(",\"data\":{"));
    put_text(out, "host", t->host);
    buf_printf(out, ",\"port\":%u,\"nodeWeight\":%u,", t->port, t->weight);
    put_addresses(out, b, i, &w);
    buf_putc(out, ',');
    put_weights(out, &w);
    buf_append(out, STR("}}"));
}

void upstream_health_json(worker_t *w, const upstream_t *u, buf_t *out)
{
    balancer_t *b = upstreams_balancer(w->gen, u);
    uint32_t n = balancer_upstream(b)->n_targets;
    buf_append(out, STR("{\"data\":["));
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_putc(out, ',');
        put_target(out, b, i);
    }
    buf_printf(out, "],\"next\":null,\"node_id\":\"%s\"}", w->node_id);
}

void upstream_health_summary(worker_t *w, const upstream_t *u, buf_t *out)
{
    balancer_t *b = upstreams_balancer(w->gen, u);
    const candidates_t *set = balancer_candidates(b);
    const upstream_t *now = balancer_upstream(b);
    bool checked = upstream_probes(now) || upstream_watches(now), down = balancer_is_down(b);
    weights_t sum = {0};
    for (uint32_t i = 0; i < set->n; i++)
        count_weight(&sum, b, &set->v[i]);
    buf_append(out, STR("{\"data\":{"));
    put_text(out, "id", now->id);
    buf_putc(out, ',');
    put_text(out, "name", now->name);
    buf_printf(out, ",\"health\":\"%s\",\"details\":{",
               down ? "UNHEALTHY" : NAMES[checked ? TARGET_HEALTHY : TARGET_UNCHECKED]);
    put_weights(out, &sum);
    buf_printf(out, "}},\"node_id\":\"%s\"}", w->node_id);
}

// ---- metrics ----

static void put_states(buf_t *out, str_t upstream, str_t target, str_t address,
                       target_health_t health)
{
    static const char *const STATES[] = {
        [TARGET_HEALTHY] = "healthy",
        [TARGET_UNHEALTHY] = "unhealthy",
        [TARGET_UNCHECKED] = "healthchecks_off",
        [TARGET_DNS_ERROR] = "dns_error",
    };
    buf_t labels = {0};
    stat_label(&labels, STR("upstream"), upstream);
    stat_label(&labels, STR("target"), target);
    stat_label(&labels, STR("address"), address);
    for (unsigned i = 0; i < sizeof STATES / sizeof *STATES; i++) {
        buf_append(out, STR("kong_upstream_target_health{"));
        buf_append(out, buf_str(&labels));
        buf_printf(out, ",state=\"%s\",subsystem=\"http\"} %d\n", STATES[i], health == i);
    }
    buf_dispose(&labels);
}

static void put_upstream(buf_t *out, balancer_t *b)
{
    const upstream_t *u = balancer_upstream(b);
    const candidates_t *set = balancer_candidates(b);
    for (uint32_t t = 0; t < u->n_targets; t++) {
        char target[ADDRESS_MAX], address[ADDRESS_MAX];
        str_t name = address_text(target, u->targets[t].host, u->targets[t].port);
        bool any = false;
        for (uint32_t i = 0; i < set->n; i++) {
            const candidate_t *c = &set->v[i];
            const peer_name_t *at = &c->peer->name;
            if (c->target != t)
                continue;
            any = true;
            put_states(out, u->name, name, address_text(address, at->host, at->port),
                       balancer_health_of(b, c));
        }
        if (!any)
            put_states(out, u->name, name, STR(""), TARGET_DNS_ERROR);
    }
}

void upstream_health_metrics(worker_t *w, buf_t *out)
{
    const generation_t *g = w->gen;
    if (!w->tells_targets || g->n_upstreams == 0)
        return;
    buf_append(out, STR("# HELP kong_upstream_target_health Health status of targets of "
                        "upstream. States = healthchecks_off|healthy|unhealthy|dns_error, "
                        "value is 1 when state is populated.\n"
                        "# TYPE kong_upstream_target_health gauge\n"));
    for (uint32_t i = 0; i < g->n_upstreams; i++)
        put_upstream(out, upstreams_balancer(w->gen, &g->upstreams[i]));
}

// ---- by hand ----

static bool is_target(const target_t *t, str_t wanted)
{
    char text[ADDRESS_MAX];
    return (t->id.n && str_eq(t->id, wanted)) ||
           str_ieq(address_text(text, t->host, t->port), wanted);
}

static void set_peer(peer_t *p, bool healthy)
{
    const peer_name_t *n = &p->name;
    health_set(p->cell, healthy);
    log_write(LOG_NOTICE, "upstream %.*s: target %.*s:%u (%.*s:%u) is set %s by hand",
              STR_FMT(n->upstream), STR_FMT(n->target), n->target_port, STR_FMT(n->host),
              n->port, healthy ? "healthy" : "unhealthy");
}

int upstream_health_set(worker_t *w, const upstream_t *u, str_t target, str_t address,
                        bool healthy, const char **why)
{
    balancer_t *b = upstreams_balancer(w->gen, u);
    const upstream_t *now = balancer_upstream(b);
    const candidates_t *set = balancer_candidates(b);
    char text[ADDRESS_MAX];
    bool any_target = false, any_address = false;
    for (uint32_t t = 0; t < now->n_targets; t++)
        any_target |= is_target(&now->targets[t], target);
    for (uint32_t i = 0; any_target && i < set->n; i++) {
        const peer_name_t *at = &set->v[i].peer->name;
        if (!is_target(&now->targets[set->v[i].target], target) ||
            (address.p && !str_ieq(address_text(text, at->host, at->port), address)))
            continue;
        any_address = true;
        set_peer(set->v[i].peer, healthy);
    }
    if (any_address)
        return 0;
    *why = any_target ? "the target has no such address" : "the upstream has no such target";
    return -1;
}

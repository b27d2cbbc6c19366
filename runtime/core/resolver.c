// One target's name; see resolver.h. The first time SRV and addresses are asked for together, since nobody says which the name has;
// later what was there the last time is asked for.
#include "core/resolver.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"

enum {
    TTL_MIN_MS = 1000,
    TTL_MAX_MS = 3600 * 1000,
    RETRY_MS = 1000,
    SRV_PATIENCE_MS = 300, // how long addresses at hand wait for an answer about SRV
};

// ---- lists ----

static void list_dispose(answer_list_t *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free(l->v[i].host);
    free(l->v);
    *l = (answer_list_t){0};
}

static void list_put(answer_list_t *l, str_t host, uint16_t port, uint16_t weight)
{
    char *copy = mem_alloc(host.n + 1);
    memcpy(copy, host.p, host.n);
    copy[host.n] = '\0';
    l->v[l->n++] = (resolved_t){.host = copy, .port = port, .weight = weight};
}

static bool list_has(const answer_list_t *l, const resolved_t *one)
{
    for (unsigned i = 0; i < l->n; i++) {
        const resolved_t *v = &l->v[i];
        if (v->port == one->port && v->weight == one->weight && strcmp(v->host, one->host) == 0)
            return true;
    }
    return false;
}

// The order of DNS answers turns, and means nothing.
static bool list_same(const answer_list_t *a, const answer_list_t *b)
{
    bool same = a->n == b->n;
    for (unsigned i = 0; same && i < a->n; i++)
        same = list_has(b, &a->v[i]);
    return same;
}

// ---- answers ----

static bool is_v4(const dns_record_t *rec)
{
    return rec->addr.sa.sa_family == AF_INET;
}

static void take_addresses(resolver_t *r, answer_list_t *l, const dns_answer_t *a)
{
    bool any_v4 = false;
    for (unsigned i = 0; i < a->n; i++)
        any_v4 |= is_v4(&a->records[i]);
    for (unsigned i = 0; i < a->n; i++) {
        char ip[64];
        if (any_v4 && !is_v4(&a->records[i]))
            continue;
        size_t n = addr_ip_text(&a->records[i].addr, ip, sizeof ip);
        list_put(l, str_make(ip, n), r->port, 0);
    }
}

// Only the records of the best priority: the others are for when these are gone from DNS.
static void take_services(answer_list_t *l, const dns_answer_t *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        const dns_record_t *rec = &a->records[i];
        if (rec->priority == a->records[0].priority && rec->target.n > 0)
            list_put(l, rec->target, rec->port, rec->weight ? rec->weight : 1);
    }
}

static void ask_all(resolver_t *r);

static void stop_asking(resolver_t *r)
{
    for (int i = 0; i < 2; i++) {
        if (r->query[i])
            dns_cancel(r->query[i]);
        r->query[i] = NULL;
        list_dispose(&r->got[i]);
    }
}

static unsigned bounded(unsigned ttl_ms)
{
    return ttl_ms < TTL_MIN_MS ? TTL_MIN_MS : ttl_ms > TTL_MAX_MS ? TTL_MAX_MS : ttl_ms;
}

static void adopt(resolver_t *r, dns_type_t type)
{
    answer_list_t list = r->got[type];
    bool news = r->state != RESOLVE_OK || !list_same(&list, &r->used);
    if (r->state == RESOLVE_FAILED)
        log_write(LOG_NOTICE, "target %s:%u: its name is resolved again", r->name, r->port);
    r->got[type] = (answer_list_t){0};
    list_dispose(&r->used);
    r->used = list;
    r->used_srv = type == DNS_SRV;
    r->state = RESOLVE_OK;
    stop_asking(r);
    io_timer_start(&r->timer, bounded(list.ttl_ms));
    if (news)
        r->changed(r->owner);
}

static void fail(resolver_t *r, int err)
{
    bool news = r->state != RESOLVE_FAILED,
         keeps = r->state == RESOLVE_OK && err != ERR_DNS_NAME;
    stop_asking(r);
    io_timer_start(&r->timer, RETRY_MS);
    if (keeps || !news)
        return;
    log_write(LOG_WARN, "target %s:%u has no address: %s", r->name, r->port, err_text(err));
    list_dispose(&r->used);
    r->state = RESOLVE_FAILED;
    r->changed(r->owner);
}

// What is known by now decides, or more is awaited.
static void judge(resolver_t *r)
{
    answer_list_t *srv = &r->got[DNS_SRV], *addr = &r->got[DNS_ADDR];
    if (srv->here && srv->n > 0)
        adopt(r, DNS_SRV);
    else if (r->query[DNS_SRV] && addr->here && addr->n > 0)
        io_timer_start(&r->timer, SRV_PATIENCE_MS);
    else if (r->query[DNS_SRV] || r->query[DNS_ADDR])
        return;
    else if (addr->here && addr->n > 0)
        adopt(r, DNS_ADDR);
    else if (r->state == RESOLVE_OK && !(srv->here && addr->here))
        ask_all(r); // what it had the last time is gone: perhaps it has the other now
    else
        fail(r, srv->err == ERR_DNS_FAIL || addr->err == ERR_DNS_FAIL ? ERR_DNS_FAIL
                                                                      : ERR_DNS_NAME);
}

static void take(resolver_t *r, dns_type_t type, int err, const dns_answer_t *a)
{
    answer_list_t *l = &r->got[type];
    r->query[type] = NULL;
    list_dispose(l);
    *l = (answer_list_t){.here = true, .err = err};
    if (a) {
        l->v = mem_alloc((a->n + 1) * sizeof *l->v);
        l->ttl_ms = a->ttl_ms;
        if (type == DNS_SRV)
            take_services(l, a);
        else
            take_addresses(r, l, a);
    }
    judge(r);
}

static void on_addresses(void *arg, int err, const dns_answer_t *a)
{
    take(arg, DNS_ADDR, err, a);
}

static void on_services(void *arg, int err, const dns_answer_t *a)
{
    take(arg, DNS_SRV, err, a);
}

// ---- questions ----

static void ask(resolver_t *r, dns_type_t type)
{
    ASSERT(!r->query[type], "one question of a type at a time");
    r->got[type].here = false;
    r->query[type] = dns_lookup(dns_of(r->loop), str_from(r->name), type,
                                type == DNS_SRV ? on_services : on_addresses, r);
}

static void ask_all(resolver_t *r)
{
    stop_asking(r);
    ask(r, DNS_ADDR);
    if (!dns_is_local(dns_of(r->loop), str_from(r->name)))
        ask(r, DNS_SRV);
}

static void on_timer(io_timer_t *t)
{
    resolver_t *r = CONTAINER_OF(t, resolver_t, timer);
    if (r->got[DNS_ADDR].here && r->got[DNS_ADDR].n > 0)
        adopt(r, DNS_ADDR); // nobody spoke of SRV in time
    else if (r->state == RESOLVE_OK)
        ask(r, r->used_srv ? DNS_SRV : DNS_ADDR);
    else
        ask_all(r);
}

resolver_t *resolver_create(loop_t *l, str_t name, uint16_t port, void (*changed)(void *owner),
                            void *owner)
{
    addr_t literal;
    resolver_t *r = mem_zalloc(sizeof *r);
    r->loop = l;
    r->port = port;
    r->changed = changed;
    r->owner = owner;
    r->name = mem_zalloc(name.n + 1);
    memcpy(r->name, name.p, name.n);
    io_timer_init(&r->timer, l, on_timer);
    if (addr_from_ip(name, port, &literal) != 0) {
        ask_all(r);
        return r;
    }
    r->used.v = mem_alloc(sizeof *r->used.v);
    list_put(&r->used, name, port, 0);
    r->state = RESOLVE_OK;
    return r;
}

void resolver_destroy(resolver_t *r)
{
    io_timer_stop(&r->timer);
    stop_asking(r);
    list_dispose(&r->used);
    free(r->name);
    free(r);
}

// The resolver of a loop: literals, localhost and the hosts file at once; the cache; then
// servers (dns_ares.c). One question a name is under way at a time, however many wait for it.
// Files: dns_cache.c the table, dns_srv.c SRV. Invariant: no query is told inside dns_lookup,
// and no answer arrives inside an owner's callback: both are deferred.
#include "io/dns.h"

#include <sys/random.h>
#include <sys/stat.h>

#include "base/check.h"
#include "io/dns_ares.h"
#include "io/dns_cache.h"
#include "io/dns_hosts.h"
#include "io/loop_impl.h"

enum {
    NAME_MAX_BYTES = 254, // with a dot at the end
    LOCAL_MAX = 16,
    LOCAL_TTL_MS = 60 * 1000,
    PATIENCE_MS = 300, // how long a query with a stale answer at hand waits for a fresh one
    HOSTS_CHECK_MS = 5000,
};

static const char HOSTS_PATH[] = "/etc/hosts";

struct dns {
    loop_t *loop;
    dns_opts_t o; // servers is not kept
    dns_net_t *net;
    dns_cache_t cache;
    hosts_t hosts;
    struct timespec hosts_mtime;
    uint64_t hosts_check_ms;
    dns_record_t local[LOCAL_MAX]; // of the last dns_cached
    bool closing;
};

struct dns_query {
    list_t links; // in its entry's `waiting`
    dns_t *d;
    dns_entry_t *e;      // pinned; NULL: answered without the cache
    dns_record_t *local; // owned; NULL but for such answers
    unsigned n_local;
    io_defer_t ready;
    io_timer_t patience;
    int err;
    bool stale;
    void (*done)(void *arg, int err, const dns_answer_t *a);
    void *arg;
};

// A name as the cache knows it.
typedef struct key {
    char text[NAME_MAX_BYTES + 1];
    str_t name;
} dns_key_t;

// ---- what needs no server ----

static bool to_key(str_t name, dns_key_t *k)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES || memchr(name.p, 0, name.n))
        return false;
    for (size_t i = 0; i < name.n; i++)
        k->text[i] = ascii_lower(name.p[i]);
    k->text[name.n] = 0;
    k->name = str_make(k->text, name.n);
    return true;
}

static void check_hosts(dns_t *d)
{
    struct stat st;
    uint64_t now = loop_now_ms(d->loop);
    if (now < d->hosts_check_ms)
        return;
    d->hosts_check_ms = now + HOSTS_CHECK_MS;
    if (stat(HOSTS_PATH, &st) != 0)
        st.st_mtim = (struct timespec){0};
    if (st.st_mtim.tv_sec == d->hosts_mtime.tv_sec &&
        st.st_mtim.tv_nsec == d->hosts_mtime.tv_nsec)
        return;
    hosts_dispose(&d->hosts);
    hosts_load(&d->hosts, HOSTS_PATH);
    d->hosts_mtime = st.st_mtim;
}

static unsigned from_hosts(dns_t *d, str_t name, dns_record_t *out)
{
    const host_line_t *first;
    check_hosts(d);
    size_t n = hosts_find(&d->hosts, name, &first);
    if (n > LOCAL_MAX)
        n = LOCAL_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (dns_record_t){.addr = first[i].addr};
    return (unsigned)n;
}

// Answers an address question without the network. The number of records (LOCAL_MAX at most),
// 0: ask.
static unsigned answer_locally(dns_t *d, str_t name, dns_record_t *out)
{
    str_t bare = name.p[name.n - 1] == '.' ? str_make(name.p, name.n - 1) : name;
    addr_t addr;
    if (addr_from_ip(name, 0, &addr) == 0) {
        out[0] = (dns_record_t){.addr = addr};
        return 1;
    }
    unsigned n = from_hosts(d, bare, out);
    if (n > 0 || !(str_eq(bare, STR("localhost")) || str_ends(bare, STR(".localhost"))))
        return n;
    for (; n < 2; n++) {
        out[n] = (dns_record_t){0};
        addr_from_ip(n == 0 ? STR("127.0.0.1") : STR("::1"), 0, &out[n].addr);
    }
    return n;
}

// ---- the cache's answers ----

static bool is_fresh(const dns_entry_t *e, uint64_t now)
{
    return e->records && now < e->expires_ms;
}

static bool may_serve_stale(const dns_t *d, const dns_entry_t *e, uint64_t now)
{
    return e->records && now < e->expires_ms + d->o.stale_ms;
}

static dns_answer_t answer_of(const dns_entry_t *e, uint64_t now, bool stale)
{
    uint64_t left = e->expires_ms > now ? e->expires_ms - now : 0;
    return (dns_answer_t){.records = e->records,
                          .n = e->n,
                          .ttl_ms = left < UINT32_MAX ? (unsigned)left : UINT32_MAX,
                          .stale = stale};
}

// ---- queries ----

static void query_destroy(dns_query_t *q)
{
    list_unlink(&q->links);
    io_defer_stop(&q->ready);
    io_timer_stop(&q->patience);
    if (q->e)
        q->e->pins--;
    live_end(q->d->loop);
    free(q->local);
    free(q);
}

static void on_ready(io_defer_t *defer)
{
    dns_query_t *q = CONTAINER_OF(defer, dns_query_t, ready);
    dns_query_t copy = *q;
    uint64_t now = loop_now_ms(q->d->loop);
    dns_answer_t a = {.records = q->local, .n = q->n_local, .ttl_ms = LOCAL_TTL_MS};
    if (q->e) {
        a = answer_of(q->e, now, q->stale);
        q->e->pins++; // the records stay until the owner has read them
    }
    if (a.n == 0 && copy.err == 0)
        copy.err = ERR_DNS_NAME; // the name ceased to exist this very turn
    q->local = NULL;
    query_destroy(q);
    copy.done(copy.arg, copy.err, copy.err ? NULL : &a);
    if (copy.e)
        copy.e->pins--;
    free(copy.local);
}

// The query will be told at the end of the turn.
static void settle(dns_query_t *q, int err, bool stale)
{
    list_unlink(&q->links);
    io_timer_stop(&q->patience);
    q->err = err;
    q->stale = stale;
    io_defer_start(q->d->loop, &q->ready);
}

static void on_patience_over(io_timer_t *t)
{
    dns_query_t *q = CONTAINER_OF(t, dns_query_t, patience);
    if (may_serve_stale(q->d, q->e, loop_now_ms(q->d->loop)))
        settle(q, 0, true);
}

static uint64_t bounded_ttl(const dns_t *d, uint64_t ttl_ms)
{
    if (d->o.max_ttl_ms && ttl_ms > d->o.max_ttl_ms)
        ttl_ms = d->o.max_ttl_ms;
    return ttl_ms < d->o.min_ttl_ms ? d->o.min_ttl_ms : ttl_ms;
}

static void take_answer(dns_t *d, dns_entry_t *e, int err, dns_record_t *records, unsigned n,
                        uint64_t ttl_ms)
{
    uint64_t now = loop_now_ms(d->loop);
    e->err = err;
    e->retry_ms = err ? now + d->o.negative_ms : 0;
    if (err && err != ERR_DNS_NAME)
        return; // what was known may still serve; "no such name" ends that
    dns_records_free(e->records, e->n);
    e->records = records;
    e->n = n;
    e->expires_ms = now + bounded_ttl(d, ttl_ms);
}

static void on_answer(void *arg, int err, dns_record_t *records, unsigned n, uint64_t ttl_ms)
{
    dns_entry_t *e = arg;
    dns_t *d = e->dns;
    if (err == ERR_ABORTED && !d->closing) {
        io_defer_start(d->loop, &e->ask); // the servers were changed
        return;
    }
    e->asking = false;
    e->pins--;
    take_answer(d, e, err, records, n, ttl_ms);
    bool stale = err && may_serve_stale(d, e, loop_now_ms(d->loop));
    while (!list_empty(&e->waiting))
        settle(CONTAINER_OF(e->waiting.next, dns_query_t, links), stale ? 0 : err, stale);
}

static void on_ask(io_defer_t *defer)
{
    dns_entry_t *e = CONTAINER_OF(defer, dns_entry_t, ask);
    dns_net_ask(e->dns->net, e->name, e->type, on_answer, e);
}

static void wait_for(dns_query_t *q, bool have_stale)
{
    dns_entry_t *e = q->e;
    list_push_back(&e->waiting, &q->links);
    if (have_stale)
        io_timer_start(&q->patience, PATIENCE_MS);
    if (e->asking)
        return;
    e->asking = true;
    e->pins++;
    io_defer_start(q->d->loop, &e->ask);
}

static dns_entry_t *entry_for(dns_t *d, str_t name, dns_type_t type)
{
    dns_entry_t *e = dns_cache_find(&d->cache, name, type);
    if (!e) {
        e = dns_cache_add(&d->cache, name, type);
        e->dns = d;
        io_defer_init(&e->ask, on_ask);
    }
    return e;
}

static void look_in_cache(dns_query_t *q, str_t name, dns_type_t type)
{
    dns_t *d = q->d;
    uint64_t now = loop_now_ms(d->loop);
    dns_entry_t *e = q->e = entry_for(d, name, type);
    bool stale = may_serve_stale(d, e, now);
    e->pins++;
    if (is_fresh(e, now))
        settle(q, 0, false);
    else if (now < e->retry_ms)
        settle(q, stale ? 0 : e->err, stale);
    else
        wait_for(q, stale);
}

dns_query_t *dns_lookup(dns_t *d, str_t name, dns_type_t type,
                        void (*done)(void *arg, int err, const dns_answer_t *a), void *arg)
{
    dns_key_t k;
    dns_record_t local[LOCAL_MAX];
    ASSERT(done, "someone wants the answer");
    dns_query_t *q = mem_zalloc(sizeof *q);
    q->d = d;
    q->done = done;
    q->arg = arg;
    list_init(&q->links);
    io_defer_init(&q->ready, on_ready);
    io_timer_init(&q->patience, d->loop, on_patience_over);
    live_begin(d->loop);
    if (!to_key(name, &k)) {
        settle(q, ERR_DNS_NAME, false);
        return q;
    }
    unsigned n = type == DNS_ADDR ? answer_locally(d, k.name, local) : 0;
    if (n > 0) {
        q->local = mem_alloc(n * sizeof *local);
        q->n_local = n;
        memcpy(q->local, local, n * sizeof *local);
        settle(q, 0, false);
    } else {
        look_in_cache(q, k.name, type);
    }
    return q;
}

void dns_cancel(dns_query_t *q)
{
    query_destroy(q);
}

bool dns_is_local(dns_t *d, str_t name)
{
    dns_key_t k;
    dns_record_t local[LOCAL_MAX];
    return to_key(name, &k) && answer_locally(d, k.name, local) > 0;
}

int dns_cached(dns_t *d, str_t name, dns_type_t type, dns_answer_t *out)
{
    dns_key_t k;
    if (!to_key(name, &k))
        return ERR_DNS_NAME;
    unsigned n = type == DNS_ADDR ? answer_locally(d, k.name, d->local) : 0;
    if (n > 0) {
        *out = (dns_answer_t){.records = d->local, .n = n, .ttl_ms = LOCAL_TTL_MS};
        return 0;
    }
    uint64_t now = loop_now_ms(d->loop);
    const dns_entry_t *e = dns_cache_find(&d->cache, k.name, type);
    if (!e || (!is_fresh(e, now) && now >= e->retry_ms))
        return 1;
    bool stale = !is_fresh(e, now);
    if (stale && !may_serve_stale(d, e, now))
        return e->err;
    *out = answer_of(e, now, stale);
    return 0;
}

// ---- life ----

static void dns_destroy(dns_t *d)
{
    d->closing = true;
    for (list_t *n = d->cache.lru.next; n != &d->cache.lru; n = n->next) {
        dns_entry_t *e = CONTAINER_OF(n, dns_entry_t, lru);
        ASSERT(list_empty(&e->waiting), "nobody waits for a name when the loop ends");
        if (e->ask.pending) {
            io_defer_stop(&e->ask);
            e->asking = false;
            e->pins--;
        }
    }
    dns_net_destroy(d->net);
    dns_cache_dispose(&d->cache);
    hosts_dispose(&d->hosts);
    free(d);
}

static dns_opts_t with_defaults(dns_opts_t o)
{
    o.timeout_ms = o.timeout_ms ? o.timeout_ms : 2000;
    o.tries = o.tries ? o.tries : 3;
    o.negative_ms = o.negative_ms ? o.negative_ms : 1000;
    o.stale_ms = o.stale_ms ? o.stale_ms : 30000;
    return o;
}

static dns_t *dns_create(loop_t *l, const dns_opts_t *o)
{
    uint64_t seed;
    dns_t *d = mem_zalloc(sizeof *d);
    ssize_t n = getrandom(&seed, sizeof seed, 0);
    ASSERT(n == sizeof seed, "the system gives random bytes");
    d->loop = l;
    d->o = with_defaults(*o);
    d->net = dns_net_create(l, &d->o);
    dns_cache_init(&d->cache, seed);
    l->dns = d;
    l->dns_destroy = dns_destroy;
    return d;
}

dns_t *dns_of(loop_t *l)
{
    return l->dns ? l->dns : dns_create(l, &(dns_opts_t){0});
}

void dns_configure(loop_t *l, const dns_opts_t *o)
{
    dns_t *d = l->dns;
    if (!d) {
        dns_create(l, o);
        return;
    }
    dns_net_t *old = d->net;
    d->o = with_defaults(*o);
    d->net = dns_net_create(l, &d->o);
    dns_net_destroy(old); // what it was asked is asked again
}

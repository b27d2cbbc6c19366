// The pools: a small hash table of lists, newest connection first (it is the warmest, and the others may time out).
#include "core/pool.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "core/worker.h"

enum { BUCKETS = 256 };

struct pool {
    pool_t *next; // in its bucket
    pools_t *pools;
    unsigned refs; // holders and connections
    unsigned bucket;
    char *host, *sni; // owned
    size_t host_n, sni_n;
    uint16_t port;
    tls_ctx_t *tls; // acquired
    list_t idle;
    unsigned n_idle;
};

struct pools {
    worker_t *worker;
    pool_t *buckets[BUCKETS];
    unsigned n_idle, n_pools;
};

pools_t *pools_create(worker_t *w)
{
    pools_t *p = mem_zalloc(sizeof *p);
    p->worker = w;
    return p;
}

static void close_idle(pool_t *p)
{
    p->refs++; // the last connection's end would free it
    while (!list_empty(&p->idle)) {
        uconn_t *u = CONTAINER_OF(p->idle.next, uconn_t, links);
        list_unlink(&u->links);
        p->n_idle--;
        p->pools->n_idle--;
        uconn_close(u);
    }
    ASSERT(p->n_idle == 0, "idle connections are counted");
    pool_release(p);
}

void pools_close_idle(pools_t *p)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (pool_t *pool = p->buckets[i], *next; pool; pool = next) {
            next = pool->next;
            close_idle(pool);
        }
    }
}

unsigned pools_idle(const pools_t *p)
{
    return p->n_idle;
}

unsigned pools_count(const pools_t *p)
{
    return p->n_pools;
}

void pools_destroy(pools_t *p)
{
    pools_close_idle(p);
    ASSERT(p->n_pools == 0, "a connection or an exchange outlived the pools");
    free(p);
}

void pool_release(pool_t *p)
{
    ASSERT(p->refs > 0, "a pool is released once for each hold");
    if (--p->refs > 0)
        return;
    pool_t **at = &p->pools->buckets[p->bucket];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->pools->n_pools--;
    if (p->tls)
        tls_release(p->tls);
    free(p->host);
    free(p->sni);
    free(p);
}

static bool matches(const pool_t *p, const pool_key_t *key)
{
    return p->port == key->port && p->tls == key->tls &&
           str_eq(str_make(p->host, p->host_n), key->host) &&
           str_eq(str_make(p->sni, p->sni_n), key->sni);
}

static char *copy(str_t s)
{
    char *p = mem_alloc(s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

static pool_t *pool_create(pools_t *pools, const pool_key_t *key)
{
    pool_t *p = mem_zalloc(sizeof *p);
    p->pools = pools;
    p->host = copy(key->host);
    p->host_n = key->host.n;
    p->sni = copy(key->sni);
    p->sni_n = key->sni.n;
    p->port = key->port;
    p->tls = key->tls ? tls_acquire(key->tls) : NULL;
    list_init(&p->idle);
    return p;
}

pool_t *pools_acquire(pools_t *p, const pool_key_t *key)
{
    uint64_t seed = ((uint64_t)key->port << 1) | (key->tls != NULL);
    unsigned bucket = (unsigned)(str_hash(key->host, seed) % BUCKETS);
    pool_t *pool = p->buckets[bucket];
    while (pool && !matches(pool, key))
        pool = pool->next;
    if (!pool) {
        pool = pool_create(p, key);
        pool->bucket = bucket;
        pool->next = p->buckets[bucket];
        p->buckets[bucket] = pool;
        p->n_pools++;
    }
    pool->refs++;
    return pool;
}

// ---- idle connections ----

static void drop_idle(uconn_t *u)
{
    list_unlink(&u->links);
    ASSERT(u->pool->n_idle > 0, "an idle connection is counted");
    u->pool->n_idle--;
    u->pool->pools->n_idle--;
    uconn_close(u);
}

static void on_idle_data(sock_t *s, char *data, size_t n)
{
    (void)data, (void)n; // bytes nobody asked for: the connection cannot be trusted
    drop_idle(sock_owner(s));
}

static void on_idle_eof(sock_t *s)
{
    drop_idle(sock_owner(s));
}

static void on_idle_error(sock_t *s, int err)
{
    (void)err;
    drop_idle(sock_owner(s));
}

static void on_idle_drain(sock_t *s)
{
    (void)s;
}

static const sock_events_t IDLE_EVENTS = {.on_data = on_idle_data,
                                          .on_eof = on_idle_eof,
                                          .on_error = on_idle_error,
                                          .on_drain = on_idle_drain};

static void on_idle_timeout(io_timer_t *t)
{
    drop_idle(CONTAINER_OF(t, uconn_t, timer));
}

uconn_t *uconn_create(pool_t *p, sock_t *s)
{
    uconn_t *u = mem_zalloc(sizeof *u);
    u->sock = s;
    u->pool = p;
    p->refs++;
    list_init(&u->links);
    io_timer_init(&u->timer, sock_loop(s), on_idle_timeout);
    return u;
}

// The socket is closed by the caller.
static void uconn_free(uconn_t *u)
{
    pool_t *p = u->pool;
    ASSERT(list_empty(&u->links), "a connection leaves its pool before it is closed");
    io_timer_stop(&u->timer);
    free(u);
    pool_release(p);
}

void uconn_close(uconn_t *u)
{
    sock_close(u->sock);
    uconn_free(u);
}

void uconn_close_linger(uconn_t *u, unsigned linger_ms)
{
    sock_close_linger(u->sock, linger_ms);
    uconn_free(u);
}

uconn_t *pool_take(pool_t *p)
{
    if (list_empty(&p->idle))
        return NULL;
    uconn_t *u = CONTAINER_OF(p->idle.next, uconn_t, links);
    list_unlink(&u->links);
    p->n_idle--;
    p->pools->n_idle--;
    io_timer_stop(&u->timer);
    return u;
}

// The idle connection that will end first among those to p's address, under whatever name and identity; *n of them are idle.
static uconn_t *oldest_at_address(const pool_t *p, unsigned *n)
{
    uconn_t *oldest = NULL;
    *n = 0;
    for (const pool_t *q = p->pools->buckets[p->bucket]; q; q = q->next) {
        if (q->port != p->port ||
            !str_eq(str_make(q->host, q->host_n), str_make(p->host, p->host_n)) ||
            list_empty(&q->idle))
            continue;
        uconn_t *last = CONTAINER_OF(q->idle.prev, uconn_t, links);
        *n += q->n_idle;
        if (!oldest || last->timer.due_ms < oldest->timer.due_ms)
            oldest = last;
    }
    return oldest;
}

// Names may be the clients' choice (preserve_host): they share the room of their address.
static bool make_room(const pool_t *p)
{
    unsigned n, most = p->pools->worker->settings->upstream_keepalive_pool;
    if (p->n_idle >= most)
        return false;
    uconn_t *oldest = oldest_at_address(p, &n);
    if (n >= most)
        drop_idle(oldest);
    return true;
}

void pool_give(uconn_t *u)
{
    pool_t *p = u->pool;
    const worker_t *w = p->pools->worker;
    u->served++;
    if (u->served >= w->settings->upstream_keepalive_requests || w->stopping || !make_room(p)) {
        uconn_close(u);
        return;
    }
    sock_own(u->sock, &IDLE_EVENTS, u);
    sock_resume(u->sock);
    list_push_front(&p->idle, &u->links);
    p->n_idle++;
    p->pools->n_idle++;
    io_timer_start(&u->timer, w->settings->upstream_keepalive_ms);
}

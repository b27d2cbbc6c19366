// Idle connections of cosockets, by key, for all tasks of the worker. An idle connection that becomes readable, ends or fails is
// dropped. Invariant: a pool exists while it holds a connection.
#include "lua/socket.h"

#include "base/check.h"

typedef struct pool {
    list_t links; // bridge->socket_pools
    list_t idle;  // oldest first
    unsigned n;
    char key[];
} idle_pool_t;

typedef struct idle {
    list_t links;
    idle_pool_t *pool;
    sock_t *sock;
    unsigned reused;
    io_timer_t timer;
} idle_t;

static idle_pool_t *find(bridge_t *b, const char *key)
{
    for (list_t *i = b->socket_pools.next; i != &b->socket_pools; i = i->next) {
        idle_pool_t *p = CONTAINER_OF(i, idle_pool_t, links);
        if (strcmp(p->key, key) == 0)
            return p;
    }
    return NULL;
}

// Takes the entry out; the connection is the caller's.
static sock_t *take(idle_t *e)
{
    idle_pool_t *p = e->pool;
    sock_t *s = e->sock;
    io_timer_stop(&e->timer);
    list_unlink(&e->links);
    free(e);
    ASSERT(p->n > 0, "each idle connection is counted");
    if (--p->n == 0) {
        list_unlink(&p->links);
        free(p);
    }
    return s;
}

static void drop(sock_t *s)
{
    sock_close(take(sock_owner(s)));
}

static void on_idle_data(sock_t *s, char *data, size_t n)
{
    (void)data;
    (void)n;
    drop(s);
}

static void on_idle_error(sock_t *s, int err)
{
    (void)err;
    drop(s);
}

static void on_idle_drain(sock_t *s)
{
    (void)s;
}

static const sock_events_t idle_events = {.on_data = on_idle_data,
                                          .on_eof = drop,
                                          .on_error = on_idle_error,
                                          .on_drain = on_idle_drain};

static void on_idle_timeout(io_timer_t *t)
{
    sock_close(take(CONTAINER_OF(t, idle_t, timer)));
}

sock_t *idle_take(bridge_t *b, const char *key, unsigned *reused)
{
    idle_pool_t *p = find(b, key);
    if (!p)
        return NULL;
    idle_t *e = CONTAINER_OF(p->idle.prev, idle_t, links);
    *reused = e->reused;
    sock_t *s = take(e);
    sock_pause(s);
    return s;
}

void idle_put(bridge_t *b, const char *key, unsigned size, uint32_t idle_ms, sock_t *sock,
              unsigned reused)
{
    idle_pool_t *p = find(b, key);
    if (!p) {
        size_t n = strlen(key) + 1;
        p = mem_zalloc(sizeof *p + n);
        memcpy(p->key, key, n);
        list_init(&p->idle);
        list_init(&p->links);
        list_push_back(&b->socket_pools, &p->links);
    }
    idle_t *e = mem_zalloc(sizeof *e);
    e->pool = p;
    e->sock = sock;
    e->reused = reused;
    list_init(&e->links);
    list_push_back(&p->idle, &e->links);
    p->n++;
    io_timer_init(&e->timer, b->worker->loop, on_idle_timeout);
    if (idle_ms)
        io_timer_start(&e->timer, idle_ms);
    sock_own(sock, &idle_events, e);
    sock_resume(sock);
    if (p->n > (size ? size : 1))
        sock_close(take(CONTAINER_OF(p->idle.next, idle_t, links)));
}

void socket_pools_close(bridge_t *b)
{
    while (!list_empty(&b->socket_pools)) {
        idle_pool_t *p = CONTAINER_OF(b->socket_pools.next, idle_pool_t, links);
        sock_close(take(CONTAINER_OF(p->idle.next, idle_t, links)));
    }
}

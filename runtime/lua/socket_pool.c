// Pools of cosockets' connections, by key, for all tasks of the worker: idle ones to be taken again, and, where a size with a
// backlog was given, how many there may be at once and who waits for one. An idle connection that becomes readable, ends or fails
// is dropped. Invariant: a pool exists while it holds an idle connection or a cosocket is in it.
#include "lua/socket.h"

#include "base/check.h"

enum { SIZE_DEFAULT = 30 };

struct sock_pool {
    list_t links;   // bridge->socket_pools
    list_t idle;    // oldest first
    list_t waiters; // csock_t.queue, oldest first
    loop_t *loop;
    unsigned n_idle, n_seats, n_waiting, members;
    unsigned size; // 0: not said yet
    int backlog;   // -1: any number of connections
    char key[];
};

typedef struct idle {
    list_t links;
    sock_pool_t *pool;
    sock_t *sock;
    unsigned reused;
    io_timer_t timer;
} idle_t;

// ---- life ----

static sock_pool_t *find(const bridge_t *b, str_t key)
{
    for (list_t *i = b->socket_pools.next; i != &b->socket_pools; i = i->next) {
        sock_pool_t *p = CONTAINER_OF(i, sock_pool_t, links);
        if (str_eq(str_from(p->key), key))
            return p;
    }
    return NULL;
}

static sock_pool_t *create(bridge_t *b, str_t key, unsigned size, int backlog)
{
    sock_pool_t *p = mem_zalloc(sizeof *p + key.n + 1);
    memcpy(p->key, key.p, key.n);
    list_init(&p->links);
    list_init(&p->idle);
    list_init(&p->waiters);
    p->loop = b->worker->loop;
    p->size = size || backlog < 0 ? size : SIZE_DEFAULT;
    p->backlog = backlog;
    list_push_back(&b->socket_pools, &p->links);
    return p;
}

static void free_unused(sock_pool_t *p)
{
    if (p->n_idle > 0 || p->members > 0)
        return;
    ASSERT(p->n_seats == 0 && p->n_waiting == 0, "who is in a pool is a member");
    list_unlink(&p->links);
    free(p);
}

// ---- idle connections ----

// Takes the entry out; the connection is the caller's.
static sock_t *take(idle_t *e)
{
    sock_pool_t *p = e->pool;
    sock_t *s = e->sock;
    io_timer_stop(&e->timer);
    list_unlink(&e->links);
    free(e);
    ASSERT(p->n_idle > 0, "each idle connection is counted");
    p->n_idle--;
    free_unused(p);
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

sock_t *sockpool_take(csock_t *s)
{
    sock_pool_t *p = s->pool;
    ASSERT(p && s->seated, "only who has a seat takes a connection");
    if (p->n_idle == 0)
        return NULL;
    idle_t *e = CONTAINER_OF(p->idle.prev, idle_t, links);
    s->reused = e->reused + 1;
    sock_t *sock = take(e);
    sock_pause(sock);
    return sock;
}

void sockpool_put(csock_t *s, unsigned size, uint32_t idle_ms)
{
    sock_pool_t *p = s->pool;
    ASSERT(p && s->sock, "a connection of a pool goes back to it");
    if (p->size == 0)
        p->size = size ? size : SIZE_DEFAULT;
    idle_t *e = mem_zalloc(sizeof *e);
    e->pool = p;
    e->sock = s->sock;
    e->reused = s->reused;
    s->sock = NULL;
    list_init(&e->links);
    list_push_back(&p->idle, &e->links);
    p->n_idle++;
    io_timer_init(&e->timer, sock_loop(e->sock), on_idle_timeout);
    if (idle_ms)
        io_timer_start(&e->timer, idle_ms);
    sock_own(e->sock, &idle_events, e);
    sock_resume(e->sock);
    if (p->n_idle > p->size)
        sock_close(take(CONTAINER_OF(p->idle.next, idle_t, links)));
}

// ---- seats: connections in use ----

static void seat(csock_t *s)
{
    s->seated = true;
    s->pool->n_seats++;
}

sockpool_entry_t sockpool_enter(bridge_t *b, csock_t *s, str_t key, unsigned size, int backlog)
{
    ASSERT(!s->pool, "a cosocket is in one pool at a time");
    sock_pool_t *p = find(b, key);
    if (!p)
        p = create(b, key, size, backlog);
    s->pool = p;
    p->members++;
    if (p->n_idle > 0 || p->backlog < 0 || p->n_seats < p->size) {
        seat(s);
        return POOL_SEATED;
    }
    if (p->n_waiting >= (unsigned)p->backlog) {
        sockpool_leave(s);
        return POOL_FULL;
    }
    list_push_back(&p->waiters, &s->queue);
    p->n_waiting++;
    return POOL_QUEUED;
}

static void stop_waiting(csock_t *s)
{
    list_unlink(&s->queue);
    ASSERT(s->pool->n_waiting > 0, "each waiter is counted");
    s->pool->n_waiting--;
}

// Gives a free seat to the first in the queue, who is told at the end of this turn.
static void call_next(sock_pool_t *p)
{
    if (p->n_waiting == 0 || p->n_seats >= p->size)
        return;
    csock_t *next = CONTAINER_OF(p->waiters.next, csock_t, queue);
    stop_waiting(next);
    seat(next);
    io_defer_start(p->loop, &next->turn);
}

void sockpool_leave(csock_t *s)
{
    sock_pool_t *p = s->pool;
    if (!p)
        return;
    io_defer_stop(&s->turn);
    if (s->seated) {
        ASSERT(p->n_seats > 0, "each seat is counted");
        p->n_seats--;
        s->seated = false;
        call_next(p);
    } else if (!list_empty(&s->queue)) {
        stop_waiting(s);
    }
    s->pool = NULL;
    p->members--;
    free_unused(p);
}

void socket_pools_close(bridge_t *b)
{
    list_t *next;
    for (list_t *i = b->socket_pools.next; i != &b->socket_pools; i = next) {
        sock_pool_t *p = CONTAINER_OF(i, sock_pool_t, links);
        next = i->next;
        for (unsigned n = p->n_idle; n > 0; n--)
            sock_close(take(CONTAINER_OF(p->idle.next, idle_t, links)));
    }
}

// Trust anchors, read once for a worker; see anchors.h. Invariant: `store` is set on the loop only, the pool thread has `ahead`.
#include "core/anchors.h"

#include <stdlib.h>

#include "base/check.h"

struct anchors {
    loop_t *loop;
    str_t ca_pem;
    tls_store_t *store; // NULL: not read yet
    bool busy;
    tls_store_t *ahead; // what the pool thread has read
};

static void work(void *arg)
{
    anchors_t *a = arg;
    const char *why;
    if (tls_store_create(a->ca_pem, &a->ahead, &why) != 0)
        a->ahead = NULL; // whoever needs it will fail too, and say why
}

static void done(void *arg)
{
    anchors_t *a = arg;
    ASSERT(a->busy, "only a reading under way ends");
    a->busy = false;
    if (a->store)
        tls_store_release(a->ahead);
    else
        a->store = a->ahead;
    a->ahead = NULL;
}

anchors_t *anchors_create(loop_t *l, str_t ca_pem)
{
    anchors_t *a = mem_zalloc(sizeof *a);
    a->loop = l;
    a->ca_pem = ca_pem;
    return a;
}

void anchors_destroy(anchors_t *a)
{
    if (!a)
        return;
    while (a->busy)
        loop_turn(a->loop, 10);
    tls_store_release(a->store);
    free(a);
}

void anchors_read_ahead(anchors_t *a)
{
    if (a->store || a->busy)
        return;
    a->busy = true;
    loop_queue_work(a->loop, work, done, a);
}

tls_store_t *anchors_get(anchors_t *a, const char **why)
{
    if (!a->store && tls_store_create(a->ca_pem, &a->store, why) != 0)
        a->store = NULL;
    return a->store;
}

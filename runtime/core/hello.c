// Between a listener and the script: who waits, who has gone.
#include "core/hello.h"

#include <stdlib.h>

#include "base/check.h"
#include "core/worker.h"
#include "io/hello.h"

static void hello_free(hello_t *h)
{
    ASSERT(!h->script, "a hello's task has ended before it");
    list_unlink(&h->links);
    generation_release(h->gen);
    free(h);
}

hello_result_t hello_begin(void *worker, sock_t *s)
{
    worker_t *w = worker;
    if (!w->gen || !(generation_global_phases(w->gen) & PHASE_CERTIFICATE))
        return HELLO_GO;
    hello_t *h = mem_zalloc(sizeof *h);
    h->worker = w;
    h->gen = generation_acquire(w->gen);
    h->sock = s;
    list_init(&h->links);
    script_result_t result = w->script->enter_certificate(h);
    if (result == SCRIPT_WAITING) {
        list_push_back(&w->hellos, &h->links);
        return HELLO_HELD;
    }
    hello_free(h);
    return result == SCRIPT_DONE ? HELLO_GO : HELLO_REFUSED;
}

void hello_gone(void *worker, sock_t *s)
{
    worker_t *w = worker;
    for (list_t *l = w->hellos.next; l != &w->hellos; l = l->next) {
        hello_t *h = CONTAINER_OF(l, hello_t, links);
        if (h->sock != s)
            continue;
        w->script->abort_certificate(h);
        hello_free(h);
        return;
    }
    UNREACHABLE("a held handshake is listed");
}

void hello_end(hello_t *h, bool ok)
{
    sock_t *s = h->sock;
    hello_free(h);
    sock_hello_end(s, ok);
}

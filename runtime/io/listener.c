// Binding, and accepting in small batches; TLS handshakes are done before the owner hears of a
// socket. Invariant: when descriptors run out, accepting rests for a moment instead of spinning
// on a readable listener.
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "io/tls_pump.h"

enum { ACCEPT_BATCH = 32, REST_MS = 100, HANDSHAKE_MS = 10 * 1000, LINGER_MS = 500 };

struct listener {
    uv_poll_t poll;
    int fd;    // a duplicate of the borrowed one: the same fd may be listened on twice
    int spare; // given up to accept and close when descriptors run out; -1: could not be had
    listener_opts_t o;
    loop_t *loop;
    io_timer_t rest;
    list_t handshakes;
    bool paused;    // by the owner
    bool exhausted; // logged; until an accept succeeds again
    bool closing;
};

// A socket not yet the owner's.
typedef struct handshake {
    list_t links;
    listener_t *k;
    sock_t *s;
} handshake_t;

// ---- binding ----

// A unix socket file nobody listens on any more (its server crashed) is in the way: removes it.
static bool remove_stale(const addr_t *a)
{
    if (a->sa.sa_family != AF_UNIX)
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, &a->sa, (socklen_t)addr_len(a)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale && unlink(a->un.sun_path) == 0;
}

static int bind_to(int fd, const addr_t *a)
{
    socklen_t n = (socklen_t)addr_len(a);
    if (bind(fd, &a->sa, n) == 0)
        return 0;
    int err = errno;
    if (err == EADDRINUSE && remove_stale(a))
        return bind(fd, &a->sa, n) == 0 ? 0 : io_err(-errno);
    return io_err(-err);
}

static void set_on(int fd, int level, int option)
{
    int on = 1; // an option the address family does not know is no failure
    (void)setsockopt(fd, level, option, &on, sizeof on);
}

int listen_bind(const addr_t *a, int backlog, bool reuseport, int *out)
{
    ASSERT(backlog > 0, "a listener has a backlog");
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return io_err(-errno);
    set_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (reuseport)
        set_on(fd, SOL_SOCKET, SO_REUSEPORT);
    if (a->sa.sa_family == AF_INET6)
        set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    int rc = bind_to(fd, a);
    if (rc == 0 && listen(fd, backlog) != 0)
        rc = io_err(-errno);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

// ---- accepting ----

static void on_acceptable(uv_poll_t *handle, int status, int events);

static void poll_start(listener_t *k)
{
    int rc = uv_poll_start(&k->poll, UV_READABLE, on_acceptable);
    ASSERT(rc == 0, "a listening descriptor can be polled");
}

static void on_rest_over(io_timer_t *t)
{
    listener_t *k = CONTAINER_OF(t, listener_t, rest);
    if (!k->paused)
        poll_start(k);
}

static void spare_open(listener_t *k)
{
    k->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// No descriptor is free: the first in the queue is told so by a close, the others wait.
static void on_exhausted(listener_t *k, int code)
{
    if (!k->exhausted)
        log_write(LOG_CRIT, "accept: %s; accepting rests %d ms at a time (raise RLIMIT_NOFILE)",
                  strerror(code), (int)REST_MS);
    k->exhausted = true;
    if (k->spare >= 0) {
        close(k->spare);
        int fd = accept4(k->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
    }
    spare_open(k);
    uv_poll_stop(&k->poll);
    io_timer_start(&k->rest, REST_MS);
}

// In clear, below TLS. What the peer still sends is dropped.
static void answer_plain(sock_t *s, str_t answer)
{
    uv_buf_t b = {.base = (char *)(uintptr_t)answer.p, .len = answer.n};
    (void)sock_raw_write(s, &b, 1); // a peer that has gone needs no answer
    sock_close_linger(s, LINGER_MS);
}

static void on_handshake(void *arg, sock_t *s, int err, const char *why)
{
    handshake_t *h = arg;
    listener_t *k = h->k;
    list_unlink(&h->links);
    free(h);
    if (err == 0) {
        k->o.on_accept(k->o.arg, s);
        return;
    }
    addr_t peer = *sock_peer(s);
    if (err == ERR_TLS_PLAIN && k->o.plain_answer.n)
        answer_plain(s, k->o.plain_answer);
    else
        sock_close(s);
    if (k->o.on_tls_error)
        k->o.on_tls_error(k->o.arg, &peer, err, why);
}

static void accepted(listener_t *k, int fd, const addr_t *peer)
{
    sock_t *s = sock_open_fd(k->loop, fd, peer);
    if (!s)
        return;
    if (!k->o.tls) {
        k->o.on_accept(k->o.arg, s);
        return;
    }
    handshake_t *h = mem_alloc(sizeof *h);
    *h = (handshake_t){.k = k, .s = s};
    list_push_back(&k->handshakes, &h->links);
    pump_begin(s, k->o.tls, (str_t){0}, k->o.handshake_timeout_ms, on_handshake, h);
    if (k->o.on_hello)
        pump_ask(s, k->o.on_hello, k->o.on_hello_gone, k->o.arg);
}

// One connection. False when there is none to be had now.
static bool accept_one(listener_t *k)
{
    addr_t peer = {0};
    socklen_t n = sizeof peer;
    int fd = accept4(k->fd, &peer.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        k->exhausted = false;
        accepted(k, fd, &peer);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        on_exhausted(k, errno);
        return false;
    default:
        return true; // that one connection died in the queue
    }
}

static void on_acceptable(uv_poll_t *handle, int status, int events)
{
    listener_t *k = CONTAINER_OF(handle, listener_t, poll);
    (void)status; // accept tells what is wrong
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (k->closing || k->paused || !accept_one(k))
            return;
    }
}

listener_t *listener_start(loop_t *l, const listener_opts_t *o)
{
    ASSERT(o->on_accept && o->fd >= 0, "a listener has a descriptor and an owner");
    listener_t *k = mem_zalloc(sizeof *k);
    k->o = *o;
    if (o->tls)
        tls_acquire(o->tls);
    if (!o->handshake_timeout_ms)
        k->o.handshake_timeout_ms = HANDSHAKE_MS;
    list_init(&k->handshakes);
    k->loop = l;
    k->fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
    ASSERT(k->fd >= 0, "the listening descriptor is open and one more is to be had");
    set_on(k->fd, IPPROTO_TCP, TCP_NODELAY); // accepted sockets inherit it
    spare_open(k);
    io_timer_init(&k->rest, l, on_rest_over);
    int rc = uv_poll_init(&l->uv, &k->poll, k->fd);
    ASSERT(rc == 0, "a listening descriptor can be polled");
    live_begin(l);
    poll_start(k);
    return k;
}

static void on_listener_closed(uv_handle_t *handle)
{
    listener_t *k = CONTAINER_OF(handle, listener_t, poll);
    live_end(k->loop);
    free(k);
}

void listener_stop(listener_t *k)
{
    ASSERT(!k->closing, "a listener is stopped once");
    k->closing = true;
    io_timer_stop(&k->rest);
    while (!list_empty(&k->handshakes)) {
        handshake_t *h = CONTAINER_OF(k->handshakes.next, handshake_t, links);
        list_unlink(&h->links);
        sock_close(h->s);
        free(h);
    }
    tls_release(k->o.tls);
    uv_close((uv_handle_t *)&k->poll, on_listener_closed);
    close(k->fd);
    if (k->spare >= 0)
        close(k->spare);
}

void listener_pause(listener_t *k)
{
    ASSERT(!k->closing, "a running listener is paused");
    k->paused = true;
    uv_poll_stop(&k->poll);
}

void listener_resume(listener_t *k)
{
    ASSERT(!k->closing, "a running listener is resumed");
    k->paused = false;
    if (!io_timer_active(&k->rest))
        poll_start(k);
}

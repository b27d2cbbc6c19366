// The plain byte stream over uv_tcp_t: reading into the loop's buffer, writing at once,
// queueing only the rest. TLS sits on top in tls_pump.c; listening and connecting are
// listener.c and connector.c. Invariant: one uv_write in flight at most; later bytes wait in
// `pending`, so order is kept.
#include "io/sock.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/tls_pump.h"

enum { IOV_MAX_SLICES = 64 };

struct sock_out {
    uv_write_t req;
    sock_t *s;
    buf_t flying;  // libuv's until on_written
    buf_t pending; // behind it
};

struct sock_linger {
    list_t links; // loop->lingering
    io_timer_t timer;
    sock_t *s;
    unsigned ms;
    size_t pending; // at the last look
};

// ---- life ----

sock_t *sock_new(loop_t *l)
{
    sock_t *s = mem_zalloc(sizeof *s);
    int rc = uv_tcp_init(&l->uv, &s->uv);
    ASSERT(rc == 0, "a TCP handle without a socket can always be made");
    s->paused = true;
    live_begin(l);
    return s;
}

sock_t *sock_open_fd(loop_t *l, int fd, const addr_t *peer)
{
    sock_t *s = sock_new(l);
    s->peer = *peer;
    if (uv_tcp_open(&s->uv, fd) == 0)
        return s;
    close(fd);
    sock_close(s);
    return NULL;
}

static void out_destroy(sock_out_t *o)
{
    if (!o)
        return;
    buf_dispose(&o->flying);
    buf_dispose(&o->pending);
    free(o);
}

static void on_closed(uv_handle_t *handle)
{
    sock_t *s = CONTAINER_OF(handle, sock_t, uv);
    live_end(loop_of(handle->loop));
    out_destroy(s->out);
    pump_destroy(s->tls);
    free(s->linger);
    free(s->local);
    free(s);
}

static void close_now(sock_t *s)
{
    ASSERT(!s->closing, "a socket is closed once");
    s->closing = true;
    if (s->linger) {
        io_timer_stop(&s->linger->timer);
        list_unlink(&s->linger->links);
    }
    if (s->tls)
        pump_stop(s->tls);
    uv_close((uv_handle_t *)&s->uv, on_closed);
}

void sock_close(sock_t *s)
{
    ASSERT(!s->closing, "a socket is closed once");
    if (s->tls && !s->out)
        pump_notify_close(s->tls); // the peer should not take this for a cut
    close_now(s);
}

void sock_reset(sock_t *s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int fd = sock_fd(s);
    if (fd >= 0) // a failure only means that the peer sees an end instead of an abort
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close_now(s);
}

void sock_own(sock_t *s, const sock_events_t *ev, void *owner)
{
    ASSERT(!s->closing, "a closing socket has no owner");
    ASSERT(ev && ev->on_data && ev->on_eof && ev->on_error && ev->on_drain,
           "an owner hears all");
    s->ev = ev;
    s->owner = owner;
}

static void stop_reading(sock_t *s)
{
    if (s->reading)
        uv_read_stop((uv_stream_t *)&s->uv);
    s->reading = false;
}

static bool in_handshake(const sock_t *s)
{
    return s->tls && !pump_ready(s->tls);
}

void sock_fail(sock_t *s, int err)
{
    s->read_failed = s->write_failed = true;
    stop_reading(s);
    if (s->linger)
        close_now(s);
    else if (in_handshake(s))
        pump_failed(s->tls, err);
    else if (s->ev)
        s->ev->on_error(s, err);
}

// ---- reading ----

static void ask_for_room(sock_t *s, uv_buf_t *buf)
{
    size_t n = 0;
    char *p = s->ev->room(s, &n);
    if (!p)
        return;
    ASSERT(n > 0, "room is for a byte at least");
    *buf = (uv_buf_t){.base = p, .len = n};
}

// No room while paused: libuv then reads nothing and says UV_ENOBUFS.
static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    sock_t *s = CONTAINER_OF(handle, sock_t, uv);
    (void)hint;
    buf->base = loop_of(handle->loop)->read_buf;
    buf->len = s->paused ? 0 : READ_BUF_BYTES;
    if (!s->paused && !s->tls && !s->linger && s->ev && s->ev->room)
        ask_for_room(s, buf);
#ifdef STRESS
    buf->len = s->paused ? 0 : 1;
#endif
}

void sock_ended(sock_t *s)
{
    s->eof = true;
    stop_reading(s);
    if (s->linger)
        close_now(s);
    else if (s->ev)
        s->ev->on_eof(s);
}

static void on_end(sock_t *s)
{
    if (s->tls && !s->linger) {
        s->eof = true;
        pump_end(s->tls);
    } else {
        sock_ended(s);
    }
}

static void on_bytes(sock_t *s, char *data, size_t n)
{
    if (s->linger)
        return;
    if (s->tls) {
        pump_feed(s->tls, data, n);
        return;
    }
    ASSERT(s->ev, "a socket that reads has an owner");
    s->bytes_in += n;
    s->ev->on_data(s, data, n);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    sock_t *s = CONTAINER_OF(stream, sock_t, uv);
    if (s->closing || n == 0)
        return;
    if (n > 0) {
        on_bytes(s, buf->base, (size_t)n);
        return;
    }
    s->reading = false;
    if (n == UV_ENOBUFS && s->paused) {
        uv_read_stop(stream);
    } else if (n == UV_EOF && s->paused) {
        return; // libuv saw a hangup behind the last bytes; reading after a resume finds it
                // again
    } else if (n == UV_EOF) {
        on_end(s);
    } else {
        sock_fail(s, io_err((int)n));
    }
}

void sock_raw_read(sock_t *s)
{
    if (s->reading || s->eof || s->read_failed)
        return;
    int rc = uv_read_start((uv_stream_t *)&s->uv, on_alloc, on_read);
    ASSERT(rc == 0, "a connected socket can be read");
    s->reading = true;
}

void sock_resume(sock_t *s)
{
    ASSERT(!s->closing && s->ev, "an open socket with an owner is read");
    s->paused = false;
    sock_raw_read(s);
    if (s->tls)
        pump_resume(s->tls);
}

void sock_pause(sock_t *s)
{
    ASSERT(!s->closing, "an open socket is paused");
    s->paused = true; // libuv stops only if bytes come meanwhile
}

bool sock_paused(const sock_t *s)
{
    return s->paused;
}

// ---- writing ----

static void send_fin(sock_t *s)
{
    if (s->fin_sent || s->write_failed)
        return;
    s->fin_sent = true;
    (void)shutdown(sock_fd(s),
                   SHUT_WR); // fails only when the peer is gone, which reading tells
}

static void on_drained(sock_t *s)
{
    if (s->fin_wanted)
        send_fin(s);
    if (s->linger && s->eof)
        close_now(s); // both sides are done
    else if (!s->linger && !in_handshake(s) && s->ev)
        s->ev->on_drain(s);
}

static void on_written(uv_write_t *req, int status);

// Hands what is pending to libuv. 0 or ERR_*.
static int launch(sock_t *s)
{
    sock_out_t *o = s->out;
    buf_dispose(&o->flying);
    o->flying = o->pending;
    o->pending = (buf_t){0};
    str_t bytes = buf_str(&o->flying);
    uv_buf_t b = {.base = (char *)bytes.p, .len = bytes.n};
    int rc = uv_write(&o->req, (uv_stream_t *)&s->uv, &b, 1, on_written);
    if (rc != 0)
        s->write_failed = true;
    return io_err(rc);
}

// A peer that answers early and closes resets our writing, yet its answer is there to be read:
// a reader who is at it gets that, and then the end or the error. Others are told now.
static void on_write_failed(sock_t *s, int err)
{
    s->write_failed = true;
    if (!s->reading || s->paused || s->linger)
        sock_fail(s, err);
}

static void on_written(uv_write_t *req, int status)
{
    sock_out_t *o = CONTAINER_OF(req, sock_out_t, req);
    sock_t *s = o->s;
    if (s->closing)
        return;
    if (status == 0 && o->pending.n > 0) {
        if (launch(s) == 0)
            return;
        status = UV_EPIPE;
    }
    s->out = NULL;
    out_destroy(o);
    if (status == 0)
        on_drained(s);
    else
        on_write_failed(s, io_err(status));
}

// Copies what is left of bufs after `skip` bytes.
static int queue_rest(sock_t *s, const uv_buf_t *bufs, unsigned n, size_t skip)
{
    bool idle = s->out == NULL;
    if (idle) {
        s->out = mem_zalloc(sizeof *s->out);
        s->out->s = s;
    }
    for (unsigned i = 0; i < n; i++) {
        size_t drop = skip < bufs[i].len ? skip : bufs[i].len;
        skip -= drop;
        if (bufs[i].len > drop)
            buf_append(&s->out->pending, str_make(bufs[i].base + drop, bufs[i].len - drop));
    }
    return idle ? launch(s) : 0;
}

int sock_raw_write(sock_t *s, uv_buf_t *bufs, unsigned n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += bufs[i].len;
    if (s->write_failed)
        return ERR_RESET;
    if (total == 0)
        return 0;
    if (s->out)
        return queue_rest(s, bufs, n, 0);
#ifdef STRESS
    uv_buf_t first = {.base = bufs[0].base, .len = bufs[0].len > 0};
    int rc = first.len ? uv_try_write((uv_stream_t *)&s->uv, &first, 1) : 0;
#else
    int rc = uv_try_write((uv_stream_t *)&s->uv, bufs, n);
#endif
    if (rc == UV_EAGAIN)
        rc = 0;
    if (rc < 0) {
        s->write_failed = true;
        return io_err(rc);
    }
    return (size_t)rc == total ? 0 : queue_rest(s, bufs, n, (size_t)rc);
}

int sock_write(sock_t *s, const str_t *iov, unsigned n)
{
    uv_buf_t bufs[IOV_MAX_SLICES];
    ASSERT(!s->closing && n <= IOV_MAX_SLICES, "an open socket is written, 64 slices at most");
    if (s->write_failed || s->fin_wanted)
        return ERR_RESET;
    for (unsigned i = 0; i < n; i++) {
        bufs[i] = (uv_buf_t){.base = (char *)iov[i].p, .len = iov[i].n};
        s->bytes_out += iov[i].n;
    }
    return s->tls ? pump_write(s->tls, iov, n) : sock_raw_write(s, bufs, n);
}

size_t sock_pending(const sock_t *s)
{
    return s->out ? s->uv.write_queue_size + s->out->pending.n : 0;
}

void sock_shutdown(sock_t *s)
{
    ASSERT(!s->closing, "an open socket is shut down");
    if (s->tls)
        pump_notify_close(s->tls);
    s->fin_wanted = true;
    if (!s->out)
        send_fin(s);
}

// ---- lingering close ----

// While the queue drains, the peer may take linger_ms for any progress; after it, for the end.
static void on_linger(io_timer_t *t)
{
    sock_linger_t *g = CONTAINER_OF(t, sock_linger_t, timer);
    size_t left = sock_pending(g->s);
    bool moved = g->pending != left;
    g->pending = left;
    if (moved)
        io_timer_start(t, g->ms);
    else
        sock_close(g->s);
}

static void linger_end(loop_t *l)
{
    while (!list_empty(&l->lingering))
        sock_close(CONTAINER_OF(l->lingering.next, sock_linger_t, links)->s);
}

void sock_close_linger(sock_t *s, unsigned linger_ms)
{
    ASSERT(!s->closing && !s->linger, "a socket is closed once");
    if (s->write_failed || linger_ms == 0 || (s->eof && !s->out)) {
        sock_close(s);
        return;
    }
    sock_linger_t *g = mem_zalloc(sizeof *g);
    g->s = s;
    g->ms = linger_ms;
    g->pending = sock_pending(s);
    sock_loop(s)->linger_end = linger_end;
    list_push_back(&sock_loop(s)->lingering, &g->links);
    io_timer_init(&g->timer, sock_loop(s), on_linger);
    io_timer_start(&g->timer, linger_ms);
    sock_shutdown(s);
    s->linger = g;
    s->paused = false;
    sock_raw_read(s);
}

// ---- what is known of a socket ----

void *sock_owner(const sock_t *s)
{
    return s->owner;
}

loop_t *sock_loop(const sock_t *s)
{
    return loop_of(s->uv.loop);
}

const addr_t *sock_peer(const sock_t *s)
{
    return &s->peer;
}

const addr_t *sock_local(const sock_t *s)
{
    sock_t *mut = (sock_t *)s; // only fills a cache
    if (!s->local) {
        socklen_t n = sizeof(addr_t);
        mut->local = mem_zalloc(sizeof(addr_t));
        if (getsockname(sock_fd(s), &mut->local->sa, &n) != 0)
            *mut->local = (addr_t){0}; // closed under us: an unset address
    }
    return s->local;
}

int sock_fd(const sock_t *s)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)&s->uv, &fd) == 0 ? fd : -1;
}

uint64_t sock_bytes_in(const sock_t *s)
{
    return s->bytes_in;
}

uint64_t sock_bytes_out(const sock_t *s)
{
    return s->bytes_out;
}

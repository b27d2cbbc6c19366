// Client connections: bytes in order become heads and bodies of one request at a time. Not: what a request does (request.c),
// nor what is written back (respond.c). Invariant: while a request is under way, bytes behind its body wait in `in`
// (at most PIPELINE_MAX, then the socket is not read).
#include "core/conn.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/exchange.h"
#include "core/respond.h"
#include "core/stats.h"
#include "core/worker.h"

enum {
    PIPELINE_MAX = 64 * 1024,
    HANGUP_CHECK_MS = 50,
    LENT_CHECK_MS = 1000,
    QUIET_MS = 1000,
    TLS_HANDSHAKE = 0x16
};

static void conn_advance(conn_t *c, const char *p, size_t n);

static void conn_free(conn_t *c)
{
    worker_t *w = c->worker;
    ASSERT(!c->req && !c->busy, "a connection outlives its request");
    io_timer_stop(&c->timer);
    io_timer_stop(&c->write_timer);
    list_unlink(&c->links);
    ASSERT(w->n_conns > 0, "a connection is counted");
    w->n_conns--;
    stat_fixed_add(SF_CONN_ACTIVE, -1);
    free(c->in);
    free(c);
    if (w->draining)
        worker_check_drained(w);
}

// Ends the connection with how(socket); a request under way learns that its client has gone.
static void conn_end(conn_t *c, void (*how)(sock_t *s))
{
    if (c->closing)
        return;
    c->closing = true;
    request_t *r = c->req;
    c->req = NULL;
    if (r) {
        r->conn = NULL;
        request_on_client_gone(r);
    }
    ASSERT(!c->lent, "a request gives its connection back before it ends");
    how(c->sock);
    if (!c->busy)
        conn_free(c);
}

void conn_close(conn_t *c, bool reset)
{
    conn_end(c, reset ? sock_reset : sock_close);
}

static void linger(sock_t *s)
{
    sock_close_linger(s, worker_self->settings->lingering_ms);
}

void conn_leave(conn_t *c, bool with_linger)
{
    ASSERT(!c->req, "a connection leaves without a request");
    if (c->closing || c->leaving)
        return;
    if (!sock_pending(c->sock)) {
        conn_end(c, with_linger ? linger : sock_close);
        return;
    }
    c->leaving = true;
    io_timer_stop(&c->timer);
    conn_watch_writer(c);
    sock_resume(c->sock); // to hear when the client gives up
}

bool conn_has_work(const conn_t *c)
{
    return !c->closing && (c->req || c->in_n || sock_pending(c->sock));
}

// Keeps bytes for later behind those kept already.
static void stash(conn_t *c, const char *p, size_t n)
{
    if (n == 0)
        return;
    size_t need = c->in_n + n;
    ASSERT(need < UINT32_MAX, "a connection keeps bounded bytes");
    if (need > c->in_cap) {
        size_t cap = need < 1024 ? 1024 : need * 2;
        c->in = mem_realloc(c->in, cap);
        c->in_cap = (uint32_t)cap;
    }
    memcpy(c->in + c->in_n, p, n);
    c->in_n = (uint32_t)need;
}

bool conn_is_old(const conn_t *c)
{
    return c->old_at_ms && loop_now_ms(c->worker->loop) >= c->old_at_ms;
}

// The age is longer by a part that differs: connections made together do not end together.
static void set_age(conn_t *c)
{
    const settings_t *s = c->worker->settings;
    if (!s->max_connection_age_ms)
        return;
    uint64_t chance = (clock_mono_us() ^ (uintptr_t)c) * 0x9e3779b97f4a7c15ULL >> 48;
    uint64_t more = (uint64_t)s->max_connection_age_ms * s->max_connection_age_jitter / 100;
    c->old_at_ms =
        loop_now_ms(c->worker->loop) + s->max_connection_age_ms + (more * chance >> 16);
}

// How long an idle connection waits for its next request. At its greatest age it is closed when it has been quiet for a moment: who
// is about to ask again is told by the answer.
static uint64_t idle_ms(const conn_t *c)
{
    uint64_t ms = c->worker->settings->keepalive_timeout_ms;
    if (!c->old_at_ms)
        return ms;
    uint64_t now = loop_now_ms(c->worker->loop);
    uint64_t left = c->old_at_ms > now + QUIET_MS ? c->old_at_ms - now : QUIET_MS;
    return left < ms ? left : ms;
}

// The deadline of a head is absolute, counted from its first byte, or from the beginning of the connection.
static void await_head(conn_t *c, bool first_byte_came)
{
    const settings_t *s = c->worker->settings;
    bool fresh = c->served == 0;
    bool counted = first_byte_came ? c->heading || fresh : fresh;
    c->heading = first_byte_came;
    if (counted && io_timer_active(&c->timer))
        return;
    io_timer_start(&c->timer, first_byte_came || fresh ? s->header_timeout_ms : idle_ms(c));
}

// Nothing more can be read, so the kernel is asked now and then whether the client is still there.
static void watch_hangup(conn_t *c)
{
    c->paused = true;
    io_timer_start(&c->timer, HANGUP_CHECK_MS);
}

// A head that cannot be completed gets its answer through a request of its own, so that it is logged and counted like any.
static void refuse(conn_t *c, unsigned status, const char *why)
{
    request_t *r = request_begin(c, NULL, 0);
    r->exit_reason = str_from(why);
    c->req = r;
    respond_error(r, status, NULL);
}

// One head out of p[0..n): its length, 0 when more is needed, or SIZE_MAX after an answer.
static size_t take_head(conn_t *c, const char *p, size_t n)
{
    const head_limits_t *limits = &c->worker->limits;
    size_t scanned = c->scanned;
    size_t end = head_find_end(p, n, &scanned);
    c->scanned = (uint32_t)scanned;
    size_t held = end ? end : n;
    if (!limits->head_max_bytes || held <= limits->head_max_bytes)
        return end;
    int status = head_overflow_status(p, held, limits);
    refuse(c, (unsigned)status, status == 414 ? "request line too long" : "head too large");
    return SIZE_MAX;
}

static void begin_request(conn_t *c, const char *head, size_t n, str_t *rest)
{
    io_timer_stop(&c->timer);
    c->scanned = 0;
    c->heading = false;
    c->served++;
    request_t *r = request_begin(c, head, n);
    c->req = r;
    request_hold(r);
    request_feed_body(r, rest);
    if (!r->finished)
        request_start(r);
    request_drop(r);
}

// Bytes of the next requests wait here; no more are read until this request has ended.
static void bound_pipeline(conn_t *c)
{
    if (c->in_n >= PIPELINE_MAX)
        conn_pause_body(c);
}

// Bytes that came together with what made a plugin take the connection are the plugin's. May end the request.
static void pass_on(conn_t *c, str_t *rest)
{
    if (!c->lent)
        return;
    ASSERT(c->busy, "who ends the connection meanwhile leaves its memory to us");
    str_t bytes = *rest;
    *rest = str_make(bytes.p, 0);
    c->lent_in -= bytes.n; // came in the read that held the head: the borrower's too
    if (bytes.n)
        c->lent->on_data(c->sock, (char *)(uintptr_t)bytes.p, bytes.n);
}

// Works through p[0..n) until a request is under way or more bytes are needed.
static void advance_over(conn_t *c, str_t rest)
{
    while (!c->closing && !c->leaving && !c->req && rest.n) {
        if (c->scanned == 0)
            rest = str_from_at(rest, head_skip_crlf(rest.p, rest.n));
        if (rest.n && rest.p[0] == TLS_HANDSHAKE) {
            refuse(c, 400, "a TLS hello came to a port for plain HTTP");
            return;
        }
        size_t end = take_head(c, rest.p, rest.n);
        if (end == SIZE_MAX)
            return;
        if (end == 0)
            break;
        str_t body = str_from_at(rest, end);
        begin_request(c, rest.p, end, &body);
        rest = body;
    }
    pass_on(c, &rest);
    if (c->closing || c->leaving)
        return;
    stash(c, rest.p, rest.n);
    if (c->half_closed && c->req)
        watch_hangup(c);
    else if (c->half_closed)
        conn_leave(c, false); // what is left is no whole request
    else if (!c->req)
        await_head(c, rest.n > 0);
    else
        bound_pipeline(c);
}

// `p` may be c->in itself: it is taken out first.
static void conn_advance(conn_t *c, const char *p, size_t n)
{
    ASSERT(!c->busy, "a connection advances from the loop only");
    char *own = NULL;
    if (c->in_n) {
        stash(c, p == c->in ? NULL : p, p == c->in ? 0 : n);
        own = c->in;
        p = own;
        n = c->in_n;
        c->in = NULL;
        c->in_n = c->in_cap = 0;
    }
    c->busy = true;
    advance_over(c, str_make(p, n));
    c->busy = false;
    free(own);
    if (c->closing)
        conn_free(c);
}

static void on_data(sock_t *s, char *data, size_t n)
{
    conn_t *c = sock_owner(s);
    str_t rest = str_make(data, n);
    if (c->leaving)
        return;
    if (!c->req) {
        conn_advance(c, rest.p, rest.n);
        return;
    }
    request_t *r = c->req;
    c->busy = true;
    request_hold(r);
    if (!r->body.complete)
        request_feed_body(r, &rest);
    request_drop(r);
    pass_on(c, &rest);
    c->busy = false;
    if (c->closing) {
        conn_free(c);
        return;
    }
    if (c->leaving)
        return;
    stash(c, rest.p, rest.n);
    if (!c->req)
        conn_advance(c, c->in, 0);
    else
        bound_pipeline(c);
}

// A FIN while a request is under way comes from a client that left, as good as always (client_half_close says otherwise); after the
// request, it still gets what is queued.
static void on_eof(sock_t *s)
{
    conn_t *c = sock_owner(s);
    if (!c->req) {
        conn_leave(c, false);
    } else if (c->worker->settings->client_half_close && c->req->body.complete) {
        c->half_closed = true;
        watch_hangup(c);
    } else {
        conn_close(c, false);
    }
}

static void on_error(sock_t *s, int err)
{
    (void)err;
    conn_close(sock_owner(s), false);
}

static void on_drain(sock_t *s)
{
    conn_t *c = sock_owner(s);
    io_timer_stop(&c->write_timer);
    if (c->req)
        exchange_on_client_drain(c->req);
    else if (c->leaving)
        conn_end(c, linger);
    else if (c->worker->draining && c->worker->drain_closed && !c->in_n)
        conn_end(c, sock_close);
}

// A large body is read to where it is collected.
static char *room(sock_t *s, size_t *n)
{
    conn_t *c = sock_owner(s);
    return c->req && !c->req->finished && !c->in_n ? body_room(&c->req->body, n) : NULL;
}

static const sock_events_t EVENTS = {.on_data = on_data,
                                     .on_eof = on_eof,
                                     .on_error = on_error,
                                     .on_drain = on_drain,
                                     .room = room};

// A socket that is not read cannot tell that its client has gone, but the kernel knows of the FIN behind the unread bytes.
static bool peer_has_gone(const conn_t *c)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    if (getsockopt(sock_fd(c->sock), IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return false; // a unix socket
    bool there = info.tcpi_state == TCP_ESTABLISHED ||
                 (c->half_closed && info.tcpi_state == TCP_CLOSE_WAIT);
    return !there;
}

// Whoever was lent the connection hears of its end when reading or writing; a broken one ends the request even so.
static void check_lent(conn_t *c)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    bool broken = getsockopt(sock_fd(c->sock), IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
                  info.tcpi_state == TCP_CLOSE;
    if (broken) {
        conn_close(c, false);
        return;
    }
    c->paused = c->paused && sock_paused(c->sock);
    io_timer_start(&c->timer, c->paused ? HANGUP_CHECK_MS : LENT_CHECK_MS);
}

static void on_deadline(io_timer_t *t)
{
    conn_t *c = CONTAINER_OF(t, conn_t, timer);
    if (c->lent) {
        check_lent(c);
    } else if (c->paused) {
        if (peer_has_gone(c))
            conn_close(c, false);
        else
            io_timer_start(&c->timer, HANGUP_CHECK_MS);
    } else if (c->req) {
        request_on_body_timeout(c->req);
    } else if (c->in_n) {
        c->busy = true;
        refuse(c, 408, "request head incomplete at its deadline");
        c->busy = false;
        if (c->closing)
            conn_free(c);
    } else {
        conn_leave(c, false);
    }
}

// How much the client's kernel has acknowledged. Ours takes bytes in steps of megabytes, so its queue is asked too. With TLS it
// counts plaintext against ciphertext, which only grows slower.
static int64_t bytes_taken(const conn_t *c)
{
    int in_kernel = 0;
    if (ioctl(sock_fd(c->sock), SIOCOUTQ, &in_kernel) != 0)
        in_kernel = 0;
    return (int64_t)sock_bytes_out(c->sock) - (int64_t)sock_pending(c->sock) - in_kernel;
}

static void on_write_deadline(io_timer_t *t)
{
    conn_t *c = CONTAINER_OF(t, conn_t, write_timer);
    if (bytes_taken(c) > c->taken)
        conn_watch_writer(c);
    else
        conn_close(c, true);
}

void conn_open(worker_t *w, sock_t *s, bool status)
{
    conn_t *c = mem_zalloc(sizeof *c);
    c->worker = w;
    c->sock = s;
    c->tls = sock_is_tls(s);
    c->status = status;
    c->port = addr_port(sock_local(s));
    list_push_back(&w->conns, &c->links);
    w->n_conns++;
    stat_fixed_add(SF_CONN_ACCEPTED, 1);
    stat_fixed_add(SF_CONN_HANDLED, 1);
    stat_fixed_add(SF_CONN_ACTIVE, 1);
    io_timer_init(&c->timer, w->loop, on_deadline);
    io_timer_init(&c->write_timer, w->loop, on_write_deadline);
    sock_own(s, &EVENTS, c);
    set_age(c);
    await_head(c, false);
    sock_resume(s);
}

void conn_request_ended(conn_t *c, bool keep_alive, bool may_send)
{
    ASSERT(c->req != NULL, "a request ends on its own connection");
    c->req = NULL;
    if (c->paused) {
        c->paused = false;
        io_timer_stop(&c->timer);
    }
    if (c->closing)
        return;
    if (!keep_alive || (c->half_closed && !c->in_n)) {
        conn_leave(c, !c->half_closed && (may_send || c->in_n));
        return;
    }
    sock_resume(c->sock);
    if (c->busy)
        return; // conn_advance or on_data goes on itself
    if (c->in_n)
        conn_advance(c, c->in, 0);
    else
        await_head(c, false);
}

void conn_lend(conn_t *c, const sock_events_t *ev, void *owner, buf_t *early)
{
    ASSERT(!c->lent && !c->closing && !c->leaving, "an open connection is lent once");
    io_timer_stop(&c->write_timer);
    io_timer_start(&c->timer, LENT_CHECK_MS);
    c->paused = false;
    if (c->in_n)
        buf_append(early, str_make(c->in, c->in_n));
    free(c->in);
    c->in = NULL;
    c->in_n = c->in_cap = 0;
    c->lent = ev;
    c->lent_in = sock_bytes_in(c->sock);
    c->lent_out = sock_bytes_out(c->sock);
    sock_own(c->sock, ev, owner);
    sock_pause(c->sock);
}

void conn_watch_lent(conn_t *c)
{
    ASSERT(c->lent, "a lent connection is watched for its borrower");
    if (!c->paused)
        watch_hangup(c);
}

void conn_take_back(conn_t *c, uint64_t *in, uint64_t *out)
{
    ASSERT(c->lent, "a connection is taken back once");
    c->lent = NULL;
    c->paused = false;
    io_timer_stop(&c->timer);
    *in = sock_bytes_in(c->sock) - c->lent_in;
    *out = sock_bytes_out(c->sock) - c->lent_out;
    sock_own(c->sock, &EVENTS, c);
    sock_pause(c->sock);
}

void conn_read_body(conn_t *c)
{
    c->paused = false;
    io_timer_start(&c->timer, c->worker->settings->body_timeout_ms);
    sock_resume(c->sock);
}

void conn_pause_body(conn_t *c)
{
    watch_hangup(c);
    sock_pause(c->sock);
}

void conn_watch_writer(conn_t *c)
{
    if (io_timer_active(&c->write_timer))
        return;
    c->taken = bytes_taken(c);
    io_timer_start(&c->write_timer, c->worker->settings->send_timeout_ms);
}

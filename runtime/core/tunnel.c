// The tunnel: a read of one side is a write to the other. Every way out is the request's end (finish, conn_close), which
// ends the tunnel by tunnel_end; after it `t` is gone. What is queued for a side that did not fail is delivered.
#include "core/tunnel.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/raw.h"
#include "core/worker.h"
#include "http/ws_frames.h"

enum { LINGER_MS = 2000 }; // how long an upstream may take nothing of what is left for it

struct tunnel {
    request_t *r;
    sock_t *client; // borrowed
    uconn_t *u;
    io_timer_t idle;
    buf_t early;          // what the client sent ahead, until tunnel_start
    ws_frames_t down, up; // towards the client, towards the upstream
    bool failed;          // the upstream's connection is broken: it is read to its end at most
    bool delivered; // the client ended without a word, yet what it sent is still the upstream's
};

// ---- ends ----

static void finish(tunnel_t *t, const char *why)
{
    request_t *r = t->r;
    r->upstream_end_us = clock_mono_us();
    if (why)
        r->exit_reason = str_from(why);
    request_finish(r);
}

// The client's connection is of no more use.
static void client_broke_off(tunnel_t *t)
{
    conn_close(t->r->lent, false); // ends the request too
}

void tunnel_end(tunnel_t *t)
{
    request_t *r = t->r;
    ASSERT(r->tunnel == t && r->lent, "a tunnel ends once, before its request");
    r->tunnel = NULL;
    io_timer_stop(&t->idle);
    raw_end(r);
    bool broke_off = !r->conn && !t->delivered;
    if (t->failed || broke_off)
        uconn_close(t->u);
    else
        uconn_close_linger(t->u, LINGER_MS);
    buf_dispose(&t->early);
    free(t);
}

// ---- passing on ----

// Who sends waits while the other has not taken all. A client that takes nothing has a deadline of its own (send_timeout).
static void hold_back(tunnel_t *t)
{
    request_t *r = t->r;
    bool up = sock_pending(t->u->sock) > 0, down = sock_pending(t->client) > 0;
    if (up) {
        sock_pause(t->client);
        conn_watch_lent(r->lent);
    }
    if (down) {
        sock_pause(t->u->sock);
        conn_watch_writer(r->lent);
    }
    if (up || !down)
        io_timer_start(&t->idle, up ? r->up.write_timeout_ms : r->up.read_timeout_ms);
    else
        io_timer_stop(&t->idle);
}

static void on_idle(io_timer_t *timer)
{
    tunnel_t *t = CONTAINER_OF(timer, tunnel_t, idle);
    finish(t, sock_pending(t->u->sock) ? "the upstream took nothing of a tunnel for too long"
                                       : "nothing came through a tunnel for too long");
}

// An upstream that takes nothing more may have said why: its side is read to the end, the client's no more.
static void to_upstream(tunnel_t *t, str_t data)
{
    ws_frames_feed(&t->up, data);
    if (sock_write(t->u->sock, &data, 1) != 0) {
        t->failed = true;
        sock_pause(t->client);
        conn_watch_lent(t->r->lent);
    }
    hold_back(t);
}

// False: that was the end.
static bool to_client(tunnel_t *t, str_t data)
{
    t->r->upstream_bytes_in += data.n;
    ws_frames_feed(&t->down, data);
    if (sock_write(t->client, &data, 1) != 0) {
        client_broke_off(t);
        return false;
    }
    hold_back(t);
    return true;
}

// ---- events of the client's connection ----

static void on_client_data(sock_t *s, char *data, size_t n)
{
    to_upstream(sock_owner(s), str_make(data, n));
}

static void on_client_eof(sock_t *s)
{
    finish(sock_owner(s), NULL);
}

static void on_client_error(sock_t *s, int err)
{
    tunnel_t *t = sock_owner(s);
    t->delivered = err == ERR_EOF;
    client_broke_off(t);
}

static void on_client_drain(sock_t *s)
{
    tunnel_t *t = sock_owner(s);
    io_timer_stop(&t->r->lent->write_timer);
    sock_resume(t->u->sock);
    hold_back(t);
}

static const sock_events_t CLIENT_EVENTS = {.on_data = on_client_data,
                                            .on_eof = on_client_eof,
                                            .on_error = on_client_error,
                                            .on_drain = on_client_drain};

// ---- events of the upstream's ----

static void on_upstream_data(sock_t *s, char *data, size_t n)
{
    to_client(sock_owner(s), str_make(data, n));
}

static void on_upstream_eof(sock_t *s)
{
    finish(sock_owner(s), NULL);
}

static void on_upstream_error(sock_t *s, int err)
{
    tunnel_t *t = sock_owner(s);
    t->failed = true;
    finish(t, err == ERR_EOF ? NULL : "the upstream broke off a tunnel");
}

static void on_upstream_drain(sock_t *s)
{
    tunnel_t *t = sock_owner(s);
    sock_resume(t->client);
    hold_back(t);
}

static const sock_events_t UPSTREAM_EVENTS = {.on_data = on_upstream_data,
                                              .on_eof = on_upstream_eof,
                                              .on_error = on_upstream_error,
                                              .on_drain = on_upstream_drain};

// ---- life ----

void tunnel_begin(request_t *r, uconn_t *u)
{
    ASSERT(!r->tunnel && r->head_sent, "a tunnel follows a head, once");
    tunnel_t *t = mem_zalloc(sizeof *t);
    t->r = r;
    t->u = u;
    io_timer_init(&t->idle, r->worker->loop, on_idle);
    t->client = raw_begin(r, &CLIENT_EVENTS, t, &t->early);
    r->ended = true;
    r->tunnel = t;
    sock_own(u->sock, &UPSTREAM_EVENTS, t);
}

void tunnel_start(tunnel_t *t, str_t data)
{
    conn_t *c = t->r->lent;
    if (t->r->out_failed) { // the head did not get through
        client_broke_off(t);
        return;
    }
    sock_resume(t->client);
    sock_resume(t->u->sock);
    hold_back(t);
    if (data.n && !to_client(t, data))
        return;
    if (t->early.n)
        to_upstream(t, buf_str(&t->early));
    buf_dispose(&t->early);
    if (c->half_closed)
        finish(t, NULL);
}

void tunnel_cut(request_t *r, const char *why)
{
    static const str_t CLOSE = STR("\x88\x02\x03\xf4"); // 1012
    tunnel_t *t = r->tunnel;
    ASSERT(t && !r->finished, "an open tunnel is cut");
    if (ws_frames_at_boundary(&t->down) && ws_frames_at_boundary(&t->up) &&
        sock_write(t->client, &CLOSE, 1) != 0) {
        client_broke_off(t);
        return;
    }
    finish(t, why);
}

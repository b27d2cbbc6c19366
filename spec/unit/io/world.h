// A server and a client end in one loop, over loopback, plain or TLS: what the socket tests
// have in common. Include it in exactly one file of a program (it includes test.h).
#pragma once

#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "io/sock.h"

typedef struct end {
    sock_t *s;
    buf_t in;
    bool eof, echo, pause_at_data, close_at_data;
    int err, drains;
    size_t total; // received, kept or not
    bool drop;
} end_t;

typedef struct world {
    loop_t *l;
    listener_t *k;
    addr_t at;
    int fd;
    end_t server, client;
    connector_t *c;
    int err;
    bool done;
    int accepted;
    tls_ctx_t *server_tls, *client_tls; // NULL: plain; borrowed
    const char *sni;                    // NULL: none
    int tls_err;                        // of the server's side
    char tls_why[160], client_why[160];
} world_t;

static void on_data(sock_t *s, char *data, size_t n)
{
    end_t *e = sock_owner(s);
    str_t bytes = str_make(data, n);
    CHECK(n > 0 && !sock_paused(s));
    e->total += n;
    if (!e->drop)
        buf_append(&e->in, bytes);
    if (e->echo)
        CHECK_EQ_INT(sock_write(s, &bytes, 1), 0);
    if (e->pause_at_data)
        sock_pause(s);
    if (e->close_at_data) {
        e->s = NULL;
        sock_close(s);
    }
}

static void on_eof(sock_t *s)
{
    end_t *e = sock_owner(s);
    e->eof = true;
}

static void on_error(sock_t *s, int err)
{
    end_t *e = sock_owner(s);
    e->err = err;
}

static void on_drain(sock_t *s)
{
    end_t *e = sock_owner(s);
    e->drains++;
    CHECK_EQ_INT(sock_pending(s), 0);
}

static const sock_events_t events = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drain = on_drain};

static void on_accept(void *arg, sock_t *s)
{
    world_t *w = arg;
    w->accepted++;
    if (w->server.s) {
        sock_close(s);
        return;
    }
    w->server.s = s;
    sock_own(s, &events, &w->server);
}

static void on_done(void *arg, int err, sock_t *s)
{
    world_t *w = arg;
    CHECK(!w->done);
    w->done = true;
    w->err = err;
    snprintf(w->client_why, sizeof w->client_why, "%s", connect_why(w->l));
    w->client.s = s;
    w->c = NULL;
    if (s)
        sock_own(s, &events, &w->client);
}

static void on_tls_error(void *arg, const addr_t *peer, int err, const char *why)
{
    world_t *w = arg;
    CHECK_EQ_INT(peer->sa.sa_family, AF_INET);
    w->tls_err = err;
    snprintf(w->tls_why, sizeof w->tls_why, "%s", why);
}

// w is zero but for the TLS fields.
__attribute__((unused)) static void world_open_at(world_t *w, const char *where)
{
    addr_t any;
    socklen_t n = sizeof w->at;
    w->l = loop_create();
    CHECK_EQ_INT(addr_parse(str_from(where), &any), 0);
    CHECK_EQ_INT(listen_bind(&any, 64, false, &w->fd), 0);
    CHECK_EQ_INT(getsockname(w->fd, &w->at.sa, &n), 0);
    w->k = listener_start(w->l, &(listener_opts_t){.fd = w->fd,
                                                   .tls = w->server_tls,
                                                   .on_accept = on_accept,
                                                   .on_tls_error = on_tls_error,
                                                   .arg = w});
}

__attribute__((unused)) static connector_t *world_connect(world_t *w)
{
    return w->c = sock_connect(w->l, &(connect_opts_t){.host = STR("127.0.0.1"),
                                                       .port = addr_port(&w->at),
                                                       .timeout_ms = 5000,
                                                       .tls = w->client_tls,
                                                       .sni = str_from(w->sni),
                                                       .on_done = on_done,
                                                       .arg = w});
}

// Turns until cond holds, five seconds at most.
#define UNTIL(w, cond)                                                                         \
    do {                                                                                       \
        uint64_t give_up_ = clock_mono_us() + 5000000;                                         \
        while (!(cond) && clock_mono_us() < give_up_)                                          \
            loop_turn((w)->l, 20);                                                             \
        CHECK(cond);                                                                           \
    } while (0)

// Both ends connected; the socket under test is told apart by w->server and w->client.
__attribute__((unused)) static void world_open(world_t *w)
{
    world_open_at(w, "127.0.0.1:0");
    world_connect(w);
    CHECK(!w->done);
    UNTIL(w, w->done && w->server.s);
    CHECK_EQ_INT(w->err, 0);
}

__attribute__((unused)) static void end_close(end_t *e)
{
    if (e->s)
        sock_close(e->s);
    e->s = NULL;
    buf_dispose(&e->in);
}

__attribute__((unused)) static void world_close(world_t *w)
{
    end_close(&w->server);
    end_close(&w->client);
    if (w->k)
        listener_stop(w->k);
    close(w->fd);
    UNTIL(w, loop_live(w->l) == 0);
    loop_destroy(w->l);
}

__attribute__((unused)) static void say(end_t *e, const char *text)
{
    str_t s = str_from(text);
    CHECK_EQ_INT(sock_write(e->s, &s, 1), 0);
}

// More than the kernel's buffers hold; with one-byte reads (STRESS) that would take too long.
#ifdef STRESS
enum { BIG = 500000, FILLS_KERNEL = 0 };
#else
enum { BIG = 8 << 20, FILLS_KERNEL = 1 };
#endif

__attribute__((unused)) static char *pattern(size_t n)
{
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + (i >> 11));
    return p;
}

// Connecting: addresses in turn, a fresh attempt on failure or after 250 ms of silence, the
// first to answer wins. Invariant: on_done is the last thing a connector does; an attempt frees
// itself in its connect callback.
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/dns.h"
#include "io/tls_pump.h"

enum { ATTEMPTS_MAX = 16, NEXT_AFTER_MS = 250, TIMEOUT_MS = 60 * 1000 };

typedef struct attempt {
    uv_connect_t req;
    connector_t *c; // NULL: given up
    sock_t *s;
    list_t links;
} attempt_t;

struct connector {
    loop_t *loop;
    connect_opts_t o;   // host and sni point into `text`
    char *text;         // owned
    dns_query_t *query; // NULL: not asking
    io_defer_t start;
    io_timer_t deadline, next_try;
    list_t attempts;
    addr_t *addrs; // owned
    unsigned n_addrs, at;
    sock_t *secured; // connected, in its TLS handshake
    int err;         // of the last failure
};

static void abandon(attempt_t *a)
{
    list_unlink(&a->links);
    a->c = NULL;
    sock_close(a->s); // its connect callback comes with UV_ECANCELED and frees a
}

static void connector_destroy(connector_t *c)
{
    if (c->query)
        dns_cancel(c->query);
    io_defer_stop(&c->start);
    io_timer_stop(&c->deadline);
    io_timer_stop(&c->next_try);
    while (!list_empty(&c->attempts))
        abandon(CONTAINER_OF(c->attempts.next, attempt_t, links));
    if (c->secured)
        sock_close(c->secured);
    tls_release(c->o.tls);
    live_end(c->loop);
    free(c->addrs);
    free(c->text);
    free(c);
}

static void finish(connector_t *c, int err, sock_t *s)
{
    void (*on_done)(void *arg, int err, sock_t *s) = c->o.on_done;
    void *arg = c->o.arg;
    ASSERT((err == 0) == (s != NULL), "a socket or an error");
    connector_destroy(c);
    on_done(arg, err, s);
}

static void on_deadline(io_timer_t *t)
{
    finish(CONTAINER_OF(t, connector_t, deadline), ERR_TIMEOUT, NULL);
}

static void try_next(connector_t *c);

static void on_secured(void *arg, sock_t *s, int err, const char *why)
{
    connector_t *c = arg;
    if (err)
        snprintf(c->loop->connect_why, sizeof c->loop->connect_why, "%s", why);
    else
        c->secured = NULL;
    finish(c, err, err ? NULL : s);
}

static void on_connected(connector_t *c, sock_t *s)
{
    io_timer_stop(&c->next_try);
    while (!list_empty(&c->attempts))
        abandon(CONTAINER_OF(c->attempts.next, attempt_t, links));
    if (!c->o.tls) {
        finish(c, 0, s);
        return;
    }
    c->secured = s;
    pump_begin(s, c->o.tls, c->o.sni, 0, on_secured, c);
}

static void on_attempt(uv_connect_t *req, int status)
{
    attempt_t *a = CONTAINER_OF(req, attempt_t, req);
    connector_t *c = a->c;
    sock_t *s = a->s;
    if (c)
        list_unlink(&a->links);
    free(a);
    if (!c)
        return;
    if (status == 0) {
        on_connected(c, s);
        return;
    }
    c->err = io_err(status);
    sock_close(s);
    try_next(c);
}

static int start_tcp(connector_t *c, const addr_t *addr)
{
    attempt_t *a = mem_zalloc(sizeof *a);
    a->s = sock_new(c->loop);
    a->s->peer = *addr;
    uv_tcp_nodelay(&a->s->uv, 1);
    int rc = uv_tcp_connect(&a->req, &a->s->uv, &addr->sa, on_attempt);
    if (rc != 0) {
        sock_close(a->s);
        free(a);
        return io_err(rc);
    }
    a->c = c;
    list_push_back(&c->attempts, &a->links);
    return 0;
}

// A unix socket connects at once or not at all.
static int open_unix(connector_t *c, const addr_t *addr, sock_t **out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return io_err(-errno);
    if (connect(fd, &addr->sa, (socklen_t)addr_len(addr)) != 0) {
        int err = errno == EAGAIN ? ERR_REFUSED : io_err(-errno); // EAGAIN: its backlog is full
        close(fd);
        return err;
    }
    *out = sock_open_fd(c->loop, fd, addr);
    return *out ? 0 : ERR_IO;
}

// Starts the next attempt that can be started; gives up when none is left and none under way.
static void try_next(connector_t *c)
{
    io_timer_stop(&c->next_try);
    while (c->at < c->n_addrs) {
        const addr_t *addr = &c->addrs[c->at++];
        sock_t *s = NULL;
        if (c->o.allow && !c->o.allow(c->o.arg, addr)) {
            c->err = ERR_DENIED;
            continue;
        }
        bool local = addr->sa.sa_family == AF_UNIX;
        int rc = local ? open_unix(c, addr, &s) : start_tcp(c, addr);
        if (rc != 0) {
            c->err = rc;
            continue;
        }
        if (s) {
            on_connected(c, s);
            return;
        }
        if (c->at < c->n_addrs)
            io_timer_start(&c->next_try, NEXT_AFTER_MS);
        return;
    }
    if (list_empty(&c->attempts))
        finish(c, c->err, NULL);
}

static void on_next_try(io_timer_t *t)
{
    try_next(CONTAINER_OF(t, connector_t, next_try));
}

static void on_start(io_defer_t *d)
{
    try_next(CONTAINER_OF(d, connector_t, start));
}

// Each connection begins with another address, so that load spreads; with one of IPv4 if there
// is any.
static unsigned first_record(loop_t *l, const dns_answer_t *a)
{
    unsigned first = l->spread++ % a->n;
    bool v6 = a->records[first].addr.sa.sa_family == AF_INET6;
    return v6 && first > 0 ? first - 1 : first;
}

static void on_resolved(void *arg, int err, const dns_answer_t *a)
{
    connector_t *c = arg;
    c->query = NULL;
    if (err) {
        finish(c, err, NULL);
        return;
    }
    unsigned first = first_record(c->loop, a);
    c->n_addrs = a->n < ATTEMPTS_MAX ? a->n : ATTEMPTS_MAX;
    c->addrs = mem_alloc(c->n_addrs * sizeof *c->addrs);
    for (unsigned i = 0; i < c->n_addrs; i++) {
        c->addrs[i] = a->records[(first + i) % a->n].addr;
        addr_set_port(&c->addrs[i], c->o.port);
    }
    try_next(c);
}

// The address when the host is one already.
static bool literal_addr(connector_t *c, addr_t *out)
{
    if (str_starts(c->o.host, STR("unix:")))
        return addr_parse(c->o.host, out) == 0;
    return addr_from_ip(c->o.host, c->o.port, out) == 0;
}

// The host of a Host value. What has several colons and no brackets is an IPv6 address.
static str_t without_port(str_t text)
{
    bool bracketed = text.p[0] == '[';
    ptrdiff_t end = str_chr(text, bracketed ? ']' : ':');
    if (end <= 0)
        return text;
    if (bracketed)
        return str_make(text.p, (size_t)end + 1);
    bool several = str_chr(str_from_at(text, (size_t)end + 1), ':') >= 0;
    return several ? text : str_make(text.p, (size_t)end);
}

static void copy_texts(connector_t *c)
{
    str_t host = c->o.host, sni = c->o.sni.n ? without_port(c->o.sni) : c->o.host;
    if (str_ends(sni, STR(".")))
        sni.n--; // absolute for DNS, not part of the name in a certificate
    c->text = mem_alloc(host.n + sni.n + 1);
    memcpy(c->text, host.p, host.n);
    memcpy(c->text + host.n, sni.p, sni.n);
    c->o.host = str_make(c->text, host.n);
    c->o.sni = str_make(c->text + host.n, sni.n);
}

connector_t *sock_connect(loop_t *l, const connect_opts_t *o)
{
    addr_t addr;
    ASSERT(o->on_done && o->host.n > 0, "a connection has a host and someone to tell");
    connector_t *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->o = *o;
    c->err = ERR_DNS_NAME;
    l->connect_why[0] = 0;
    if (o->tls)
        tls_acquire(o->tls);
    copy_texts(c);
    list_init(&c->attempts);
    io_defer_init(&c->start, on_start);
    io_timer_init(&c->deadline, l, on_deadline);
    io_timer_init(&c->next_try, l, on_next_try);
    io_timer_start(&c->deadline, o->timeout_ms ? o->timeout_ms : TIMEOUT_MS);
    live_begin(l);
    if (literal_addr(c, &addr)) {
        c->addrs = mem_alloc(sizeof addr);
        c->addrs[0] = addr;
        c->n_addrs = 1;
        io_defer_start(l, &c->start);
    } else {
        c->query = dns_lookup(dns_of(l), c->o.host, DNS_ADDR, on_resolved, c);
    }
    return c;
}

void connect_cancel(connector_t *c)
{
    connector_destroy(c);
}

const char *connect_why(const loop_t *l)
{
    return l->connect_why;
}

// A DNS server on loopback, UDP and TCP: what it answers hangs on the first label of the name
// (see compose). Include it in exactly one file of a program.
#pragma once

#include "world.h"

#include "io/dns.h"

enum { TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

typedef struct server {
    loop_t *l;
    int fd, tcp_fd;
    io_watch_t *watch;
    listener_t *tcp;
    sock_t *tcp_sock;
    buf_t tcp_in;
    uint16_t port;
    unsigned ttl_s, queries_a, tcp_queries;
    uint8_t last_octet; // of the addresses it gives
    bool dead;          // answers nothing
    bool broken;        // answers SERVFAIL
    bool gone;          // answers NXDOMAIN
    io_timer_t delay;   // for `slow`
    char late[600];
    size_t late_n;
    addr_t late_to;
} server_t;

typedef struct question {
    const unsigned char *msg;
    size_t n; // header and question
    char label[64];
    unsigned type;
} question_t;

static void put16(buf_t *b, unsigned v)
{
    buf_putc(b, (char)(v >> 8));
    buf_putc(b, (char)v);
}

static bool parse_question(const unsigned char *p, size_t n, question_t *q)
{
    size_t at = 12;
    if (n < 17 || p[12] > 63)
        return false;
    memcpy(q->label, p + 13, p[12]);
    q->label[p[12]] = 0;
    while (at < n && p[at])
        at += p[at] + 1u;
    q->n = at + 5;
    q->msg = p;
    q->type = (unsigned)p[at + 1] << 8 | p[at + 2];
    return q->n <= n;
}

static void put_rr(buf_t *b, unsigned type, unsigned ttl_s, const void *data, size_t n)
{
    put16(b, 0xc00c); // the question's name
    put16(b, type);
    put16(b, 1);
    put16(b, ttl_s >> 16);
    put16(b, ttl_s & 0xffff);
    put16(b, (unsigned)n);
    buf_append(b, str_make(data, n));
}

static void put_head(buf_t *b, const question_t *q, unsigned flags, unsigned answers)
{
    buf_append(b, str_make((const char *)q->msg, 2));
    put16(b, 0x8180 | flags);
    put16(b, 1);
    put16(b, answers);
    put16(b, 0);
    put16(b, 0);
    buf_append(b, str_make((const char *)q->msg + 12, q->n - 12));
}

static void put_addresses(const server_t *sv, const question_t *q, unsigned n, buf_t *b)
{
    put_head(b, q, 0, n);
    for (unsigned i = 0; i < n; i++) {
        unsigned char ip[16] = {10, 0, (unsigned char)(i >> 8),
                                (unsigned char)(sv->last_octet + i)};
        if (q->type == TYPE_AAAA)
            ip[0] = 0xfd;
        put_rr(b, q->type, sv->ttl_s, ip, q->type == TYPE_A ? 4 : 16);
    }
}

static void put_srv(const server_t *sv, const question_t *q, buf_t *b)
{
    put_head(b, q, 0, 3);
    for (unsigned i = 0; i < 3; i++) {
        unsigned char data[] = {0,    (unsigned char)(9 - i),
                                0,    5,
                                0x1f, (unsigned char)(0x90 + i),
                                1,    (unsigned char)('a' + i),
                                4,    't',
                                'e',  's',
                                't',  0};
        put_rr(b, TYPE_SRV, sv->ttl_s + i, data, sizeof data);
    }
}

// The answer; nothing appended: none.
static void compose(server_t *sv, const question_t *q, bool tcp, buf_t *b)
{
    const char *label = q->label;
    if (q->type == TYPE_A)
        sv->queries_a++;
    if (sv->dead || strcmp(label, "hang") == 0)
        return;
    if (sv->broken)
        put_head(b, q, RCODE_SERVFAIL, 0);
    else if (sv->gone || strcmp(label, "nx") == 0)
        put_head(b, q, RCODE_NXDOMAIN, 0);
    else if (strcmp(label, "garbage") == 0)
        buf_printf(b, "%c%c\x81\x80\xff\xff\xff\xff garbage", q->msg[0], q->msg[1]);
    else if (strcmp(label, "many") == 0 && q->type == TYPE_A && !tcp)
        put_head(b, q, 0x200, 0); // truncated: ask by TCP
    else if (strcmp(label, "many") == 0 && q->type == TYPE_A)
        put_addresses(sv, q, 1000, b);
    else if (q->type == TYPE_SRV && label[0] == '_')
        put_srv(sv, q, b);
    else if (q->type == TYPE_A || strcmp(label, "both") == 0)
        put_addresses(sv, q, strcmp(label, "both") == 0 ? 2 : 1, b);
    else
        put_head(b, q, 0, 0); // the name exists, not with this type
}

static void on_delay(io_timer_t *t)
{
    server_t *sv = CONTAINER_OF(t, server_t, delay);
    sendto(sv->fd, sv->late, sv->late_n, 0, &sv->late_to.sa, (socklen_t)addr_len(&sv->late_to));
}

static void on_query(void *arg, int fd)
{
    server_t *sv = arg;
    unsigned char msg[600];
    addr_t from;
    socklen_t from_n = sizeof from;
    question_t q;
    buf_t b = {0};
    ssize_t n = recvfrom(fd, msg, sizeof msg, MSG_DONTWAIT, &from.sa, &from_n);
    if (n < 0 || !CHECK(parse_question(msg, (size_t)n, &q)))
        return;
    compose(sv, &q, false, &b);
    if (strcmp(q.label, "slow") == 0 && q.type == TYPE_A) {
        memcpy(sv->late, buf_str(&b).p, sv->late_n = b.n);
        sv->late_to = from;
        io_timer_start(&sv->delay, 60);
    } else if (b.n > 0) {
        sendto(fd, buf_str(&b).p, b.n, 0, &from.sa, from_n);
    }
    buf_dispose(&b);
}

static void on_tcp_data(sock_t *s, char *data, size_t n)
{
    server_t *sv = sock_owner(s);
    question_t q;
    buf_t b = {0}, framed = {0};
    buf_append(&sv->tcp_in, str_make(data, n));
    const unsigned char *p = (const unsigned char *)buf_str(&sv->tcp_in).p;
    size_t have = sv->tcp_in.n;
    if (have < 2 || have < 2u + ((size_t)p[0] << 8 | p[1]))
        return;
    sv->tcp_queries++;
    if (CHECK(parse_question(p + 2, have - 2, &q)))
        compose(sv, &q, true, &b);
    put16(&framed, (unsigned)b.n);
    buf_append(&framed, buf_str(&b));
    str_t out = buf_str(&framed);
    CHECK_EQ_INT(sock_write(s, &out, 1), 0);
    buf_clear(&sv->tcp_in);
    buf_dispose(&b);
    buf_dispose(&framed);
}

static void on_tcp_end(sock_t *s)
{
    server_t *sv = sock_owner(s);
    sv->tcp_sock = NULL;
    sock_close(s);
}

static void on_tcp_error(sock_t *s, int err)
{
    (void)err;
    on_tcp_end(s);
}

static void on_tcp_drain(sock_t *s)
{
    (void)s;
}

static const sock_events_t tcp_events = {.on_data = on_tcp_data,
                                         .on_eof = on_tcp_end,
                                         .on_error = on_tcp_error,
                                         .on_drain = on_tcp_drain};

static void on_tcp_accept(void *arg, sock_t *s)
{
    server_t *sv = arg;
    CHECK(sv->tcp_sock == NULL);
    sv->tcp_sock = s;
    sock_own(s, &tcp_events, sv);
    sock_resume(s);
}

// A free port for both UDP and TCP.
static bool bind_both(server_t *sv)
{
    addr_t a;
    socklen_t n = sizeof a;
    addr_from_ip(STR("127.0.0.1"), 0, &a);
    sv->fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(sv->fd, &a.sa, (socklen_t)addr_len(&a)) != 0 ||
        getsockname(sv->fd, &a.sa, &n) != 0)
        return false;
    sv->port = addr_port(&a);
    if (listen_bind(&a, 8, false, &sv->tcp_fd) == 0)
        return true;
    close(sv->fd);
    return false;
}

static void server_open(server_t *sv, loop_t *l, dns_opts_t o)
{
    char servers[64];
    *sv = (server_t){.l = l, .ttl_s = 60, .last_octet = 1};
    bool bound = false;
    for (int i = 0; i < 20 && !bound; i++)
        bound = bind_both(sv);
    CHECK(bound);
    sv->watch = loop_watch_start(l, sv->fd, on_query, sv);
    sv->tcp = listener_start(
        l, &(listener_opts_t){.fd = sv->tcp_fd, .on_accept = on_tcp_accept, .arg = sv});
    io_timer_init(&sv->delay, l, on_delay);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", sv->port);
    o.servers = str_from(servers);
    o.timeout_ms = o.timeout_ms ? o.timeout_ms : 1000;
    o.tries = o.tries ? o.tries : 2;
    dns_configure(l, &o);
}

static void server_close(server_t *sv)
{
    loop_watch_stop(sv->watch);
    listener_stop(sv->tcp);
    io_timer_stop(&sv->delay);
    if (sv->tcp_sock)
        sock_close(sv->tcp_sock);
    buf_dispose(&sv->tcp_in);
    close(sv->fd);
    close(sv->tcp_fd);
    for (int i = 0; i < 3; i++)
        loop_turn(sv->l, 0);
    CHECK_EQ_INT(loop_live(sv->l), 0);
    loop_destroy(sv->l);
}

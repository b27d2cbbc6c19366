// Datagrams between two sockets of one loop, and to nobody.
#include "world.h"

typedef struct inbox {
    udp_t *u;
    char last[64];
    int n;
    bool close_at_once;
} inbox_t;

static void on_datagram(void *arg, const char *p, size_t n)
{
    inbox_t *in = arg;
    in->n++;
    snprintf(in->last, sizeof in->last, "%.*s", (int)n, p);
    if (in->close_at_once) {
        udp_close(in->u);
        in->u = NULL;
    }
}

// A bound socket of our own to talk to.
static int peer_open(addr_t *at)
{
    socklen_t n = sizeof *at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    addr_from_ip(STR("127.0.0.1"), 0, at);
    CHECK_EQ_INT(bind(fd, &at->sa, (socklen_t)addr_len(at)), 0);
    CHECK_EQ_INT(getsockname(fd, &at->sa, &n), 0);
    return fd;
}

static void finish(world_t *w)
{
    UNTIL(w, loop_live(w->l) == 0);
    loop_destroy(w->l);
}

TEST(sends_and_receives_whole_datagrams)
{
    world_t w = {.l = loop_create()};
    inbox_t in = {0};
    addr_t at, from;
    socklen_t from_n = sizeof from;
    char got[16];
    int fd = peer_open(&at);
    in.u = udp_open(w.l, &at, on_datagram, &in);
    CHECK_EQ_INT(udp_send(in.u, STR("one")), 0);
    CHECK_EQ_INT(udp_send(in.u, STR("")), 0);
    CHECK_EQ_INT(udp_send(in.u, STR("three")), 0);
    CHECK_EQ_INT(recvfrom(fd, got, sizeof got, 0, &from.sa, &from_n), 3);
    CHECK_EQ_INT(recv(fd, got, sizeof got, 0), 0);
    CHECK_EQ_INT(recv(fd, got, sizeof got, 0), 5);
    sendto(fd, "answer", 6, 0, &from.sa, from_n);
    sendto(fd, "again", 5, 0, &from.sa, from_n);
    UNTIL(&w, in.n == 2);
    CHECK_EQ_STR(in.last, "again");
    in.close_at_once = true;
    sendto(fd, "last", 4, 0, &from.sa, from_n);
    sendto(fd, "lost", 4, 0, &from.sa, from_n);
    UNTIL(&w, in.n == 3);
    CHECK_EQ_STR(in.last, "last");
    close(fd);
    finish(&w);
}

TEST(too_large_a_datagram_is_refused)
{
    world_t w = {.l = loop_create()};
    addr_t at;
    int fd = peer_open(&at);
    udp_t *u = udp_open(w.l, &at, NULL, NULL);
    char *big = pattern(70000);
    CHECK_EQ_INT(udp_send(u, str_make(big, 70000)), ERR_TOO_LARGE);
    CHECK_EQ_INT(udp_send(u, STR("small")), 0);
    free(big);
    udp_close(u);
    close(fd);
    finish(&w);
}

TEST(a_peer_that_is_not_there_is_an_error_at_a_later_send)
{
    world_t w = {.l = loop_create()};
    addr_t at;
    close(peer_open(&at));
    udp_t *u = udp_open(w.l, &at, NULL, NULL);
    int err = 0;
    for (int i = 0; i < 200 && !err; i++) {
        err = udp_send(u, STR("anyone?"));
        loop_turn(w.l, 1);
    }
    CHECK_EQ_INT(err, ERR_REFUSED);
    udp_close(u);
    finish(&w);
}

TEST(unix_datagram_sockets_work_too)
{
    world_t w = {.l = loop_create()};
    addr_t at;
    char text[64], got[16];
    snprintf(text, sizeof text, "unix:/tmp/test_udp.%d", (int)getpid());
    CHECK_EQ_INT(addr_parse(str_from(text), &at), 0);
    CHECK(udp_open(w.l, &at, NULL, NULL) == NULL);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK_EQ_INT(bind(fd, &at.sa, (socklen_t)addr_len(&at)), 0);
    udp_t *u = udp_open(w.l, &at, NULL, NULL);
    if (CHECK(u)) {
        CHECK_EQ_INT(udp_send(u, STR("log line")), 0);
        CHECK_EQ_INT(recv(fd, got, sizeof got, 0), 8);
        udp_close(u);
    }
    unlink(at.un.sun_path);
    close(fd);
    finish(&w);
}

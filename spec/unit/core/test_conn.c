// Client connections: order, deadlines, ends, what is told and what is done about keeping alive.
#include "gateway.h"

TEST(requests_follow_each_other)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    for (int i = 0; i < 3; i++) {
        say(c, GET("/none"));
        GW_UNTIL(&g, count(c, "request_id") == (unsigned)i + 1);
    }
    CHECK_EQ_INT(g.n_logged, 3);
    CHECK_EQ_INT(g.logged[2], 503);
    CHECK(!heard(c, "Connection: close"));
    gw_close(&g);
}

TEST(a_head_may_come_in_any_pieces)
{
    static const char TEXT[] = "\r\n" GET("/none") "\r\n" GET("/none");
    for (size_t cut = 0; cut < sizeof TEXT; cut++) {
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        if (cut)
            peer_send(c, TEXT, cut);
        gw_turn(&g);
        gw_turn(&g);
        if (cut < sizeof TEXT - 1)
            peer_send(c, TEXT + cut, sizeof TEXT - 1 - cut);
        GW_UNTIL(&g, count(c, "HTTP/1.1 503") == 2);
        gw_close(&g);
    }
}

TEST(pipelined_requests_are_answered_in_order)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, GET("/1") GET("/none") GET("/2") "BAD\r\n\r\n" GET("/3"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /1"));
    gw_pass(&g, 20);
    CHECK(!heard(u, "GET /2") && !heard(c, "503"));
    say(u, OK_2);
    GW_UNTIL(&g, heard(u, "GET /2"));
    CHECK(heard(c, "503 Service"));
    say(u, OK_2);
    GW_UNTIL(&g, c->eof);
    CHECK_EQ_INT(g.n_logged, 3);
    CHECK_EQ_INT(count(c, "HTTP/1.1 200"), 2);
    CHECK(heard(c, "HTTP/1.1 400"));
    CHECK(!heard(u, "GET /3"));
    gw_close(&g);
}

TEST(what_is_pipelined_is_bounded_and_not_lost)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, GET("/first"));
    peer_t *u = gw_accept(&g);
    static const char NEXT[] = GET("/none");
    size_t n = 0, total = 0;
    for (; n < 400000 && total < 160000; n++) {
        ssize_t sent = send(c->fd, NEXT, sizeof NEXT - 1, MSG_NOSIGNAL);
        if (sent != (ssize_t)sizeof NEXT - 1)
            break;
        total += sizeof NEXT - 1;
        if (n % 500 == 0)
            gw_turn(&g);
    }
    gw_pass(&g, 50);
    conn_t *conn = CONTAINER_OF(g.w.conns.next, conn_t, links);
    CHECK(conn->in_n <= 128 * 1024 && conn->in_n > 0);
    hang_up(c); // seen although the connection is not read
    GW_UNTIL(&g, g.n_logged == 1);
    CHECK_EQ_INT(g.logged[0], 499);
    GW_UNTIL(&g, u->eof || u->reset);
    gw_close(&g);
}

static void expect_closed_within(gateway_t *g, peer_t *c, unsigned least_ms, unsigned most_ms)
{
    uint64_t from = clock_mono_us();
    GW_UNTIL(g, c->eof || c->reset);
    uint64_t ms = (clock_mono_us() - from) / 1000;
    if (!CHECK(ms + 5 >= least_ms && ms <= most_ms))
        TEST_NOTE("closed after %d ms", (int)ms);
}

TEST(a_silent_connection_is_closed_without_a_word)
{
    gateway_t g;
    gw_open(&g, (char *[]){"header_timeout=60", "keepalive_timeout=120", NULL});
    peer_t *c = gw_dial(&g);
    expect_closed_within(&g, c, 60, 1500);
    CHECK_EQ_INT(c->in.n, 0);
    c = gw_dial(&g);
    say(c, GET("/none"));
    GW_UNTIL(&g, heard(c, "503"));
    forget(c);
    expect_closed_within(&g, c, 120, 1500);
    CHECK_EQ_INT(c->in.n, 0);
    gw_close(&g);
}

TEST(the_deadline_of_a_head_is_absolute_and_its_own)
{
    gateway_t g;
    gw_open(&g, (char *[]){"header_timeout=100", "keepalive_timeout=60s", NULL});
    peer_t *c = gw_dial(&g);
    for (int round = 0; round < 2; round++) {
        uint64_t from = clock_mono_us();
        say(c, "GET / HTTP/1.1\r\n");
        while (!heard(c, "408") && clock_mono_us() < from + 5000000) {
            if (send(c->fd, "A: b\r\n", 6, MSG_NOSIGNAL) < 0)
                break;
            gw_pass(&g, 20);
        }
        CHECK(heard(c, "HTTP/1.1 408 "));
        CHECK(heard(c, "Connection: close"));
        CHECK(clock_mono_us() - from >= 95000);
        CHECK(clock_mono_us() - from < 2000000);
        c = gw_dial(&g);
        say(c, GET("/none")); // the second round's head comes on a kept connection
        GW_UNTIL(&g, heard(c, "503"));
        forget(c);
    }
    CHECK_EQ_INT(g.n_logged, 2); // heads that were none belong to no route
    gw_close(&g);
}

TEST(a_kept_connection_waits_long_for_a_head_that_comes_at_once)
{
    gateway_t g;
    gw_open(&g, (char *[]){"header_timeout=5s", "keepalive_timeout=80", NULL});
    peer_t *c = gw_dial(&g);
    say(c, GET("/none"));
    GW_UNTIL(&g, heard(c, "503"));
    gw_pass(&g, 40);
    say(c, "GET /none HTTP/1.1\r\n");
    gw_pass(&g, 150);
    say(c, "Host: a\r\n\r\n");
    GW_UNTIL(&g, count(c, "503 Service") == 2);
    gw_close(&g);
}

TEST(a_bad_head_is_answered_even_to_one_who_sends_on)
{
    gateway_t g;
    gw_open(&g, (char *[]){"head_max_bytes=1024", "target_max_bytes=256", NULL});
    static const struct {
        const char *head, *answer;
    } CASES[] = {{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
                 {"GET /", "HTTP/1.1 414 "},
                 {"GET / HTTP/1.1\r\nA: ", "HTTP/1.1 431 "}};
    char junk[100000];
    memset(junk, 'x', sizeof junk);
    for (size_t i = 0; i < 3; i++) {
        peer_t *c = gw_dial(&g);
        say(c, CASES[i].head);
        peer_send(c, junk, sizeof junk);
        gw_pass(&g, 10);
        (void)send(c->fd, junk, sizeof junk, MSG_NOSIGNAL);
        GW_UNTIL(&g, c->eof || c->reset);
        CHECK(c->eof && !c->reset);
        CHECK(heard(c, CASES[i].answer) && heard(c, "Connection: close"));
        hang_up(c);
    }
    gw_close(&g);
}

TEST(the_last_request_of_a_connection_is_told)
{
    gateway_t g;
    gw_open(&g, (char *[]){"keepalive_requests=2", NULL});
    peer_t *c = gw_dial(&g);
    say(c, GET("/none") GET("/none") GET("/none"));
    GW_UNTIL(&g, c->eof);
    CHECK_EQ_INT(count(c, "HTTP/1.1 503"), 2);
    CHECK_EQ_INT(count(c, "Connection: close"), 1);
    CHECK(!c->reset);
    gw_close(&g);
}

TEST(no_keep_alive_at_all)
{
    gateway_t g;
    gw_open(&g, (char *[]){"keepalive_timeout=0", NULL});
    peer_t *c = gw_dial(&g);
    say(c, GET("/none"));
    GW_UNTIL(&g, c->eof);
    CHECK(heard(c, "Connection: close"));
    gw_close(&g);
}

static void small_window(peer_t *c)
{
    int bytes = 128 * 1024;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

TEST(one_who_ends_its_side_still_gets_what_is_queued)
{
    gateway_t g;
    gw_open(&g, (char *[]){"lingering_time=100", NULL});
    peer_t *c = gw_dial(&g);
    small_window(c);
    c->deaf = true;
    enum { N = 6 << 20 };
    static char page[N + 200];
    say(c, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /big"));
    int n = snprintf(page, 200, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", N);
    memset(page + n, 'y', N);
    (void)u;
    request_t *r = CONTAINER_OF(g.w.requests.next, request_t, links);
    respond_exit(r, 200, str_make(page + n, N), STR("")); // 6 MiB queued at once
    CHECK_EQ_INT(g.n_logged, 1);
    shutdown(c->fd, SHUT_WR);
    gw_pass(&g, 300); // longer than the linger: nothing is dropped
    c->deaf = false;
    GW_UNTIL(&g, c->eof || c->reset);
    CHECK(!c->reset);
    CHECK(c->in.n > N && ends_with(c, "yyyy"));
    gw_close(&g);
}

TEST(a_slow_reader_is_kept_while_it_reads_and_cut_when_it_stops)
{
    gateway_t g;
    gw_open(&g, (char *[]){"send_timeout=150", NULL});
    peer_t *c = gw_dial(&g);
    small_window(c);
    c->deaf = true;
    say(c, GET("/big"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /big"));
    static char body[6 << 20];
    request_t *r = CONTAINER_OF(g.w.requests.next, request_t, links);
    respond_exit(r, 200, str_make(body, sizeof body), STR(""));
    size_t got = 0;
    static char bytes[600000];
    for (int i = 0; i < 8; i++) { // well over send_timeout in all
        gw_pass(&g, 60);
        ssize_t k = recv(c->fd, bytes, sizeof bytes, 0);
        got += k > 0 ? (size_t)k : 0;
    }
    CHECK(got > 100000 && got < sizeof body);
    CHECK_EQ_INT(g.w.n_conns, 1);
    GW_UNTIL(&g, g.w.n_conns == 0);
    c->deaf = false;
    GW_UNTIL(&g, c->eof || c->reset);
    CHECK(c->reset);
    gw_close(&g);
}

TEST(a_drained_queue_leaves_the_keep_alive_deadline_alone)
{
    gateway_t g;
    gw_open(&g, (char *[]){"keepalive_timeout=200", NULL});
    peer_t *c = gw_dial(&g);
    small_window(c);
    c->deaf = true;
    say(c, GET("/big"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /big"));
    static char body[5 << 20];
    respond_exit(CONTAINER_OF(g.w.requests.next, request_t, links), 200,
                 str_make(body, sizeof body), STR(""));
    gw_pass(&g, 20);
    c->deaf = false;
    GW_UNTIL(&g, c->in.n > sizeof body);
    GW_UNTIL(&g, c->eof);
    gw_close(&g);
}

TEST(back_pressure_holds_the_upstream)
{
    if (STRESSED)
        return;
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    small_window(c);
    c->deaf = true;
    say(c, GET("/big"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /big"));
    say(u, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    static char block[1 << 20];
    size_t sent = 0;
    for (int still = 0; still < 30;) {
        ssize_t k = send(u->fd, block, sizeof block, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        still = k > 0 ? 0 : still + 1;
        gw_turn(&g);
    }
    conn_t *conn = CONTAINER_OF(g.w.conns.next, conn_t, links);
    CHECK(sock_pending(conn->sock) <= 64 * 1024);
    CHECK(sent < 50000000);
    c->deaf = false;
    while (sent < 100000000) {
        size_t left = 100000000 - sent;
        ssize_t k = send(u->fd, block, left < sizeof block ? left : sizeof block, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        gw_turn(&g);
        if (c->in.n > 1 << 20 && sent < 99000000)
            c->in.n = 0, c->in.head = 0;
    }
    GW_UNTIL(&g, g.n_logged == 1);
    CHECK_EQ_INT(g.logged[0], 200);
    gw_close(&g);
}

TEST(drain_tells_and_waits)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *idle = gw_dial(&g), *busy = gw_dial(&g), *half = gw_dial(&g);
    say(idle, GET("/none"));
    GW_UNTIL(&g, heard(idle, "503"));
    say(busy, GET("/slow"));
    say(half, "GET /none HTTP/1.1\r\n");
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /slow"));
    worker_drain(&g.w);
    GW_UNTIL(&g, idle->eof);
    CHECK(!idle->reset && !g.w.stopping);
    say(u, OK_2);
    GW_UNTIL(&g, busy->eof);
    CHECK(heard(busy, "Connection: close") && ends_with(busy, "ok"));
    CHECK(!g.w.stopping); // a head is on its way
    say(half, "Host: a\r\n\r\n");
    GW_UNTIL(&g, half->eof);
    CHECK(heard(half, "503") && heard(half, "Connection: close"));
    GW_UNTIL(&g, g.w.stopping);
    gw_close(&g);
}

TEST(the_end_of_a_drain_ends_streams_between_events)
{
    if (STRESSED)
        return;
    gateway_t g;
    gw_open(&g, (char *[]){"drain_timeout=50", NULL});
    g.tap = true;
    peer_t *c = gw_dial(&g);
    say(c, GET("/stream"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "GET /stream"));
    say(u, STREAM_HEAD "7\r\ndata: a\r\n");
    GW_UNTIL(&g, heard(c, "data: a"));
    worker_drain(&g.w);
    GW_UNTIL(&g, g.w.stopping);
    GW_UNTIL(&g, c->eof);
    CHECK(heard(c, "data: a\r\n2\r\n\n\n\r\n") && heard(c, "gateway_shutdown") &&
          ends_with(c, "0\r\n\r\n"));
    gw_close(&g);
}

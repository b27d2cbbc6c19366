// Exchanges with upstreams: when a request is sent again, early answers, what ends a response, what goes back to the pool.
#include "gateway.h"

// One request over a connection that is kept afterwards: the pool then holds its upstream connection.
static peer_t *warm(gateway_t *g, peer_t *c)
{
    say(c, GET("/warm"));
    peer_t *u = gw_accept(g);
    GW_UNTIL(g, heard(u, "\r\n\r\n"));
    say(u, OK_2);
    GW_UNTIL(g, ends_with(c, "ok"));
    CHECK_EQ_INT(pools_idle(g->w.pools), 1);
    forget(c);
    forget(u);
    return u;
}

TEST(a_connection_is_used_again)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g), *u = warm(&g, c);
    say(c, GET("/again"));
    GW_UNTIL(&g, heard(u, "GET /again HTTP/1.1\r\n"));
    CHECK(gw_none_waits(&g));
    say(u, OK_2);
    GW_UNTIL(&g, ends_with(c, "ok"));
    CHECK_EQ_INT(pools_idle(g.w.pools), 1);
    CHECK_EQ_INT(pools_count(g.w.pools), 1);
    gw_close(&g);
}

TEST(a_pool_ends_with_its_last_connection)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g), *u = warm(&g, c);
    hang_up(u);
    GW_UNTIL(&g, pools_idle(g.w.pools) == 0);
    CHECK_EQ_INT(pools_count(g.w.pools), 0);
    gw_close(&g);
}

typedef struct race {
    const char *name, *request, *settings;
    bool reset, again;
} race_t;

// The upstream closes a kept connection as the request arrives.
static const race_t RACES[] = {
    {"GET", GET("/x"), NULL, false, true},
    {"GET, reset", GET("/x"), NULL, true, true},
    {"PUT", "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", NULL, false, true},
    {"POST", POST("/x", "2") "hi", NULL, false, false},
    {"POST, reset", POST("/x", "2") "hi", NULL, true, false},
    {"POST, allowed", POST("/x", "2") "hi", "retry_non_idempotent=on", false, true},
};

TEST(the_keep_alive_race)
{
    for (size_t i = 0; i < sizeof RACES / sizeof *RACES; i++) {
        const race_t *race = &RACES[i];
        if (STRESSED && strstr(race->request, "Content-Length"))
            continue; // its body streams, so it cannot be sent again
        gateway_t g;
        gw_open(&g, (char *[]){(char *)race->settings, NULL});
        peer_t *c = gw_dial(&g), *u = warm(&g, c);
        say(c, race->request);
        GW_UNTIL(&g, heard(u, " /x "));
        if (race->reset)
            reset(u);
        else
            hang_up(u);
        if (race->again) {
            u = gw_accept(&g);
            GW_UNTIL(&g, heard(u, " /x "));
            say(u, OK_2);
            GW_UNTIL(&g, ends_with(c, "ok"));
        } else {
            GW_UNTIL(&g, heard(c, "HTTP/1.1 502 "));
            CHECK(gw_none_waits(&g));
        }
        if (!CHECK_EQ_INT(g.n_logged, 2))
            TEST_NOTE("%s", race->name);
        CHECK(!heard(c, "Connection: close"));
        gw_close(&g);
    }
}

TEST(a_second_try_gets_a_fresh_connection_and_is_the_last)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g), *u = warm(&g, c);
    say(c, GET("/x"));
    GW_UNTIL(&g, heard(u, " /x "));
    hang_up(u);
    for (int i = 0; i < 8 && !heard(c, "HTTP/1.1 "); i++) {
        gw_pass(&g, 30);
        int fd = accept(g.up_fd, NULL, NULL);
        if (fd >= 0)
            close(fd);
    }
    GW_UNTIL(&g, heard(c, "HTTP/1.1 502 "));
    CHECK_EQ_INT(g.n_logged, 2);
    gw_close(&g);
}

TEST(nothing_is_sent_again_once_a_byte_has_come)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g), *u = warm(&g, c);
    say(c, GET("/x"));
    GW_UNTIL(&g, heard(u, " /x "));
    say(u, "HTTP/1.1 20");
    gw_pass(&g, 10);
    hang_up(u);
    GW_UNTIL(&g, heard(c, "HTTP/1.1 502 "));
    CHECK(gw_none_waits(&g));
    gw_close(&g);
}

typedef struct answer {
    const char *name, *request, *bytes, *want_end; // want_end: how the client's bytes end
    bool close, kept; // close: the upstream closes; kept: the connection goes to the pool
} answer_t;

static const answer_t ANSWERS[] = {
    {"counted", GET("/x"), OK_2, "\r\n\r\nok", false, true},
    {"empty", GET("/x"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n", false,
     true},
    {"chunked", GET("/x"),
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n",
     "2\r\nok\r\n0\r\n\r\n", false, true},
    {"closed just after", GET("/x"), OK_2, "\r\n\r\nok", true, false},
    {"said to close", GET("/x"),
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\nok", false,
     false},
    {"HTTP/1.0", GET("/x"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\nok",
     false, false},
    {"HTTP/1.0 kept", GET("/x"),
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\nok",
     false, true},
    {"until close", GET("/x"), "HTTP/1.0 200 OK\r\n\r\nok", "2\r\nok\r\n0\r\n\r\n", true,
     false},
    {"until close, empty", GET("/x"), "HTTP/1.1 200 OK\r\n\r\n", "\r\n\r\n0\r\n\r\n", true,
     false},
    {"garbage behind", GET("/x"), OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
     "\r\n\r\nok", false, false},
    {"HEAD with a body", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", OK_2, "\r\n\r\n", false, false},
    {"HEAD", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "\r\n\r\n", false, true},
    {"204 with a body", GET("/x"), "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", "\r\n\r\n",
     false, false},
    {"304", GET("/x"), "HTTP/1.1 304 No\r\nETag: a\r\n\r\n", "\r\n\r\n", false, true},
    {"1xx first", GET("/x"), "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\n" OK_2,
     "\r\n\r\nok", false, true},
    {"no field lines", GET("/x"), "HTTP/1.1 204 No\r\n\r\n", "\r\n\r\n", false, true},
};

TEST(answers_whole_and_in_any_pieces)
{
    for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++) {
        const answer_t *a = &ANSWERS[i];
        if (STRESSED && strstr(a->want_end, "2\r\nok"))
            continue;
        size_t n = strlen(a->bytes), step = n > 60 ? 7 : 3;
        for (size_t cut = 0; cut < n; cut += step) {
            gateway_t g;
            gw_open(&g, NULL);
            peer_t *c = gw_dial(&g);
            say(c, a->request);
            peer_t *u = gw_accept(&g);
            GW_UNTIL(&g, heard(u, "\r\n\r\n"));
            if (cut)
                peer_send(u, a->bytes, cut);
            gw_turn(&g);
            gw_turn(&g);
            if (u->eof || u->reset || g.n_logged)
                goto done; // it was complete before the garbage
            peer_send(u, a->bytes + cut, n - cut);
            if (a->close)
                shutdown(u->fd, SHUT_WR);
            GW_UNTIL(&g, g.n_logged == 1);
            GW_UNTIL(&g, ends_with(c, a->want_end));
            gw_pass(&g, 3);
            bool ok = CHECK_EQ_INT(g.w.n_conns, 1) && CHECK(!c->eof) &&
                      CHECK_EQ_INT(pools_idle(g.w.pools), a->kept) &&
                      CHECK(!heard(c, "Connection: close")) && CHECK(!heard(c, "evil"));
            if (!ok)
                TEST_NOTE("%s, cut at %zu", a->name, cut);
        done:
            gw_close(&g);
        }
    }
}

typedef struct cut {
    const char *name, *bytes;
    bool reset_seen; // only a reset tells the client
} cut_t;

static const cut_t CUTS[] = {
    {"counted", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", false},
    {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", false},
    {"between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
     false},
};

TEST(a_cut_answer_never_ends_well)
{
    if (STRESSED)
        return;
    for (size_t i = 0; i < sizeof CUTS / sizeof *CUTS; i++) {
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        say(c, GET("/x"));
        peer_t *u = gw_accept(&g);
        GW_UNTIL(&g, heard(u, "\r\n\r\n"));
        say(u, CUTS[i].bytes);
        GW_UNTIL(&g, heard(c, "ok"));
        hang_up(u);
        GW_UNTIL(&g, c->eof || c->reset);
        CHECK(!ends_with(c, "0\r\n\r\n"));
        CHECK_EQ_INT(g.n_logged, 1);
        gw_close(&g);
    }
}

TEST(more_than_eight_interim_answers_are_too_many)
{
    for (int n = 8; n <= 9; n++) {
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        say(c, GET("/x"));
        peer_t *u = gw_accept(&g);
        GW_UNTIL(&g, heard(u, "\r\n\r\n"));
        for (int i = 0; i < n; i++)
            say(u, "HTTP/1.1 103 Early\r\n\r\n");
        gw_pass(&g, 10);
        if (n == 8)
            say(u, OK_2);
        GW_UNTIL(&g, heard(c, n == 8 ? "HTTP/1.1 200 " : "HTTP/1.1 502 "));
        gw_close(&g);
    }
}

TEST(an_early_answer_is_passed_on_and_the_connection_told_nothing_wrong)
{
    gateway_t g;
    gw_open(&g, (char *[]){"lingering_time=200", NULL});
    peer_t *c = gw_dial(&g);
    say(c, POST("/x", "3000000") "begin");
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "begin"));
    say(u, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    shutdown(u->fd, SHUT_WR);
    GW_UNTIL(&g, ends_with(c, "no"));
    CHECK(heard(c, "HTTP/1.1 413 "));
    GW_UNTIL(&g, u->eof || u->reset);
    static char more[100000];
    for (int i = 0; i < 10; i++) { // the client sends on: it is not reset while it does
        (void)send(c->fd, more, sizeof more, MSG_NOSIGNAL);
        gw_turn(&g);
    }
    GW_UNTIL(&g, c->eof || c->reset);
    CHECK(!c->reset);
    gw_close(&g);
}

TEST(both_directions_at_once_are_bounded)
{
    if (STRESSED)
        return;
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, POST("/x", "50000000"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "\r\n\r\n"));
    u->deaf = true;
    say(u, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"); // answers, but reads no more
    GW_UNTIL(&g, heard(c, "ok"));
    static char block[1 << 20];
    size_t sent = 0;
    for (int still = 0; still < 30;) {
        ssize_t k = send(c->fd, block, sizeof block, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        still = k > 0 ? 0 : still + 1;
        gw_turn(&g);
    }
    request_t *r = CONTAINER_OF(g.w.requests.next, request_t, links);
    CHECK(sent < 40000000);
    CHECK(r->body.paused);
    say(u, "!!");
    GW_UNTIL(&g, g.n_logged == 1);
    gw_close(&g);
}

TEST(a_client_that_sends_slowly_is_no_fault_of_the_upstream)
{
    gateway_t g;
    gw_open(&g, NULL); // read_timeout 1 s
    peer_t *c = gw_dial(&g);
    say(c, POST("/x", "4"));
    peer_t *u = gw_accept(&g);
    gw_pass(&g, 1300);
    CHECK_EQ_INT(c->in.n, 0);
    say(c, "body");
    GW_UNTIL(&g, ends_with(u, "body"));
    say(u, OK_2);
    GW_UNTIL(&g, ends_with(c, "ok"));
    gw_close(&g);
}

TEST(an_upstream_that_is_silent_ends_with_504)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, POST("/x", "2") "hi");
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(c, "HTTP/1.1 504 "));
    GW_UNTIL(&g, u->eof || u->reset);
    gw_close(&g);
}

typedef struct leaver {
    const char *name, *request, *answer;
} leaver_t;

static const leaver_t LEAVERS[] = {
    {"before the answer", GET("/x"), ""},
    {"within a stream", GET("/x"), STREAM_HEAD "7\r\ndata: a\r\n"},
    {"within its body", POST("/x", "100000") "abc", ""},
    {"with the answer begun within its body", POST("/x", "100000") "abc", STREAM_HEAD},
};

TEST(a_client_that_leaves_is_a_499_and_takes_the_upstream_along)
{
    for (size_t i = 0; i < 2 * sizeof LEAVERS / sizeof *LEAVERS; i++) {
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        const leaver_t *l = &LEAVERS[i / 2];
        say(c, l->request);
        peer_t *u = gw_accept(&g);
        GW_UNTIL(&g, heard(u, "\r\n\r\n"));
        say(u, l->answer);
        gw_pass(&g, 5);
        uint64_t from = clock_mono_us();
        if (i % 2)
            reset(c);
        else
            hang_up(c);
        GW_UNTIL(&g, u->eof || u->reset);
        CHECK(clock_mono_us() - from < 200000);
        bool ok = CHECK_EQ_INT(g.n_logged, 1) && CHECK_EQ_INT(g.logged[0], 499) &&
                  CHECK(g.aborted[0]);
        if (!ok)
            TEST_NOTE("%s", l->name);
        gw_close(&g);
    }
}

TEST(a_client_that_leaves_after_its_answer_had_one)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, POST("/none", "1000") "abc");
    GW_UNTIL(&g, heard(c, "request_id"));
    CHECK(!heard(c, "Connection: close"));
    CHECK_EQ_INT(g.n_logged, 0); // the rest of the body saves the connection
    hang_up(c);
    GW_UNTIL(&g, g.n_logged == 1);
    CHECK_EQ_INT(g.logged[0], 503);
    gw_close(&g);
}

TEST(expect_100_continue)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, ends_with(c, "HTTP/1.1 100 Continue\r\n\r\n"));
    say(c, "hi");
    GW_UNTIL(&g, ends_with(u, "hi"));
    CHECK(!heard(u, "Expect"));
    say(u, OK_2);
    GW_UNTIL(&g, ends_with(c, "ok"));
    CHECK_EQ_INT(count(c, "100 Continue"), 1);
    forget(c);
    say(c,
        "POST /none HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    GW_UNTIL(&g, c->eof);
    CHECK(heard(c, "HTTP/1.1 503 ") && heard(c, "Connection: close") &&
          !heard(c, "100 Continue"));
    gw_close(&g);
}

TEST(hidden_usage_changes_the_framing_only)
{
    if (STRESSED)
        return;
    gateway_t g;
    gw_open(&g, NULL);
    g.tap = g.tap_hides = true;
    peer_t *c = gw_dial(&g);
    say(c, GET("/x"));
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, heard(u, "\r\n\r\n"));
    say(u, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 76\r\n\r\n"
           "data: {\"choices\":[{}]}\n\ndata: {\"choices\":[],\"usage\":{\"a\":1}}\n\ndata: "
           "[DONE]\n\n");
    GW_UNTIL(&g, ends_with(c, "data: [DONE]\n\n\r\n0\r\n\r\n"));
    CHECK(heard(c, "Transfer-Encoding: chunked") && !heard(c, "Content-Length") &&
          !heard(c, "usage"));
    gw_close(&g);
}

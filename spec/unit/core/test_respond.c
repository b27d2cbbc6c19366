// Responses made here: framing by version and method, what Connection says against what happens, errors in any state.
#include "gateway.h"

static request_t *waiting_request(gateway_t *g, peer_t *c, const char *text)
{
    say(c, text);
    peer_t *u = gw_accept(g);
    GW_UNTIL(g, heard(u, "\r\n\r\n"));
    request_t *r = CONTAINER_OF(g->w.requests.next, request_t, links);
    request_hold(r);
    exchange_detach(r); // a plugin answers instead
    return r;
}

typedef struct exit_row {
    const char *request;
    unsigned status;
    const char *body, *want_line, *want_end;
    bool closes;
} exit_row_t;

static const exit_row_t EXITS[] = {
    {GET("/x"), 200, "hi", "Content-Length: 2\r\n", "\r\n\r\nhi", false},
    {GET("/x"), 200, "", "Content-Length: 0\r\n", "\r\n\r\n", false},
    {GET("/x"), 204, "hi", "HTTP/1.1 204 No Content\r\n", "\r\n\r\n", false},
    {GET("/x"), 304, "hi", "HTTP/1.1 304 Not Modified\r\n", "\r\n\r\n", false},
    {"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hi", "Content-Length: 2\r\n", "\r\n\r\n",
     false},
    {"GET /x HTTP/1.0\r\n\r\n", 200, "hi", "Connection: close\r\n", "\r\n\r\nhi", true},
    {"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "hi",
     "Connection: keep-alive\r\n", "\r\n\r\nhi", false},
    {"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, "hi",
     "Connection: close\r\n", "\r\n\r\nhi", true},
};

TEST(whole_responses)
{
    for (size_t i = 0; i < sizeof EXITS / sizeof *EXITS; i++) {
        const exit_row_t *row = &EXITS[i];
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        request_t *r = waiting_request(&g, c, row->request);
        respond_exit(r, row->status, str_from(row->body), STR(""));
        request_drop(r);
        GW_UNTIL(&g, ends_with(c, row->want_end));
        gw_pass(&g, 5);
        bool ok = CHECK(heard(c, row->want_line)) && CHECK_EQ_INT(c->eof, row->closes) &&
                  CHECK_EQ_INT(heard(c, "Connection: close"), row->closes) &&
                  CHECK(!heard(c, "chunked")) &&
                  CHECK(row->status != 204 || !heard(c, "Content-Length"));
        if (!ok)
            TEST_NOTE("%u for %s", row->status, row->request);
        gw_close(&g);
    }
}

TEST(a_response_in_pieces)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    request_t *r = waiting_request(&g, c, GET("/x"));
    CHECK_EQ_INT(respond_begin(r, 200, UINT64_MAX), 0);
    for (int i = 0; i < 40; i++) // more slices than are gathered at once
        CHECK_EQ_INT(respond_body(r, STR("ab")), 0);
    CHECK_EQ_INT(respond_body(r, STR("")), 0); // is no end
    respond_end(r);
    request_drop(r);
    GW_UNTIL(&g, ends_with(c, "2\r\nab\r\n0\r\n\r\n"));
    CHECK_EQ_INT(count(c, "2\r\nab\r\n"), 40);
    gw_close(&g);
}

TEST(pieces_for_http_1_0_end_with_the_connection)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    request_t *r = waiting_request(&g, c, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_EQ_INT(respond_begin(r, 200, UINT64_MAX), 0);
    CHECK_EQ_INT(respond_body(r, STR("ab")), 0);
    respond_end(r);
    request_drop(r);
    GW_UNTIL(&g, c->eof);
    CHECK(!c->reset && heard(c, "Connection: close") && ends_with(c, "\r\n\r\nab"));
    gw_close(&g);
}

TEST(an_abort_is_seen)
{
    static const char *const REQUESTS[] = {GET("/x"), "GET /x HTTP/1.0\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        request_t *r = waiting_request(&g, c, REQUESTS[i]);
        CHECK_EQ_INT(respond_begin(r, 200, UINT64_MAX), 0);
        CHECK_EQ_INT(respond_body(r, STR("ab")), 0);
        respond_flush(r);
        GW_UNTIL(&g, heard(c, "ab"));
        respond_error(r, 500, NULL); // the head is out
        request_drop(r);
        GW_UNTIL(&g, c->eof || c->reset);
        CHECK(i == 0 || c->reset);
        CHECK(!ends_with(c, "0\r\n\r\n") && !heard(c, "message"));
        CHECK_EQ_INT(g.logged[0], 200);
        gw_close(&g);
    }
}

TEST(a_short_response_ends_the_connection)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    request_t *r = waiting_request(&g, c, GET("/x"));
    CHECK_EQ_INT(respond_begin(r, 200, 5), 0);
    CHECK_EQ_INT(respond_body(r, STR("ab")), 0);
    respond_end(r);
    request_drop(r);
    GW_UNTIL(&g, c->eof || c->reset);
    CHECK(ends_with(c, "\r\n\r\nab"));
    gw_close(&g);
}

TEST(never_more_than_was_declared)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    request_t *r = waiting_request(&g, c, GET("/x"));
    CHECK_EQ_INT(respond_begin(r, 200, 3), 0);
    CHECK_EQ_INT(respond_body(r, STR("abcdef")), 0);
    respond_end(r);
    request_drop(r);
    GW_UNTIL(&g, ends_with(c, "\r\n\r\nabc"));
    CHECK(!heard(c, "Connection: close"));
    gw_close(&g);
}

TEST(field_lines_cannot_be_split)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    request_t *r = waiting_request(&g, c, GET("/x"));
    CHECK(respond_header_set(r, STR("X-A"), STR("b\r\nX-Evil: 1")) != 0);
    CHECK(respond_header_add(r, STR("X A"), STR("b")) != 0);
    CHECK(respond_header_add(r, STR(""), STR("b")) != 0);
    CHECK_EQ_INT(respond_header_set(r, STR("Content-Length"), STR("99")),
                 0); // framing is ours all the same
    CHECK_EQ_INT(respond_header_set(r, STR("Transfer-Encoding"), STR("chunked")), 0);
    CHECK_EQ_INT(respond_header_set(r, STR("Connection"), STR("upgrade")), 0);
    CHECK_EQ_INT(respond_header_add(r, STR("X-B"), STR("1")), 0);
    CHECK_EQ_INT(respond_header_add(r, STR("X-B"), STR("2")), 0);
    CHECK_EQ_INT(respond_header_on_success(r, STR("X-C"), STR("3")), 0);
    respond_exit(r, 200, STR("hi"), STR("text/plain"));
    request_drop(r);
    GW_UNTIL(&g, ends_with(c, "\r\n\r\nhi"));
    CHECK(!heard(c, "Evil") && !heard(c, "Content-Length: 99") && !heard(c, "chunked") &&
          !heard(c, "upgrade"));
    CHECK(heard(c, "Content-Length: 2\r\n") && heard(c, "X-B: 1\r\n") &&
          heard(c, "X-B: 2\r\n") && !heard(c, "X-C"));
    gw_close(&g);
}

typedef struct unread_row {
    const char *request, *rest; // rest: what makes the body whole; NULL: it stays away
    bool closes;
} unread_row_t;

static const unread_row_t UNREAD[] = {
    {POST("/none", "5") "ab", "cde", false}, // little is left: it is read off
    {"POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
     "0\r\n\r\n", false},
    {POST("/none", "5") "ab", NULL, true},      // until body_timeout
    {POST("/none", "500000") "ab", NULL, true}, // too much
    {"POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NULL, true},
};

TEST(an_unread_body)
{
    for (size_t i = 0; i < sizeof UNREAD / sizeof *UNREAD; i++) {
        gateway_t g;
        gw_open(&g, (char *[]){"body_timeout=60", "lingering_time=50", NULL});
        peer_t *c = gw_dial(&g);
        say(c, UNREAD[i].request);
        GW_UNTIL(&g, heard(c, "request_id"));
        if (UNREAD[i].rest)
            say(c, UNREAD[i].rest);
        if (UNREAD[i].closes) {
            GW_UNTIL(&g, c->eof || c->reset);
            CHECK(!c->reset);
        } else {
            GW_UNTIL(&g, g.n_logged == 1);
            forget(c);
            say(c, GET("/none"));
            GW_UNTIL(&g, heard(c, "HTTP/1.1 503 "));
        }
        gw_close(&g);
    }
}

TEST(a_body_that_stops_is_a_408)
{
    gateway_t g;
    gw_open(&g, (char *[]){"body_timeout=60", NULL});
    peer_t *c = gw_dial(&g);
    say(c, POST("/x", "5") "ab");
    GW_UNTIL(&g, c->eof);
    CHECK(heard(c, "HTTP/1.1 408 ") && heard(c, "Connection: close"));
    CHECK_EQ_INT(g.logged[0], 408);
    gw_close(&g);
}

TEST(a_body_nobody_waits_for_may_take_its_time)
{
    gateway_t g;
    gw_open(&g, (char *[]){"body_timeout=40", NULL});
    peer_t *c = gw_dial(&g);
    say(c, POST("/x", "5") "ab");
    peer_t *u = gw_accept(&g);
    GW_UNTIL(&g, ends_with(u, "ab"));
    request_t *r = CONTAINER_OF(g.w.requests.next, request_t, links);
    request_hold(r);
    exchange_detach(r);
    CHECK_EQ_INT(respond_begin(r, 200, UINT64_MAX), 0);
    CHECK_EQ_INT(respond_body(r, STR("one")), 0);
    respond_flush(r);
    gw_pass(&g, 120);
    CHECK_EQ_INT(respond_body(r, STR("two")), 0);
    respond_end(r);
    request_drop(r);
    GW_UNTIL(&g, c->eof);
    CHECK(!c->reset && heard(c, "one") && ends_with(c, "3\r\ntwo\r\n0\r\n\r\n"));
    gw_close(&g);
}

TEST(errors_speak_the_media_type_asked_for)
{
    static const char *const ROWS[][2] = {
        {"", "application/json; charset=utf-8"},
        {"Accept: text/html\r\n", "text/html; charset=utf-8"},
        {"Accept: text/plain;q=0.5, application/xml;q=0.9\r\n",
         "application/xml; charset=utf-8"},
        {"Accept: image/png\r\n", "application/json; charset=utf-8"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        gateway_t g;
        char request[200];
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g);
        snprintf(request, sizeof request, "GET /none HTTP/1.1\r\nHost: a\r\n%s\r\n",
                 ROWS[i][0]);
        say(c, request);
        GW_UNTIL(&g, heard(c, "no Service found"));
        CHECK(heard(c, ROWS[i][1]));
        gw_close(&g);
    }
}

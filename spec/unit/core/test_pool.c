// Kept upstream connections: how many, how long, how often, and what ends an idle one.
#include "gateway.h"

// n requests at once over n client connections; their n upstream connections are given back.
static void fill(gateway_t *g, peer_t **clients, peer_t **ups, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        clients[i] = gw_dial(g);
        say(clients[i], GET("/x"));
        ups[i] = gw_accept(g);
        GW_UNTIL(g, heard(ups[i], "\r\n\r\n"));
    }
    for (unsigned i = 0; i < n; i++) {
        say(ups[i], OK_2);
        GW_UNTIL(g, ends_with(clients[i], "ok"));
    }
}

TEST(no_more_are_kept_than_the_pool_holds)
{
    gateway_t g;
    gw_open(&g, (char *[]){"upstream_keepalive_pool=2", NULL});
    peer_t *c[3], *u[3];
    fill(&g, c, u, 3);
    CHECK_EQ_INT(pools_idle(g.w.pools), 2);
    GW_UNTIL(&g, u[2]->eof || u[2]->reset);
    CHECK(!u[0]->eof && !u[1]->eof);
    gw_close(&g);
}

TEST(the_one_used_last_is_taken_first)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c[2], *u[2];
    fill(&g, c, u, 2);
    forget(u[0]);
    forget(u[1]);
    say(c[0], GET("/next"));
    GW_UNTIL(&g, heard(u[1], "GET /next"));
    CHECK_EQ_INT(u[0]->in.n, 0);
    say(u[1], OK_2);
    GW_UNTIL(&g, count(c[0], "200 OK") == 2);
    gw_close(&g);
}

TEST(one_that_served_enough_is_closed)
{
    gateway_t g;
    gw_open(&g, (char *[]){"upstream_keepalive_requests=2", NULL});
    peer_t *c[1], *u[1];
    fill(&g, c, u, 1);
    say(c[0], GET("/second"));
    GW_UNTIL(&g, heard(u[0], "GET /second"));
    say(u[0], OK_2);
    GW_UNTIL(&g, u[0]->eof || u[0]->reset);
    CHECK_EQ_INT(pools_idle(g.w.pools), 0);
    CHECK_EQ_INT(pools_count(g.w.pools), 0);
    gw_close(&g);
}

TEST(an_idle_one_ends_in_time_or_with_its_peer)
{
    enum { TIME, CLOSE, RESET, BYTES, WAYS };
    for (int way = 0; way < WAYS; way++) {
        gateway_t g;
        gw_open(&g, (char *[]){way == TIME ? "upstream_keepalive=40" : "upstream_keepalive=60s",
                               NULL});
        peer_t *c[2], *u[2];
        fill(&g, c, u, 2);
        CHECK_EQ_INT(pools_idle(g.w.pools), 2);
        if (way == CLOSE)
            hang_up(u[0]);
        else if (way == RESET)
            reset(u[0]);
        else if (way == BYTES)
            say(u[0], "HTTP/1.1 200 OK\r\n\r\n");
        unsigned left = way == TIME ? 0 : 1;
        GW_UNTIL(&g, pools_idle(g.w.pools) == left);
        CHECK_EQ_INT(pools_count(g.w.pools), left);
        if (way != TIME) {
            forget(u[1]);
            say(c[0], GET("/after"));
            GW_UNTIL(&g, heard(u[1], "GET /after"));
            say(u[1], OK_2);
            GW_UNTIL(&g, count(c[0], "200 OK") == 2);
        }
        gw_close(&g);
    }
}

TEST(a_cancelled_connect_leaves_no_pool)
{
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g);
    say(c, GET("/x"));
    while (g.w.n_requests == 0)
        gw_turn(&g);
    hang_up(c);
    GW_UNTIL(&g, g.w.n_requests == 0);
    CHECK_EQ_INT(pools_count(g.w.pools), 0);
    gw_close(&g);
}

// A balancer over addresses given as they are and names of /etc/hosts: who is usable, retries, failover, the threshold,
// changes in place, and waiting for names.
#include "test.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/balancer.h"
#include "io/dns.h"

typedef struct world {
    loop_t *loop;
    peers_t *peers;
    arena_t arena;
    balancer_t *b;
} world_t;

static upstream_t upstream_of(world_t *w, const char *rest)
{
    char why[200] = "";
    upstream_t u;
    str_t json = arena_printf(&w->arena, "{\"name\":\"u\",%s}", rest);
    if (!CHECK_EQ_INT(upstream_read(json, &w->arena, &u, why, sizeof why), 0))
        TEST_NOTE("%s", why);
    return u;
}

static void world_open(world_t *w, const char *rest)
{
    log_set_level(LOG_EMERG);
    w->loop = loop_create();
    w->peers = peers_create();
    arena_init(&w->arena);
    upstream_t u = upstream_of(w, rest);
    w->b = balancer_create(&(balancer_env_t){.loop = w->loop, .peers = w->peers}, &u);
}

// Asserts, in peers and loop, that nothing is left.
static void world_close(world_t *w)
{
    balancer_release(w->b);
    peers_destroy(w->peers);
    arena_dispose(&w->arena);
    CHECK_EQ_INT(loop_live(w->loop), 0);
    loop_destroy(w->loop);
}

// The port that is picked; 0: none, 1: wait.
static unsigned pick(world_t *w, const uint64_t *tried, unsigned n)
{
    peer_t *p = NULL;
    int rc = balancer_pick(w->b, &(choice_t){0}, tried, n, &p);
    return rc == 0 ? p->name.port : rc > 0 ? 1 : 0;
}

static peer_t *peer_at(world_t *w, uint16_t port)
{
    const candidates_t *c = balancer_candidates(w->b);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->v[i].peer->name.port == port)
            return c->v[i].peer;
    }
    CHECK(!"a peer at that port");
    abort();
}

#define T(port, more) "{\"host\":\"10.0.0.1\",\"port\":" port more "}"
#define CHECKED                                                                                \
    "\"healthchecks\":{\"passive\":{\"unhealthy\":{\"http_failures\":1}}},\"targets\":"

static const health_limits_t ONE = {.http_failures = 1, .successes = 1};

TEST(a_retry_goes_elsewhere_while_there_is_an_elsewhere)
{
    world_t w;
    world_open(&w, "\"targets\":[" T("11", "") "," T("12", "") "," T("13", "") "]");
    for (int round = 0; round < 5; round++) {
        uint64_t tried[3];
        unsigned seen = 0;
        for (unsigned n = 0; n < 3; n++) {
            unsigned port = pick(&w, tried, n);
            CHECK(!(seen & 1u << port));
            seen |= 1u << port;
            tried[n] = peer_at(&w, (uint16_t)port)->key;
        }
        CHECK(pick(&w, tried, 3) > 10); // all were tried: any again
        CHECK(pick(&w, NULL, 0) > 10);
    }
    world_close(&w);
}

TEST(retries_do_not_upset_the_turns_of_the_others)
{
    world_t w;
    unsigned count[20] = {0};
    world_open(&w, "\"targets\":[" T("11", "") "," T("12", "") "]");
    uint64_t tried = peer_at(&w, 11)->key;
    CHECK_EQ_INT(pick(&w, &tried, 1), 12);
    for (int i = 0; i < 100; i++)
        count[pick(&w, NULL, 0)]++;
    CHECK_EQ_INT(count[11], 50);
    world_close(&w);
}

TEST(the_unhealthy_are_left_out_and_come_back)
{
    world_t w;
    world_open(&w, CHECKED "[" T("11", "") "," T("12", "") "]");
    CHECK_EQ_INT(balancer_target_health(w.b, 0), TARGET_HEALTHY);
    health_report(peer_at(&w, 11)->cell, &ONE, HEALTH_HTTP_FAILURE);
    for (int i = 0; i < 4; i++)
        CHECK_EQ_INT(pick(&w, NULL, 0), 12);
    CHECK_EQ_INT(balancer_target_health(w.b, 0), TARGET_UNHEALTHY);
    health_report(peer_at(&w, 12)->cell, &ONE, HEALTH_HTTP_FAILURE);
    CHECK_EQ_INT(pick(&w, NULL, 0), 0);
    CHECK(balancer_is_down(w.b));
    health_report(peer_at(&w, 11)->cell, &ONE, HEALTH_SUCCESS);
    CHECK_EQ_INT(pick(&w, NULL, 0), 11);
    world_close(&w);
}

TEST(an_unhealthy_target_is_not_tried_again_either)
{
    world_t w;
    world_open(&w, CHECKED "[" T("11", "") "," T("12", "") "," T("13", "") "]");
    health_report(peer_at(&w, 11)->cell, &ONE, HEALTH_HTTP_FAILURE);
    uint64_t tried[2] = {peer_at(&w, 12)->key, peer_at(&w, 13)->key};
    CHECK_EQ_INT(pick(&w, tried, 1), 13);
    CHECK(pick(&w, tried, 2) >= 12);
    world_close(&w);
}

TEST(below_the_threshold_nobody_is_used)
{
    world_t w;
    world_open(&w, "\"healthchecks\":{\"threshold\":50,\"passive\":{\"unhealthy\":{"
                   "\"http_failures\":1}}},\"targets\":[" T("11", ",\"weight\":51") "," T(
                       "12", ",\"weight\":49") "]");
    health_report(peer_at(&w, 12)->cell, &ONE, HEALTH_HTTP_FAILURE);
    CHECK_EQ_INT(pick(&w, NULL, 0), 11);
    health_report(peer_at(&w, 12)->cell, &ONE, HEALTH_SUCCESS);
    health_report(peer_at(&w, 11)->cell, &ONE, HEALTH_HTTP_FAILURE);
    CHECK_EQ_INT(pick(&w, NULL, 0), 0);
    world_close(&w);
}

TEST(failover_targets_wait_for_their_hour)
{
    world_t w;
    world_open(&w, CHECKED "[" T("11", "") "," T("12", ",\"failover\":true") "]");
    uint64_t tried = peer_at(&w, 11)->key;
    CHECK_EQ_INT(pick(&w, NULL, 0), 11);
    CHECK_EQ_INT(pick(&w, &tried, 1), 12);
    CHECK_EQ_INT(pick(&w, NULL, 0), 11);
    health_report(peer_at(&w, 11)->cell, &ONE, HEALTH_HTTP_FAILURE);
    CHECK_EQ_INT(pick(&w, NULL, 0), 12);
    world_close(&w);
}

TEST(below_the_threshold_retries_stay_with_failover_targets_too)
{
    world_t w;
    world_open(&w, "\"healthchecks\":{\"threshold\":90,\"passive\":{\"unhealthy\":{"
                   "\"http_failures\":1}}},\"targets\":[" T("11", "") "," T("12", "") "," T(
                       "13", ",\"failover\":true") "," T("14", ",\"failover\":true") "]");
    health_report(peer_at(&w, 12)->cell, &ONE, HEALTH_HTTP_FAILURE);
    uint64_t tried[] = {peer_at(&w, 13)->key, peer_at(&w, 14)->key};
    CHECK(pick(&w, NULL, 0) >= 13);
    CHECK_EQ_INT(pick(&w, tried, 1), 14);
    CHECK(pick(&w, tried, 2) >= 13); // again, before one of those that are too few
    world_close(&w);
}

TEST(an_update_keeps_what_stays)
{
    world_t w;
    world_open(&w, CHECKED "[" T("11", "") "," T("12", "") "]");
    peer_t *kept = peer_at(&w, 12);
    health_report(kept->cell, &ONE, HEALTH_HTTP_FAILURE);
    kept->latency_us = 77;
    upstream_t u = upstream_of(&w, CHECKED "[" T("12", ",\"weight\":5") "," T("13", "") "]");
    balancer_update(w.b, &u);
    CHECK(peer_at(&w, 12) == kept);
    CHECK(kept->latency_us > 76);
    CHECK_EQ_INT(balancer_candidates(w.b)->n, 2);
    CHECK_EQ_INT(balancer_candidates(w.b)->v[0].weight, 5);
    CHECK_EQ_INT(pick(&w, NULL, 0), 13);
    u = upstream_of(&w, "\"targets\":[" T("12", "") "]"); // no checks: what they found is void
    balancer_update(w.b, &u);
    CHECK_EQ_INT(pick(&w, NULL, 0), 12);
    CHECK_EQ_INT(balancer_target_health(w.b, 0), TARGET_UNCHECKED);
    u = upstream_of(&w, "\"targets\":[]");
    balancer_update(w.b, &u);
    CHECK_EQ_INT(pick(&w, NULL, 0), 0);
    world_close(&w);
}

TEST(a_target_set_down_by_hand_is_down_without_checks)
{
    world_t w;
    world_open(&w, "\"targets\":[" T("11", "") "," T("12", "") "]");
    health_set(peer_at(&w, 11)->cell, false);
    CHECK_EQ_INT(pick(&w, NULL, 0), 12);
    CHECK_EQ_INT(pick(&w, NULL, 0), 12);
    health_set(peer_at(&w, 11)->cell, true);
    CHECK(pick(&w, NULL, 0) == 11 || pick(&w, NULL, 0) == 11);
    world_close(&w);
}

typedef struct waiting {
    balancer_waiter_t waiter;
    int called;
} waiting_t;

static void on_ready(balancer_waiter_t *w)
{
    CONTAINER_OF(w, waiting_t, waiter)->called++;
}

TEST(a_name_is_waited_for_and_waiting_can_be_taken_back)
{
    world_t w;
    waiting_t stays = {.waiter.fn = on_ready}, leaves = {.waiter.fn = on_ready}, never = {0};
    world_open(&w, "\"targets\":[{\"host\":\"localhost\",\"port\":11}]");
    CHECK_EQ_INT(pick(&w, NULL, 0), 1);
    balancer_wait(w.b, &stays.waiter);
    balancer_wait(w.b, &leaves.waiter);
    balancer_unwait(&leaves.waiter);
    balancer_unwait(&never.waiter);
    uint64_t give_up = clock_mono_us() + 5000000;
    while (!stays.called && clock_mono_us() < give_up)
        loop_turn(w.loop, 10);
    CHECK_EQ_INT(stays.called, 1);
    CHECK_EQ_INT(leaves.called, 0);
    CHECK_EQ_INT(pick(&w, NULL, 0), 11);
    CHECK_EQ_STR(peer_at(&w, 11)->name.host, "127.0.0.1");
    CHECK_EQ_STR(peer_at(&w, 11)->name.target, "localhost");
    world_close(&w);
}

TEST(a_balancer_may_end_while_names_are_asked_for)
{
    world_t w;
    world_open(&w, "\"targets\":[{\"host\":\"localhost\",\"port\":11}," T("12", "") "]");
    CHECK_EQ_INT(pick(&w, NULL, 0), 12);
    upstream_t u = upstream_of(&w, "\"targets\":[{\"host\":\"localhost\",\"port\":13}]");
    balancer_update(w.b, &u);
    world_close(&w);
}

static uint64_t session_of(const char *rest)
{
    world_t w;
    world_open(&w, rest);
    uint64_t session = balancer_candidates(w.b)->v[0].peer->session;
    world_close(&w);
    return session;
}

TEST(a_session_is_keyed_by_the_upstreams_id)
{
#define STICKY "\"algorithm\":\"sticky-sessions\",\"targets\":[" T("11", "") "]"
    uint64_t one = session_of("\"id\":\"a\"," STICKY);
    CHECK(one != 0);
    CHECK(one == session_of("\"id\":\"a\"," STICKY)); // on any gateway
    CHECK(one != session_of("\"id\":\"b\"," STICKY));
    CHECK_EQ_INT(session_of("\"targets\":[" T("11", "") "]"), 0); // nobody asks
}

TEST(a_pick_of_a_balancer_costs_little)
{
    enum { N = 200000 };
    world_t w;
    world_open(&w, CHECKED "[" T("11", "") "," T("12", "") "," T("13", "") "," T("14", "") "]");
    uint64_t start_us = clock_mono_us();
    for (int i = 0; i < N; i++)
        pick(&w, NULL, 0);
    double ns = (double)(clock_mono_us() - start_us) * 1000 / N;
    if (getenv("BENCH"))
        printf("balancer_pick, 4 targets: %.0f ns\n", ns);
    CHECK(ns < 5000);
    world_close(&w);
}

// Reading Upstreams: every member of the document, the defaults, and what is refused.
#include "test.h"

#include "config/upstream.h"

static char why[256];

static int read_text(const char *json, arena_t *a, upstream_t *u)
{
    why[0] = '\0';
    arena_init(a);
    return upstream_read(str_from(json), a, u, why, sizeof why);
}

TEST(an_upstream_without_more_than_a_name_has_the_defaults)
{
    arena_t a;
    upstream_t u;
    CHECK_EQ_INT(read_text("{\"name\":\"Pool\"}", &a, &u), 0);
    CHECK_EQ_STR(u.name, "pool");
    CHECK_EQ_INT(u.algorithm, BALANCE_ROUND_ROBIN);
    CHECK_EQ_INT(u.slots, 10000);
    CHECK_EQ_INT(u.hash_on.source, HASH_NONE);
    CHECK_EQ_STR(u.cookie_path, "/");
    CHECK_EQ_INT(u.client_certificate, -1);
    CHECK_EQ_INT(u.active.timeout_ms, 1000);
    CHECK_EQ_INT(u.active.concurrency, 10);
    CHECK_EQ_STR(u.active.path, "/");
    CHECK(u.active.verify);
    CHECK(status_in(&u.active.good, 302) && !status_in(&u.active.good, 301));
    CHECK(status_in(&u.active.bad, 404) && status_in(&u.passive.bad, 429));
    CHECK(!status_in(&u.passive.bad, 404) && !status_in(&u.passive.bad, 5000));
    CHECK(!upstream_probes(&u) && !upstream_watches(&u));
    arena_dispose(&a);
}

TEST(every_member_is_read)
{
    arena_t a;
    upstream_t u;
    int rc = read_text(
        "{\"name\":\"u\",\"algorithm\":\"consistent-hashing\",\"slots\":100,\"hash_on\":"
        "\"header\","
        "\"hash_on_header\":\"X-User\",\"hash_fallback\":\"cookie\",\"hash_on_cookie\":\"sid\","
        "\"hash_on_cookie_path\":\"/a\",\"client_certificate\":2,\"host_header\":\"h\","
        "\"healthchecks\":{\"threshold\":12.5,\"active\":{\"type\":\"https\",\"timeout\":0.25,"
        "\"concurrency\":3,\"http_path\":\"/up\",\"https_sni\":\"s\","
        "\"https_verify_certificate\":false,\"headers\":{\"A\":[\"1\",\"2\"]},"
        "\"healthy\":{\"interval\":0.5,\"successes\":2,\"http_statuses\":[201]},"
        "\"unhealthy\":{\"interval\":3,\"http_failures\":4,\"tcp_failures\":5,\"timeouts\":6,"
        "\"http_statuses\":[]}},\"passive\":{\"type\":\"tcp\",\"healthy\":{\"successes\":1},"
        "\"unhealthy\":{\"timeouts\":7}}},"
        "\"targets\":[{\"id\":\"t\",\"host\":\"A.b\",\"port\":81,\"weight\":7,\"failover\":"
        "true},"
        "{\"host\":\"::1\"}]}",
        &a, &u);
    if (!CHECK_EQ_INT(rc, 0))
        TEST_NOTE("%s", why);
    CHECK_EQ_INT(u.algorithm, BALANCE_CONSISTENT_HASHING);
    CHECK_EQ_INT(u.hash_on.source, HASH_HEADER);
    CHECK_EQ_STR(u.hash_on.name, "X-User");
    CHECK_EQ_INT(u.hash_fallback.source, HASH_COOKIE);
    CHECK_EQ_STR(u.hash_fallback.name, "sid");
    CHECK_EQ_STR(u.cookie_path, "/a");
    CHECK_EQ_INT(u.client_certificate, 1);
    CHECK(u.threshold > 12.4 && u.threshold < 12.6);
    CHECK_EQ_INT(u.active.type, CHECK_HTTPS);
    CHECK_EQ_INT(u.active.timeout_ms, 250);
    CHECK_EQ_STR(u.active.lines, "A: 1\r\nA: 2\r\n");
    CHECK(!u.active.verify && upstream_probes(&u) && upstream_watches(&u));
    CHECK_EQ_INT(u.active.healthy_ms, 500);
    CHECK_EQ_INT(u.active.unhealthy_ms, 3000);
    CHECK_EQ_INT(u.active.limits.successes, 2);
    CHECK_EQ_INT(u.active.limits.http_failures, 4);
    CHECK_EQ_INT(u.active.limits.tcp_failures, 5);
    CHECK_EQ_INT(u.active.limits.timeouts, 6);
    CHECK(status_in(&u.active.good, 201) && !status_in(&u.active.good, 200));
    CHECK(!status_in(&u.active.bad, 500));
    CHECK_EQ_INT(u.passive.type, CHECK_TCP);
    CHECK_EQ_INT(u.passive.limits.timeouts, 7);
    if (CHECK_EQ_INT(u.n_targets, 2)) {
        CHECK_EQ_STR(u.targets[0].host, "a.b");
        CHECK(u.targets[0].failover && !u.targets[1].failover);
        CHECK_EQ_INT(u.targets[1].port, 8000);
    }
    CHECK_EQ_INT(u.total_weight, 107);
    arena_dispose(&a);
}

TEST(saying_what_to_hash_means_hashing)
{
    static const struct {
        const char *json;
        balance_algorithm_t want;
    } CASES[] = {
        {"{\"hash_on\":\"ip\"}", BALANCE_CONSISTENT_HASHING},
        {"{\"algorithm\":\"round-robin\",\"hash_on\":\"ip\"}", BALANCE_CONSISTENT_HASHING},
        {"{\"algorithm\":\"round-robin\",\"hash_on\":\"none\"}", BALANCE_ROUND_ROBIN},
        {"{\"algorithm\":\"latency\",\"hash_on\":\"ip\"}", BALANCE_LATENCY},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        arena_t a;
        upstream_t u;
        CHECK_EQ_INT(read_text(CASES[i].json, &a, &u), 0);
        if (!CHECK_EQ_INT(u.algorithm, CASES[i].want))
            TEST_NOTE("%s", CASES[i].json);
        arena_dispose(&a);
    }
}

TEST(what_cannot_be_is_refused_with_its_reason)
{
    static const struct {
        const char *json, *why;
    } CASES[] = {
        {"{\"algorithm\":\"random\"}", "algorithm: 'random' is not known"},
        {"{\"hash_on\":\"moon\"}", "hash_on: 'moon' is not known"},
        {"{\"healthchecks\":{\"active\":{\"type\":\"smtp\"}}}", "type: 'smtp' is not known"},
        {"{\"healthchecks\":{\"active\":{\"headers\":{\"A\":[\"b\\r\\nC: d\"]}}}}",
         "headers: 'A' cannot be sent as a header"},
        {"{\"healthchecks\":{\"passive\":{\"healthy\":{\"http_statuses\":[99]}}}}",
         "http_statuses: 99 is not a status"},
        {"{\"targets\":[{\"port\":1}]}", "target 1 is not {host, port, weight}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        arena_t a;
        upstream_t u;
        CHECK_EQ_INT(read_text(CASES[i].json, &a, &u), -1);
        CHECK_EQ_STR(why, CASES[i].why);
        arena_dispose(&a);
    }
}

// Names against a server of our own on loopback (dns_server.h), then the pure parts of the
// resolver.
#include "dns_server.h"

#include "io/dns_hosts.h"
#include "io/dns_srv.h"

typedef struct result {
    int done, err;
    unsigned n, ttl_ms;
    bool stale;
    char first[64], second[64], targets[64];
} result_t;

static void on_result(void *arg, int err, const dns_answer_t *a)
{
    result_t *r = arg;
    int done = r->done + 1;
    *r = (result_t){.done = done, .err = err};
    CHECK((err == 0) == (a != NULL));
    if (!a)
        return;
    r->n = a->n;
    r->ttl_ms = a->ttl_ms;
    r->stale = a->stale;
    addr_ip_text(&a->records[0].addr, r->first, sizeof r->first);
    if (a->n > 1)
        addr_ip_text(&a->records[1].addr, r->second, sizeof r->second);
    for (unsigned i = 0; i < a->n && a->records[i].target.n > 0 && i < 4; i++)
        snprintf(r->targets + strlen(r->targets), 16, "%.*s:%d ", STR_FMT(a->records[i].target),
                 a->records[i].port);
}

static result_t ask_type(loop_t *l, const char *name, dns_type_t type)
{
    result_t r = {0};
    dns_lookup(dns_of(l), str_from(name), type, on_result, &r);
    CHECK_EQ_INT(r.done, 0);
    uint64_t give_up = clock_mono_us() + 8000000;
    while (!r.done && clock_mono_us() < give_up)
        loop_turn(l, 20);
    CHECK_EQ_INT(r.done, 1);
    return r;
}

static result_t ask(loop_t *l, const char *name)
{
    return ask_type(l, name, DNS_ADDR);
}

static void wait_ms(loop_t *l, uint64_t ms)
{
    uint64_t until = clock_mono_us() + ms * 1000;
    while (clock_mono_us() < until)
        loop_turn(l, 2);
}

TEST(literals_and_localhost_need_no_server)
{
    loop_t *l = loop_create();
    server_t sv;
    dns_answer_t a;
    server_open(&sv, l, (dns_opts_t){0});
    result_t r = ask(l, "10.1.2.3");
    CHECK_EQ_STR(r.first, "10.1.2.3");
    r = ask(l, "[::1]");
    CHECK_EQ_STR(r.first, "::1");
    r = ask(l, "LocalHost");
    CHECK_EQ_STR(r.first, "127.0.0.1");
    r = ask(l, "x.localhost.");
    CHECK_EQ_STR(r.first, "127.0.0.1");
    CHECK_EQ_STR(r.second, "::1");
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("::2"), DNS_ADDR, &a), 0);
    CHECK_EQ_INT(a.n, 1);
    CHECK_EQ_INT(sv.queries_a, 0);
    server_close(&sv);
}

TEST(names_that_are_none_fail)
{
    loop_t *l = loop_create();
    server_t sv;
    char big[400];
    server_open(&sv, l, (dns_opts_t){0});
    memset(big, 'a', sizeof big);
    big[399] = 0;
    CHECK_EQ_INT(ask(l, "").err, ERR_DNS_NAME);
    CHECK_EQ_INT(ask(l, big).err, ERR_DNS_NAME);
    big[200] = 0; // one label of 200 bytes
    CHECK_EQ_INT(ask(l, big).err, ERR_DNS_NAME);
    CHECK(ask(l, "a..b").err < 0);
    server_close(&sv);
}

TEST(an_answer_is_kept_for_its_ttl)
{
    loop_t *l = loop_create();
    server_t sv;
    dns_answer_t a;
    server_open(&sv, l, (dns_opts_t){.max_ttl_ms = 80});
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("one.test"), DNS_ADDR, &a), 1);
    result_t r = ask(l, "One.test");
    CHECK_EQ_INT(r.err, 0);
    CHECK_EQ_STR(r.first, "10.0.0.1");
    CHECK(r.ttl_ms <= 80 && r.ttl_ms > 20);
    sv.last_octet = 2;
    CHECK_EQ_STR(ask(l, "one.TEST").first, "10.0.0.1");
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("one.test"), DNS_ADDR, &a), 0);
    CHECK_EQ_INT(sv.queries_a, 1);
    wait_ms(l, 90);
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("one.test"), DNS_ADDR, &a), 1);
    CHECK_EQ_STR(ask(l, "one.test").first, "10.0.0.2");
    CHECK_EQ_INT(sv.queries_a, 2);
    server_close(&sv);
}

TEST(ttl_zero_is_used_once)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){0});
    sv.ttl_s = 0;
    CHECK_EQ_INT(ask(l, "one.test").err, 0);
    sv.last_octet = 7;
    CHECK_EQ_STR(ask(l, "one.test").first, "10.0.0.7");
    CHECK_EQ_INT(sv.queries_a, 2);
    server_close(&sv);
}

TEST(a_minimum_ttl_holds)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){.min_ttl_ms = 5000});
    sv.ttl_s = 0;
    ask(l, "one.test");
    CHECK(ask(l, "one.test").ttl_ms > 4000);
    CHECK_EQ_INT(sv.queries_a, 1);
    server_close(&sv);
}

TEST(both_families_come_in_turn)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){0});
    result_t r = ask(l, "both.test");
    CHECK_EQ_INT(r.n, 4);
    CHECK_EQ_STR(r.first, "10.0.0.1");
    CHECK_EQ_STR(r.second, "fd00:1::");
    server_close(&sv);
}

TEST(one_question_serves_all_who_wait)
{
    loop_t *l = loop_create();
    server_t sv;
    result_t r[20] = {0};
    server_open(&sv, l, (dns_opts_t){0});
    for (int i = 0; i < 20; i++)
        dns_lookup(dns_of(l), STR("slow.test"), DNS_ADDR, on_result, &r[i]);
    dns_query_t *q = dns_lookup(dns_of(l), STR("slow.test"), DNS_ADDR, on_result, &r[0]);
    loop_turn(l, 1);
    dns_cancel(q);
    CHECK_EQ_INT(ask(l, "slow.test").err, 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ_INT(r[i].done, 1);
        CHECK_EQ_STR(r[i].first, "10.0.0.1");
    }
    CHECK_EQ_INT(sv.queries_a, 1);
    server_close(&sv);
}

TEST(a_missing_name_is_remembered_briefly)
{
    loop_t *l = loop_create();
    server_t sv;
    dns_answer_t a;
    server_open(&sv, l, (dns_opts_t){.negative_ms = 60});
    CHECK_EQ_INT(ask(l, "nx.test").err, ERR_DNS_NAME);
    unsigned asked = sv.queries_a;
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("nx.test"), DNS_ADDR, &a), ERR_DNS_NAME);
    CHECK_EQ_INT(ask(l, "nx.test").err, ERR_DNS_NAME);
    CHECK_EQ_INT(sv.queries_a, asked);
    wait_ms(l, 70);
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("nx.test"), DNS_ADDR, &a), 1);
    CHECK_EQ_INT(ask(l, "nx.test").err, ERR_DNS_NAME);
    CHECK(sv.queries_a > asked);
    server_close(&sv);
}

TEST(a_stale_answer_serves_while_the_server_fails)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(
        &sv, l,
        (dns_opts_t){.max_ttl_ms = 20, .stale_ms = 1500, .negative_ms = 50, .timeout_ms = 100});
    CHECK_EQ_INT(ask(l, "one.test").err, 0);
    sv.broken = true;
    wait_ms(l, 25);
    result_t r = ask(l, "one.test");
    CHECK_EQ_INT(r.err, 0);
    CHECK(r.stale);
    CHECK_EQ_STR(r.first, "10.0.0.1");
    sv.broken = false;
    sv.last_octet = 9;
    wait_ms(l, 60);
    r = ask(l, "one.test");
    CHECK(!r.stale);
    CHECK_EQ_STR(r.first, "10.0.0.9");
    sv.broken = true;
    wait_ms(l, 1600);
    CHECK_EQ_INT(ask(l, "one.test").err, ERR_DNS_FAIL);
    server_close(&sv);
}

TEST(a_stale_answer_does_not_wait_for_a_dead_server)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){.max_ttl_ms = 20, .timeout_ms = 3000});
    CHECK_EQ_INT(ask(l, "one.test").err, 0);
    sv.dead = true;
    wait_ms(l, 25);
    uint64_t before = clock_mono_us();
    result_t r = ask(l, "one.test");
    CHECK(r.stale && r.err == 0);
    CHECK(clock_mono_us() - before < 1500000);
    server_close(&sv);
}

TEST(a_name_that_ceased_to_exist_is_not_served_stale)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){.max_ttl_ms = 20});
    CHECK_EQ_INT(ask(l, "one.test").err, 0);
    sv.gone = true;
    wait_ms(l, 25);
    CHECK_EQ_INT(ask(l, "one.test").err, ERR_DNS_NAME);
    server_close(&sv);
}

TEST(a_hanging_name_stalls_no_other_and_times_out)
{
    loop_t *l = loop_create();
    server_t sv;
    result_t hang = {0};
    server_open(&sv, l, (dns_opts_t){.timeout_ms = 150, .tries = 2});
    uint64_t before = clock_mono_us();
    dns_lookup(dns_of(l), STR("hang.test"), DNS_ADDR, on_result, &hang);
    CHECK_EQ_INT(ask(l, "one.test").err, 0);
    CHECK_EQ_INT(hang.done, 0);
    while (!hang.done && clock_mono_us() - before < 5000000)
        loop_turn(l, 20);
    CHECK_EQ_INT(hang.err, ERR_DNS_FAIL);
    CHECK(clock_mono_us() - before > 140000);
    server_close(&sv);
}

TEST(a_truncated_answer_comes_by_tcp_and_is_bounded)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){0});
    result_t r = ask(l, "many.test");
    CHECK_EQ_INT(r.err, 0);
    CHECK_EQ_INT(r.n, 256);
    CHECK_EQ_INT(sv.tcp_queries, 1);
    server_close(&sv);
}

TEST(garbage_is_a_failure)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){.timeout_ms = 100, .tries = 1});
    CHECK_EQ_INT(ask(l, "garbage.test").err, ERR_DNS_FAIL);
    CHECK_EQ_INT(ask(l, "one.test").err, 0);
    server_close(&sv);
}

TEST(services_come_sorted_with_their_ttl)
{
    loop_t *l = loop_create();
    server_t sv;
    server_open(&sv, l, (dns_opts_t){0});
    sv.ttl_s = 30;
    result_t r = ask_type(l, "_http.test", DNS_SRV);
    CHECK_EQ_INT(r.err, 0);
    CHECK_EQ_STR(r.targets, "c.test:8082 b.test:8081 a.test:8080 ");
    CHECK(r.ttl_ms <= 30000 && r.ttl_ms > 28000);
    CHECK_EQ_INT(ask_type(l, "one.test", DNS_SRV).err, ERR_DNS_NAME);
    server_close(&sv);
}

TEST(more_names_than_the_table_holds)
{
    loop_t *l = loop_create();
    server_t sv;
    dns_answer_t a;
    server_open(&sv, l, (dns_opts_t){0});
    for (int i = 0; i < 1100; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", i);
        if (!CHECK_EQ_INT(ask(l, name).err, 0))
            break;
    }
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("n0.test"), DNS_ADDR, &a), 1);
    CHECK_EQ_INT(dns_cached(dns_of(l), STR("n1099.test"), DNS_ADDR, &a), 0);
    server_close(&sv);
}

TEST(new_servers_take_over_what_is_under_way)
{
    loop_t *l = loop_create();
    server_t sv;
    result_t r = {0};
    char servers[64];
    server_open(&sv, l, (dns_opts_t){0});
    snprintf(servers, sizeof servers, "127.0.0.1:%d", sv.port);
    sv.dead = true;
    dns_lookup(dns_of(l), STR("one.test"), DNS_ADDR, on_result, &r);
    loop_turn(l, 5);
    sv.dead = false;
    dns_configure(l, &(dns_opts_t){.servers = str_from(servers)});
    uint64_t before = clock_mono_us();
    while (!r.done && clock_mono_us() - before < 3000000)
        loop_turn(l, 20);
    CHECK_EQ_INT(r.done, 1);
    CHECK_EQ_INT(r.err, 0);
    server_close(&sv);
}

TEST(connects_by_name_through_the_resolver)
{
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    sock_connect(w.l, &(connect_opts_t){.host = STR("localhost"),
                                        .port = addr_port(&w.at),
                                        .on_done = on_done,
                                        .arg = &w});
    UNTIL(&w, w.done && w.server.s);
    CHECK_EQ_INT(w.err, 0);
    CHECK(addr_equal(sock_peer(w.client.s), &w.at));
    world_close(&w);
}

TEST(a_connection_by_a_missing_name_fails_and_may_be_cancelled)
{
    loop_t *l = loop_create();
    server_t sv;
    world_t w = {.l = l};
    server_open(&sv, l, (dns_opts_t){0});
    connect_opts_t o = {.host = STR("nx.test"), .port = 80, .on_done = on_done, .arg = &w};
    sock_connect(l, &o);
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_DNS_NAME);
    w.done = false;
    o.host = STR("hang.test");
    connector_t *c = sock_connect(l, &o);
    loop_turn(l, 5);
    connect_cancel(c);
    o.timeout_ms = 40;
    sock_connect(l, &o);
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_TIMEOUT);
    server_close(&sv);
}

// ---- the pure parts ----

TEST(reads_a_hosts_file)
{
    hosts_t h = {0};
    const host_line_t *first;
    hosts_parse(
        &h,
        STR("# comment\n127.0.0.1\tlocalhost  Alias # more\r\n\n::1 localhost ip6\nbad line\n"
            "10.0.0.9 b a\n10.0.0.8 a"));
    CHECK_EQ_INT(hosts_find(&h, STR("localhost"), &first), 2);
    CHECK_EQ_INT(first[0].addr.sa.sa_family, AF_INET);
    CHECK_EQ_INT(first[1].addr.sa.sa_family, AF_INET6);
    CHECK_EQ_INT(hosts_find(&h, STR("alias"), &first), 1);
    CHECK_EQ_INT(hosts_find(&h, STR("a"), &first), 2);
    CHECK_EQ_INT(hosts_find(&h, STR("line"), &first), 0);
    CHECK_EQ_INT(hosts_find(&h, STR(""), &first), 0);
    CHECK_EQ_INT(hosts_find(&h, STR("zz"), &first), 0);
    hosts_dispose(&h);
    hosts_load(&h, "/nonexistent");
    CHECK_EQ_INT(h.n, 0);
}

TEST(a_service_reply_cut_or_bent_anywhere_is_survived)
{
    server_t sv = {.ttl_s = 5};
    unsigned char msg[64] = {0, 1, 1, 0, 0, 1};
    memcpy(msg + 12, "\x05_http\x04test\0\0\x21\0\x01", 17);
    question_t q;
    buf_t b = {0};
    dns_record_t out[4];
    unsigned n, ttl;
    CHECK(parse_question(msg, 12 + 17, &q));
    compose(&sv, &q, false, &b);
    str_t whole = buf_str(&b);
    CHECK_EQ_INT(dns_parse_srv((const unsigned char *)whole.p, whole.n, out, 4, &n, &ttl), 0);
    CHECK_EQ_INT(n, 3);
    CHECK_EQ_INT(ttl, 5);
    for (unsigned i = 0; i < n; i++)
        free((char *)out[i].target.p);
    for (size_t cut = 0; cut < whole.n; cut++) {
        unsigned char *copy = malloc(cut + 1);
        memcpy(copy, whole.p, cut);
        CHECK_EQ_INT(dns_parse_srv(copy, cut, out, 4, &n, &ttl), ERR_DNS_FAIL);
        free(copy);
    }
    for (size_t at = 0; at < whole.n; at++) {
        for (int v = 0; v < 256; v += 15) {
            unsigned char *copy = malloc(whole.n);
            memcpy(copy, whole.p, whole.n);
            copy[at] = (unsigned char)v;
            if (dns_parse_srv(copy, whole.n, out, 4, &n, &ttl) == 0)
                for (unsigned i = 0; i < n; i++)
                    free((char *)out[i].target.p);
            free(copy);
        }
    }
    buf_dispose(&b);
}

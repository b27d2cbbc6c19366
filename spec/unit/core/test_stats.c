// Series in shared memory: names, sums over processes, histograms, the exposition text, what happens when there is no room.
#include "test.h"

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/stats.h"

static str_t render(buf_t *out)
{
    buf_clear(out);
    stats_render(out);
    return buf_str(out);
}

TEST(renders_each_type)
{
    CHECK_EQ_INT(stats_create(100), 0);
    buf_t out = {0};
    stat_t c = stat_counter(STR("kong_requests_total"), STR("service=\"a\""), "requests,\nall");
    stat_t h = stat_histogram(STR("kong_latency_ms"), STR("service=\"a\""), "latency",
                              (double[]){1, 2.5, 100}, 3);
    stat_t c2 = stat_counter(STR("kong_requests_total"), STR("service=\"b\""), "another help");
    stat_t g = stat_gauge(STR("up"), STR(""), "is up");
    stat_add(c, 2);
    stat_add(c2, 0.25);
    stat_set(g, -7);
    stat_observe(h, 1);
    stat_observe(h, 2);
    stat_observe(h, 1000);
    CHECK_EQ_STR(render(&out), "# HELP kong_requests_total requests,\\nall\n"
                               "# TYPE kong_requests_total counter\n"
                               "kong_requests_total{service=\"a\"} 2\n"
                               "kong_requests_total{service=\"b\"} 0.25\n"
                               "# HELP kong_latency_ms latency\n"
                               "# TYPE kong_latency_ms histogram\n"
                               "kong_latency_ms_bucket{service=\"a\",le=\"1\"} 1\n"
                               "kong_latency_ms_bucket{service=\"a\",le=\"2.5\"} 2\n"
                               "kong_latency_ms_bucket{service=\"a\",le=\"100\"} 2\n"
                               "kong_latency_ms_bucket{service=\"a\",le=\"+Inf\"} 3\n"
                               "kong_latency_ms_count{service=\"a\"} 3\n"
                               "kong_latency_ms_sum{service=\"a\"} 1003\n"
                               "# HELP up is up\n"
                               "# TYPE up gauge\n"
                               "up -7\n");
    buf_dispose(&out);
    stats_destroy();
}

TEST(a_name_gives_the_same_handle)
{
    CHECK_EQ_INT(stats_create(100), 0);
    stat_t a = stat_counter(STR("n"), STR("x=\"1\""), "h");
    CHECK(a >= 0);
    CHECK_EQ_INT(stat_counter(STR("n"), STR("x=\"1\""), "h"), a);
    CHECK(stat_counter(STR("n"), STR("x=\"2\""), "h") != a);
    CHECK_EQ_INT(stat_gauge(STR("n"), STR("x=\"1\""), "h"), -1); // another type
    CHECK_EQ_INT(stat_gauge(STR("n"), STR("x=\"3\""), "h"), -1);
    CHECK_EQ_INT(stat_counter(STR("1n"), STR(""), "h"), -1);
    CHECK_EQ_INT(stat_counter(STR("a b"), STR(""), "h"), -1);
    CHECK_EQ_INT(stat_counter(STR(""), STR(""), "h"), -1);
    stats_destroy();
}

TEST(escapes_label_values)
{
    buf_t out = {0};
    stat_label(&out, STR("a"), STR("x\"y\\z\nw"));
    stat_label(&out, STR("b"), STR("1"));
    CHECK_EQ_STR(buf_str(&out), "a=\"x\\\"y\\\\z\\nw\",b=\"1\"");
    buf_dispose(&out);
}

TEST(counts_stay_exact_to_2_53)
{
    CHECK_EQ_INT(stats_create(10), 0);
    buf_t out = {0};
    stat_t c = stat_counter(STR("big"), STR(""), "h");
    stat_add(c, 9007199254740990.0);
    stat_add(c, 1);
    CHECK(stat_get(c) == 9007199254740991.0);
    CHECK_EQ_STR(render(&out), "# HELP big h\n# TYPE big counter\nbig 9007199254740991\n");
    buf_dispose(&out);
    stats_destroy();
}

TEST(too_many_series_collapse_into_other)
{
    CHECK_EQ_INT(stats_create(5), 0);
    buf_t out = {0};
    char labels[40];
    for (int i = 0; i < 20; i++) {
        int n = snprintf(labels, sizeof labels, "user=\"u\\\"%d\",code=\"200\"", i);
        stat_add(stat_counter(STR("c"), str_make(labels, (size_t)n), "h"), 1);
    }
    CHECK_EQ_STR(render(&out),
                 "# HELP c h\n# TYPE c counter\n"
                 "c{user=\"u\\\"0\",code=\"200\"} 1\nc{user=\"u\\\"1\",code=\"200\"} "
                 "1\nc{user=\"u\\\"2\",code=\"200\"} 1\n"
                 "c{user=\"u\\\"3\",code=\"200\"} 1\nc{user=\"u\\\"4\",code=\"200\"} "
                 "1\nc{user=\"other\",code=\"other\"} 15\n");
    stat_add(-1, 1);
    CHECK_EQ_INT(stats_dropped(), 1);
    buf_dispose(&out);
    stats_destroy();
}

TEST(without_a_table_nothing_breaks)
{
    buf_t out = {0};
    stat_t c = stat_counter(STR("c"), STR(""), "h");
    CHECK_EQ_INT(c, -1);
    stat_add(c, 1);
    CHECK_EQ_STR(render(&out), "");
    int64_t before = stat_fixed_get(SF_REQUESTS);
    stat_fixed_add(SF_REQUESTS, 3);
    CHECK_EQ_INT(stat_fixed_get(SF_REQUESTS) - before, 3);
    buf_dispose(&out);
}

enum { PROCESSES = 8, ADDS = 20000 };

static void add_much(unsigned slot)
{
    stats_use_slot(slot);
    stats_slot_report(getpid(), slot * 1000);
    stat_fixed_add(SF_CONN_ACTIVE, 1);
    for (int i = 0; i < ADDS; i++) {
        char labels[24];
        int n = snprintf(labels, sizeof labels, "i=\"%d\"", i % 200);
        stat_add(stat_counter(STR("made_together"), str_make(labels, (size_t)n), "h"), 1);
        stat_fixed_add(SF_REQUESTS, 1);
    }
}

TEST(sums_over_processes_are_exact)
{
    CHECK_EQ_INT(stats_create(1000), 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            add_much(i);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    double sum = 0;
    for (int i = 0; i < 200; i++) {
        char labels[24];
        int n = snprintf(labels, sizeof labels, "i=\"%d\"", i);
        sum += stat_get(stat_counter(STR("made_together"), str_make(labels, (size_t)n), "h"));
    }
    CHECK_EQ_INT((int)sum, PROCESSES * ADDS);
    CHECK_EQ_INT(stat_fixed_get(SF_REQUESTS), PROCESSES * ADDS);
    CHECK_EQ_INT(stat_fixed_get(SF_CONN_ACTIVE), PROCESSES);
    stats_slot_died(3);
    CHECK_EQ_INT(stat_fixed_get(SF_CONN_ACTIVE), PROCESSES - 1);
    CHECK_EQ_INT(stat_fixed_get(SF_REQUESTS), PROCESSES * ADDS);
    int pid;
    uint64_t lua;
    CHECK(!stats_slot_get(3, &pid, &lua));
    CHECK(stats_slot_get(5, &pid, &lua) && lua == 5000 && pid != 0);
    stats_destroy();
}

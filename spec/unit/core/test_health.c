// Health in shared memory: what is counted, what changes a state, who may probe; over processes.
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/health.h"

static const health_limits_t LIMITS = {
    .successes = 2, .http_failures = 3, .tcp_failures = 2, .timeouts = 1};

static health_cell_t *fresh(void)
{
    static uint64_t key = 1000;
    health_cell_t *c = health_cell(++key, 1);
    CHECK(c && health_is_good(c));
    return c;
}

TEST(failures_in_a_row_make_unhealthy_and_successes_healthy)
{
    CHECK_EQ_INT(health_create(), 0);
    health_cell_t *c = fresh();
    uint64_t version = health_version();
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_HTTP_FAILURE), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_HTTP_FAILURE), HEALTH_SAME);
    CHECK_EQ_INT(health_version(), version);
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_HTTP_FAILURE), HEALTH_UNHEALTHY);
    CHECK(!health_is_good(c) && !health_is_by_hand(c));
    CHECK(health_version() != version);
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_SUCCESS), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_TCP_FAILURE), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_SUCCESS), HEALTH_SAME); // not in a row
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_SUCCESS), HEALTH_HEALTHY);
    CHECK(health_is_good(c));
}

TEST(a_success_forgets_failures)
{
    health_cell_t *c = fresh();
    for (int i = 0; i < 10; i++) {
        CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_HTTP_FAILURE), HEALTH_SAME);
        CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_TCP_FAILURE), HEALTH_SAME);
        CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_SUCCESS), HEALTH_SAME);
    }
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_TIMEOUT), HEALTH_UNHEALTHY);
}

TEST(what_is_limited_to_0_is_not_counted)
{
    static const health_limits_t NO_SUCCESS = {.http_failures = 2};
    health_cell_t *c = fresh();
    for (int i = 0; i < 300; i++)
        CHECK_EQ_INT(health_report(c, &NO_SUCCESS, HEALTH_TIMEOUT), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &NO_SUCCESS, HEALTH_HTTP_FAILURE), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &NO_SUCCESS, HEALTH_SUCCESS), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &NO_SUCCESS, HEALTH_HTTP_FAILURE), HEALTH_UNHEALTHY);
    for (int i = 0; i < 300; i++)
        CHECK_EQ_INT(health_report(c, &NO_SUCCESS, HEALTH_SUCCESS), HEALTH_SAME);
    CHECK(!health_is_good(c));
}

TEST(the_highest_limits_are_reached)
{
    static const health_limits_t HIGH = {.http_failures = 255, .successes = 255};
    health_cell_t *c = fresh();
    for (int i = 0; i < 254; i++)
        CHECK_EQ_INT(health_report(c, &HIGH, HEALTH_HTTP_FAILURE), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &HIGH, HEALTH_HTTP_FAILURE), HEALTH_UNHEALTHY);
    for (int i = 0; i < 254; i++)
        CHECK_EQ_INT(health_report(c, &HIGH, HEALTH_SUCCESS), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &HIGH, HEALTH_SUCCESS), HEALTH_HEALTHY);
}

TEST(a_state_set_by_hand_is_known_as_such_until_a_check_changes_it)
{
    health_cell_t *c = fresh();
    health_set(c, false);
    CHECK(!health_is_good(c) && health_is_by_hand(c));
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_SUCCESS), HEALTH_SAME);
    CHECK(health_is_by_hand(c));
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_SUCCESS), HEALTH_HEALTHY);
    CHECK(health_is_good(c) && !health_is_by_hand(c));
    health_set(c, false);
    health_set(c, true);
    CHECK(health_is_good(c) && !health_is_by_hand(c));
}

TEST(another_process_sees_and_counts_the_same)
{
    health_cell_t *c = health_cell(77, 1);
    pid_t pid = fork();
    if (pid == 0) {
        health_cell_t *same = health_cell(77, 2);
        for (int i = 0; i < 2; i++)
            health_report(same, &LIMITS, HEALTH_HTTP_FAILURE);
        _exit(same == c ? 0 : 1);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    CHECK_EQ_INT(status, 0);
    CHECK_EQ_INT(health_report(c, &LIMITS, HEALTH_HTTP_FAILURE), HEALTH_UNHEALTHY);
}

TEST(counts_of_processes_at_once_are_exact)
{
    static const health_limits_t LIMIT = {.http_failures = 200};
    health_cell_t *c = health_cell(78, 1);
    for (int p = 0; p < 4; p++) {
        if (fork() == 0) {
            for (int i = 0; i < 49; i++)
                health_report(c, &LIMIT, HEALTH_HTTP_FAILURE);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    for (int i = 0; i < 3; i++)
        CHECK_EQ_INT(health_report(c, &LIMIT, HEALTH_HTTP_FAILURE), HEALTH_SAME);
    CHECK_EQ_INT(health_report(c, &LIMIT, HEALTH_HTTP_FAILURE), HEALTH_UNHEALTHY);
}

TEST(cells_nobody_touches_are_given_to_others_when_there_is_no_room)
{
    const uint64_t base = 5000; // keys of one window
    health_cell_t *first = NULL;
    for (uint64_t i = 0; i < 32; i++) {
        health_cell_t *c = health_cell(base + i * HEALTH_CELLS, 10);
        CHECK(c != NULL);
        first = first ? first : c;
    }
    health_set(first, false);
    CHECK(health_cell(base + 32 * HEALTH_CELLS, 10 + HEALTH_KEPT_S) == NULL);
    for (uint64_t i = 1; i < 32; i++)
        health_touch(health_cell(base + i * HEALTH_CELLS, 10), 11 + HEALTH_KEPT_S);
    health_cell_t *taken = health_cell(base + 32 * HEALTH_CELLS, 11 + HEALTH_KEPT_S);
    CHECK(taken == first && health_is_good(taken));
}

TEST(one_owner_probes_until_its_lease_ends)
{
    CHECK(health_lease(3, 1000, 500));
    CHECK(!health_lease(4, 1499, 500));
    CHECK(health_lease(3, 1400, 500));
    CHECK(!health_lease(4, 1899, 500));
    CHECK(health_lease(4, 1900, 500));
    CHECK(!health_lease(3, 1901, 500));
}

TEST(without_shared_memory_there_are_no_cells)
{
    health_destroy();
    CHECK(health_cell(5, 1) == NULL);
    health_cell_t own = {0};
    CHECK_EQ_INT(health_report(&own, &LIMITS, HEALTH_TIMEOUT), HEALTH_UNHEALTHY);
    CHECK(health_lease(9, 1, 1));
}

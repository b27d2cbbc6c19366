// The table of plugins that ended workers: rows over processes, who is blamed, when a plugin is switched off, what is shown.
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/quarantine.h"

enum { SLOT = 3, LIMIT = 3, WINDOW_MS = 60000 };

static uint32_t ran(const char *name)
{
    uint32_t row = quarantine_row(str_from(name));
    *quarantine_running(SLOT) = row;
    return row;
}

static bool blame(uint64_t now_ms, quarantine_verdict_t *v)
{
    return quarantine_blame(SLOT, now_ms, LIMIT, WINDOW_MS, v);
}

TEST(a_name_has_one_row_in_all_processes)
{
    CHECK_EQ_INT(quarantine_create(), 0);
    uint32_t row = quarantine_row(STR("one"));
    CHECK(row > 0 && quarantine_row(STR("two")) != row);
    CHECK_EQ_INT(quarantine_row(STR("one")), row);
    pid_t child = fork();
    if (child == 0)
        _exit((int)(quarantine_row(STR("one")) == row ? quarantine_row(STR("three")) : 0));
    int status = 0;
    CHECK_EQ_INT(waitpid(child, &status, 0), child);
    CHECK_EQ_INT(WEXITSTATUS(status), quarantine_row(STR("three")));
}

TEST(kills_within_the_window_switch_off)
{
    quarantine_verdict_t v;
    uint32_t row = ran("killer");
    CHECK(blame(1000, &v) && v.kills == 1 && !v.switched_off);
    CHECK_EQ_INT(strcmp(v.name, "killer"), 0);
    CHECK(blame(2000, &v) && v.kills == 2 && !v.switched_off);
    CHECK(blame(100000, &v) && v.kills == 1 && !v.switched_off); // the others are long ago
    CHECK_EQ_INT(quarantine_off()[row], 0);
    CHECK(blame(101000, &v) && blame(102000, &v) && v.kills == 3 && v.switched_off);
    CHECK_EQ_INT(quarantine_off()[row], 1);
    CHECK(blame(103000, &v) && !v.switched_off); // it was off already
    CHECK_EQ_INT(quarantine_off()[quarantine_row(STR("one"))], 0);
}

TEST(without_a_limit_nobody_is_switched_off)
{
    quarantine_verdict_t v;
    uint32_t row = ran("tolerated");
    for (uint64_t ms = 1; ms <= 20; ms++)
        CHECK(quarantine_blame(SLOT, ms, 0, WINDOW_MS, &v));
    CHECK(v.kills == QUARANTINE_KILLS_MAX && quarantine_off()[row] == 0);
}

TEST(nobody_is_blamed_when_nobody_ran)
{
    quarantine_verdict_t v;
    ran("killer");
    quarantine_forget_running(SLOT);
    CHECK(!blame(1, &v));
    *quarantine_running(SLOT) = 0xdeadbeef; // what a worker gone wild leaves
    CHECK(!blame(1, &v));
    *quarantine_running(SLOT) = QUARANTINE_ROWS - 1; // a row that is free
    CHECK(!blame(1, &v));
}

TEST(what_is_off_is_shown_and_lifted)
{
    buf_t b = {0};
    quarantine_row(STR("quoted \"name\""));
    quarantine_json(&b);
    CHECK_EQ_STR(buf_str(&b),
                 STR("\"plugins\":{\"switched_off\":[{\"name\":\"killer\",\"kills\":6}]}"));
    buf_dispose(&b);
    quarantine_metrics(&b);
    CHECK(str_find(buf_str(&b), STR("moongate_plugin_switched_off{plugin=\"killer\"} 1\n")) >=
          0);
    CHECK(str_find(buf_str(&b),
                   STR("moongate_plugin_kills_total{plugin=\"tolerated\"} 20\n")) >= 0);
    buf_dispose(&b);
    CHECK_EQ_INT(quarantine_lift(), 1);
    CHECK_EQ_INT(quarantine_off()[quarantine_row(STR("killer"))], 0);
    CHECK_EQ_INT(quarantine_lift(), 0);
}

TEST(a_full_table_gives_no_row)
{
    char name[32];
    uint32_t row = 1;
    for (int i = 0; i < QUARANTINE_ROWS && row; i++) {
        snprintf(name, sizeof name, "plugin %d", i);
        row = quarantine_row(str_from(name));
    }
    CHECK_EQ_INT(row, 0);
    CHECK(quarantine_row(STR("killer")) > 0);
    quarantine_destroy();
}

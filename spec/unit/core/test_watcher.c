// What counts as a change, when it has come to rest, and the state that all processes read.
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/config_state.h"
#include "core/load.h"
#include "core/watcher.h"

static char root[64];
static str_t list;
static settings_t settings;

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    if (CHECK(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

static watcher_t *begin(const char *how)
{
    snprintf(root, sizeof root, "/tmp/watcher-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    put("a.yaml", "1");
    list = str_from(root);
    settings = (settings_t){.config_paths = &list,
                            .n_config_paths = 1,
                            .watch = str_from(how),
                            .watch_interval_ms = 1000};
    return watcher_create(&settings);
}

static void end(watcher_t *w)
{
    char command[96];
    watcher_destroy(w);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK_EQ_INT(system(command), 0);
}

TEST(a_change_is_due_when_it_has_come_to_rest)
{
    watcher_t *w = begin("inotify");
    CHECK_EQ_STR(str_from(watcher_mode(w)), "inotify");
    CHECK(!watcher_due(w, 1000) && watcher_next_ms(w) == 0);
    put("a.yaml", "2");
    CHECK(!watcher_due(w, 2000));
    CHECK_EQ_INT(watcher_next_ms(w), 2200);
    put("b.yaml", "2");
    CHECK(!watcher_due(w, 2150));
    CHECK(!watcher_due(w, 2349) && watcher_due(w, 2350));
    CHECK(!watcher_due(w, 9000) && watcher_next_ms(w) == 0);
    end(w);
}

TEST(a_change_that_never_rests_is_due_after_two_seconds)
{
    watcher_t *w = begin("inotify");
    uint64_t now_ms = 1000;
    bool due = false;
    for (; now_ms < 5000 && !due; now_ms += 100) {
        put("a.yaml", "x");
        due = watcher_due(w, now_ms);
    }
    CHECK_EQ_INT(now_ms, 3100);
    end(w);
}

TEST(what_editors_leave_is_no_change)
{
    static const char *const NAMES[] = {"a.yaml~", ".a.yaml.swp", "x.tmp", "b.bak"};
    watcher_t *w = begin("inotify");
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        put(NAMES[i], "x");
    CHECK(!watcher_due(w, 1000) && watcher_next_ms(w) == 0);
    end(w);
}

TEST(polling_sees_what_inotify_would)
{
    watcher_t *w = begin("poll");
    CHECK_EQ_INT(watcher_fd(w), -1);
    uint64_t first_ms = watcher_next_ms(w);
    put("a.yaml", "22");
    CHECK(!watcher_due(w, first_ms - 1));
    CHECK(!watcher_due(w, first_ms) && watcher_due(w, first_ms + 200));
    CHECK(!watcher_due(w, first_ms + 1300));
    put("new.yaml", "1");
    CHECK(!watcher_due(w, first_ms + 2400) && watcher_due(w, first_ms + 2700));
    end(w);
}

TEST(off_is_off)
{
    watcher_t *w = begin("off");
    put("a.yaml", "2");
    watcher_set_facts(w, STR("secret /nowhere\n"));
    watcher_again(w, 1000);
    CHECK(!watcher_due(w, 99999) && watcher_next_ms(w) == 0 && watcher_fd(w) == -1);
    end(w);
}

TEST(files_of_secrets_are_watched_once_they_are_known)
{
    char other[64], facts[160], path[128];
    watcher_t *w = begin("inotify");
    snprintf(other, sizeof other, "/tmp/secret-XXXXXX");
    CHECK(mkdtemp(other) != NULL);
    snprintf(path, sizeof path, "%s/token", other);
    snprintf(facts, sizeof facts, "content 00\nsecret %s\n", path);
    watcher_set_facts(w, str_from(facts));
    CHECK(!watcher_due(w, 1000));
    close(open(path, O_CREAT | O_WRONLY, 0600));
    CHECK(!watcher_due(w, 2000) && watcher_due(w, 2200));
    unlink(path);
    rmdir(other);
    end(w);
}

TEST(facts_are_lines)
{
    str_t facts = STR("content ab\nsecret /a b\nsecret /c\n"), name, value;
    CHECK_EQ_STR(facts_get(facts, STR("content")), "ab");
    CHECK_EQ_STR(facts_get(facts, STR("secret")), "/a b");
    CHECK(facts_get(facts, STR("files")).p == NULL);
    unsigned n = 0;
    while (facts_next(&facts, &name, &value))
        n++;
    CHECK_EQ_INT(n, 3);
}

TEST(the_state_is_what_another_process_wrote)
{
    config_state_t s;
    int status;
    CHECK_EQ_INT(config_state_create(), 0);
    pid_t pid = fork();
    if (pid == 0) {
        config_state_loaded(STR("0123456789abcdef0123456789abcdef"), 3, STR("cafe"));
        config_state_alive(7, 4);
        config_state_failed(STR("a.yaml:1:2: no"), STR("beef"));
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    config_state_get(&s);
    CHECK_EQ_STR(str_from(s.hash), "0123456789abcdef0123456789abcdef");
    CHECK(s.generation == 1 && s.files == 3 && !s.attempt_ok && s.loaded_ms > 0);
    CHECK_EQ_STR(str_from(s.error), "a.yaml:1:2: no");
    CHECK_EQ_STR(str_from(s.attempt_content), "beef");
    CHECK_EQ_INT(config_state_most_alive(), 4);
    config_state_loaded(STR("x"), 1, STR(""));
    config_state_get(&s);
    CHECK(s.attempt_ok && s.error[0] == '\0' && s.generation == 2);
    config_state_destroy();
}

// Commands to a gateway that runs with this prefix, given as signals: reload, stop, quit, drain. What it answers is status.c's.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cli/cli.h"
#include "core/node.h"
#include "http/json.h"

enum { STEP_MS = 20, GRACE_MS = 5000, RELOAD_MS = 60000 };

static void sleep_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static int holder_of(const settings_t *s)
{
    return prefix_trusted(s) ? pidfile_holder(s->prefix) : 0;
}

static int find_running(const settings_t *s)
{
    int pid = holder_of(s);
    if (pid <= 0)
        fprintf(stderr, "moongate: nothing runs with prefix %.*s (another one: --prefix DIR)\n",
                STR_FMT(s->prefix));
    return pid;
}

// The process's id, or 0 with the error on stderr.
static int signal_running(const settings_t *s, int signum, int value)
{
    int pid = find_running(s);
    if (pid <= 0)
        return 0;
    if (sigqueue(pid, signum, (union sigval){.sival_int = value}) == 0)
        return pid;
    fprintf(stderr, "moongate: process %d cannot be signalled: %s\n", pid, strerror(errno));
    return 0;
}

// Until the process has ended, as long as a drain may take. What ends is its lock: a process that its parent has not yet
// asked for still has its number.
static bool has_ended(const settings_t *s, int pid, uint64_t limit_ms)
{
    ASSERT(pid > 0, "who is waited for has been found");
    for (uint64_t waited_ms = 0; waited_ms < limit_ms; waited_ms += STEP_MS) {
        if (pidfile_holder(s->prefix) != pid)
            return true;
        sleep_ms(STEP_MS);
    }
    return false;
}

static int wait_end(const settings_t *s, int pid, uint64_t limit_ms)
{
    if (has_ended(s, pid, limit_ms))
        return EXIT_DONE;
    fprintf(stderr,
            "moongate: process %d has not ended yet (a second moongate stop ends it at once)\n",
            pid);
    return EXIT_FAILED;
}

int stop_run(const cli_t *c)
{
    const settings_t *s = &c->settings;
    int pid = signal_running(s, SIGTERM, 0);
    return pid ? wait_end(s, pid, s->drain_delay_ms + (uint64_t)s->drain_timeout_ms + GRACE_MS)
               : EXIT_FAILED;
}

static int quit(const cli_t *c, int pid, int64_t timeout_ms)
{
    const settings_t *s = &c->settings;
    if (timeout_ms < 0)
        return wait_end(s, pid, (uint64_t)s->drain_timeout_ms + GRACE_MS);
    if (has_ended(s, pid, (uint64_t)timeout_ms))
        return EXIT_DONE;
    kill(pid, SIGINT);
    return wait_end(s, pid, GRACE_MS);
}

int quit_run(const cli_t *c)
{
    int64_t wait_ms = cli_seconds_ms(c, OPT_WAIT_S, 0),
            timeout_ms = cli_seconds_ms(c, OPT_TIMEOUT_S, 0);
    if (wait_ms < 0 || timeout_ms < 0)
        return EXIT_USAGE;
    if (wait_ms > 0 && find_running(&c->settings) <= 0)
        return EXIT_FAILED;
    sleep_ms((uint64_t)wait_ms);
    int pid = signal_running(&c->settings, SIGQUIT, 0);
    return pid ? quit(c, pid, c->given[OPT_TIMEOUT_S] ? timeout_ms : -1) : EXIT_FAILED;
}

int quit_if_running(const cli_t *c)
{
    if (holder_of(&c->settings) <= 0)
        return EXIT_DONE;
    int pid = signal_running(&c->settings, SIGQUIT, 0);
    return pid ? quit(c, pid, -1) : EXIT_FAILED;
}

int drain_run(const cli_t *c)
{
    bool undo = c->given[OPT_UNDO] != NULL;
    int pid = signal_running(&c->settings, SIGUSR2, undo);
    if (pid)
        printf("process %d is %s\n", pid,
               undo ? "in service again" : "out of service: not ready, but it serves on");
    return pid ? EXIT_DONE : EXIT_FAILED;
}

// ---- reload ----

// When the last attempt to load a configuration was, as the status listener writes it; "" when it does not say.
static bool attempt_of(const settings_t *s, buf_t *body, str_t *at, str_t *attempt,
                       str_t *config)
{
    char why[256];
    buf_clear(body);
    return status_ask(s, "/status", body, why, sizeof why) == 200 &&
           json_get(buf_str(body), STR("config"), config) &&
           json_get(*config, STR("last_attempt"), attempt) && json_get(*attempt, STR("at"), at);
}

static bool all_workers_have_it(str_t config)
{
    str_t workers, acked;
    return json_get(config, STR("workers"), &workers) &&
           json_get(config, STR("workers_acked"), &acked) && str_eq(workers, acked);
}

static int print_outcome(str_t attempt)
{
    str_t ok, errors, error, message, text;
    arena_t a;
    if (json_get(attempt, STR("ok"), &ok) && str_eq(ok, STR("true"))) {
        puts("the configuration is in use");
        return EXIT_DONE;
    }
    fputs("moongate: the configuration was refused; the running one stays in use\n", stderr);
    arena_init(&a);
    if (json_get(attempt, STR("errors"), &errors)) {
        while (json_next(&errors, &error)) {
            str_t file = STR("\"\""), line = STR("");
            if (!json_get(error, STR("message"), &message) ||
                json_string(message, &a, &text) != 0)
                continue;
            if (json_get(error, STR("file"), &file) && json_string(file, &a, &file) == 0 &&
                json_get(error, STR("line"), &line))
                fprintf(stderr, "%.*s:%.*s: ", STR_FMT(file), STR_FMT(line));
            fprintf(stderr, "%.*s\n", STR_FMT(text));
        }
    }
    arena_dispose(&a);
    return EXIT_FAILED;
}

static int wait_reload(const settings_t *s, str_t before, uint64_t limit_ms)
{
    buf_t body = {0};
    str_t at, attempt, config;
    for (uint64_t waited_ms = 0; waited_ms < limit_ms; waited_ms += STEP_MS) {
        if (attempt_of(s, &body, &at, &attempt, &config) && !str_eq(at, before) &&
            all_workers_have_it(config)) {
            int rc = print_outcome(attempt);
            buf_dispose(&body);
            return rc;
        }
        sleep_ms(STEP_MS);
    }
    buf_dispose(&body);
    fputs("moongate: no outcome yet; the error log will say\n", stderr);
    return EXIT_FAILED;
}

static int reload_and_wait(const cli_t *c, int64_t limit_ms)
{
    buf_t body = {0};
    str_t at, attempt, config;
    char before[64];
    if (!attempt_of(&c->settings, &body, &at, &attempt, &config)) {
        fputs("moongate: --wait needs the status listener of that gateway (--status-listen)\n",
              stderr);
        buf_dispose(&body);
        return EXIT_FAILED;
    }
    snprintf(before, sizeof before, "%.*s", STR_FMT(at));
    buf_dispose(&body);
    return signal_running(&c->settings, SIGHUP, 0)
               ? wait_reload(&c->settings, str_from(before), (uint64_t)limit_ms)
               : EXIT_FAILED;
}

int reload_run(const cli_t *c)
{
    int64_t limit_ms = cli_seconds_ms(c, OPT_TIMEOUT_S, RELOAD_MS);
    if (limit_ms < 0)
        return EXIT_USAGE;
    if (c->given[OPT_WAIT])
        return reload_and_wait(c, limit_ms);
    int pid = signal_running(&c->settings, SIGHUP, 0);
    if (pid)
        printf("process %d reads its configuration again; its error log says how that went\n",
               pid);
    return pid ? EXIT_DONE : EXIT_FAILED;
}

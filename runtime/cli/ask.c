// health and status: what the running gateway answers on its status listener.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "core/node.h"
#include "http/json.h"
#include "io/addr.h"

enum { LIMIT_S = 5, ANSWER_MAX = 4 << 20 };

static int connect_to(const settings_t *s, char *why, size_t cap)
{
    const struct timeval limit = {.tv_sec = LIMIT_S};
    addr_t a;
    str_t address = s->status_listen[0].address;
    if (addr_parse(address, &a) != 0) {
        snprintf(why, cap, "%.*s is no address", STR_FMT(address));
        return -1;
    }
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (connect(fd, &a.sa, (socklen_t)addr_len(&a)) == 0)
            return fd;
    }
    snprintf(why, cap, "%.*s does not answer: %s", STR_FMT(address), strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int exchange(int fd, const char *path, buf_t *answer)
{
    char ask[256];
    ssize_t n;
    int ask_n =
        snprintf(ask, sizeof ask,
                 "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    ASSERT(ask_n > 0 && ask_n < (int)sizeof ask, "our paths are short");
    if (send(fd, ask, (size_t)ask_n, MSG_NOSIGNAL) != ask_n)
        return -1;
    while ((n = recv(fd, buf_reserve(answer, 4096), 4096, 0)) > 0 && answer->n < ANSWER_MAX)
        buf_commit(answer, (size_t)n);
    return n == 0 ? 0 : -1;
}

int status_ask(const settings_t *s, const char *path, buf_t *body, char *why, size_t cap)
{
    buf_t answer = {0};
    int status = 0;
    if (s->n_status_listen == 0 || s->status_listen[0].tls) {
        snprintf(why, cap, "there is no plain status listener to ask (status_listen)");
        return 0;
    }
    int fd = connect_to(s, why, cap);
    if (fd < 0)
        return 0;
    if (exchange(fd, path, &answer) != 0)
        snprintf(why, cap, "%.*s does not answer: %s", STR_FMT(s->status_listen[0].address),
                 strerror(errno));
    close(fd);
    ptrdiff_t end = str_find(buf_str(&answer), STR("\r\n\r\n"));
    if (end > 0) {
        buf_append(body, str_from_at(buf_str(&answer), (size_t)end + 4));
        buf_putc(&answer, '\0');
        if (sscanf(buf_str(&answer).p, "HTTP/1.1 %d", &status) != 1)
            status = 0;
    }
    buf_dispose(&answer);
    return status;
}

// ---- health ----

static int health_by_pid(const settings_t *s)
{
    int pid = prefix_trusted(s) ? pidfile_holder(s->prefix) : 0;
    if (pid > 0)
        printf("process %d runs (there is no plain status listener to ask)\n", pid);
    else
        fprintf(stderr, "moongate: nothing runs with prefix %.*s (another one: --prefix DIR)\n",
                STR_FMT(s->prefix));
    return pid > 0 ? EXIT_DONE : EXIT_FAILED;
}

// "ready", "draining", or NULL with the error on stderr.
static const char *readiness(const settings_t *s)
{
    char why[256] = "no answer";
    buf_t body = {0};
    int status = status_ask(s, "/status/ready", &body, why, sizeof why);
    buf_dispose(&body);
    if (status == 200 || status == 503)
        return status == 200 ? "ready" : "draining";
    fprintf(stderr, "moongate: down: %s\n", why);
    return NULL;
}

static int code_of(const char *state)
{
    return !state ? EXIT_FAILED : strcmp(state, "ready") == 0 ? EXIT_DONE : EXIT_DRAINING;
}

int health_run(const cli_t *c)
{
    const settings_t *s = &c->settings;
    if (s->n_status_listen == 0 || s->status_listen[0].tls)
        return health_by_pid(s);
    const char *state = readiness(s);
    if (state)
        puts(state);
    return code_of(state);
}

// ---- status ----

// A member's raw text, without the quotes of a string.
static str_t member(str_t object, const char *name)
{
    str_t raw;
    if (!json_get(object, str_from(name), &raw))
        return STR("?");
    return raw.n >= 2 && raw.p[0] == '"' ? str_make(raw.p + 1, raw.n - 2) : raw;
}

static void print_time(str_t seconds)
{
    char text[32];
    double value;
    struct tm tm;
    if (json_number(seconds, &value) != 0)
        return;
    time_t at = (time_t)value;
    if (gmtime_r(&at, &tm) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        fputs(text, stdout);
}

static void print_status(const settings_t *s, const char *state, str_t body)
{
    str_t config = {0}, attempt = {0}, server = {0};
    json_get(body, STR("config"), &config);
    json_get(config, STR("last_attempt"), &attempt);
    json_get(body, STR("server"), &server);
    bool ok = str_eq(member(attempt, "ok"), STR("true"));
    printf("state:          %s\n", state);
    printf("process:        %d, prefix %.*s\n", pidfile_holder(s->prefix), STR_FMT(s->prefix));
    printf("configuration:  %.*s, generation %.*s, loaded ",
           STR_FMT(member(body, "configuration_hash")), STR_FMT(member(config, "generation")));
    print_time(member(config, "loaded_at"));
    printf("\nworkers:        %.*s of %.*s have it\nlast attempt:   %s at ",
           STR_FMT(member(config, "workers_acked")), STR_FMT(member(config, "workers")),
           ok ? "taken" : "REFUSED (moongate status --json says why)");
    print_time(member(attempt, "at"));
    printf("\nconnections:    %.*s\nrequests:       %.*s\n",
           STR_FMT(member(server, "connections_active")),
           STR_FMT(member(server, "total_requests")));
}

int status_run(const cli_t *c)
{
    char why[256] = "no answer";
    buf_t body = {0};
    const char *state = readiness(&c->settings);
    if (state && status_ask(&c->settings, "/status", &body, why, sizeof why) != 200) {
        fprintf(stderr, "moongate: down: %s\n", why);
        state = NULL;
    }
    if (state && c->given[OPT_JSON])
        printf("{\"state\":\"%s\",%.*s\n", state, STR_FMT(str_from_at(buf_str(&body), 1)));
    else if (state)
        print_status(&c->settings, state, buf_str(&body));
    buf_dispose(&body);
    return code_of(state);
}

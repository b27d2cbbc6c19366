// config push, config nodes: for gateways that take their configuration from Redis. The work is Lua's (lualib/cli/config_*.lua).
// Invariant: what would not start is not pushed.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "lua/program.h"

enum { ARGS_MAX = 128 };

static int no_redis(void)
{
    fputs(
        "moongate: which Redis? (--config-redis redis://HOST:PORT, or MOONGATE_CONFIG_REDIS)\n",
        stderr);
    return EXIT_USAGE;
}

// The settings of a gateway that has these paths only: without the directory of what comes from Redis, which is the last.
static settings_t without_remote(const settings_t *s)
{
    settings_t own = *s;
    ASSERT(s->n_config_paths > 0, "config_redis brings a path");
    own.config_redis = (str_t){0};
    own.n_config_paths--;
    return own;
}

typedef struct words {
    char *v[ARGS_MAX];
    int n;
} words_t;

static void add(words_t *w, str_t word)
{
    if (w->n < ARGS_MAX)
        w->v[w->n++] = strndup(word.n ? word.p : "", word.n);
}

// What lualib/remote/store.lua takes first.
static void add_place(words_t *w, const char *command, const settings_t *s)
{
    add(w, str_from(command));
    add(w, s->config_redis);
    add(w, s->config_redis_cluster);
    add(w, s->config_redis_password);
    add(w, s->tls_verify ? STR("on") : STR("off"));
}

static int run(words_t *w, const settings_t *s)
{
    int rc = program_run("moongate.cli", w->n, w->v, s);
    while (w->n > 0)
        free(w->v[--w->n]);
    return rc;
}

static str_t given(const cli_t *c, option_t option)
{
    return c->given[option] ? str_from(c->given[option]) : STR("");
}

int push_run(const cli_t *c)
{
    words_t w = {.n = 0};
    if (c->settings.config_redis.n == 0)
        return no_redis();
    settings_t s = without_remote(&c->settings);
    if (s.n_config_paths == 0) {
        help_usage(stderr, c->command);
        return EXIT_USAGE;
    }
    if (!c->given[OPT_SKIP_CHECK] && check_configuration(&s) != EXIT_DONE) {
        fputs("configuration is invalid: nothing was pushed\n", stderr);
        return EXIT_FAILED;
    }
    add_place(&w, "config push", &c->settings);
    add(&w, given(c, OPT_IF_MATCH));
    add(&w, given(c, OPT_SIGN));
    for (uint32_t i = 0; i < s.n_config_paths; i++)
        add(&w, s.config_paths[i]);
    return run(&w, &s);
}

int nodes_run(const cli_t *c)
{
    words_t w = {.n = 0};
    if (c->settings.config_redis.n == 0)
        return no_redis();
    settings_t s = without_remote(&c->settings);
    add_place(&w, "config nodes", &c->settings);
    add(&w, c->given[OPT_JSON] ? STR("json") : STR("text"));
    return run(&w, &s);
}

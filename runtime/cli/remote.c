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
    fputs("moongate: which Redis? (--config-redis redis://HOST:PORT, or MOONGATE_CONFIG_REDIS)\n",
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

static char *or_empty(const char *given)
{
    return (char *)(uintptr_t)(given ? given : "");
}

int push_run(const cli_t *c)
{
    char *argv[ARGS_MAX] = {"config push", or_empty(c->given[OPT_IF_MATCH]),
                            or_empty(c->given[OPT_SIGN])};
    int n = 3;
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
    for (uint32_t i = 0; i < s.n_config_paths && n < ARGS_MAX; i++)
        argv[n++] = strndup(s.config_paths[i].p, s.config_paths[i].n);
    int rc = program_run("moongate.cli", n, argv, &c->settings);
    while (n > 3)
        free(argv[--n]);
    return rc;
}

int nodes_run(const cli_t *c)
{
    char *argv[] = {"config nodes", c->given[OPT_JSON] ? "json" : "text"};
    return c->settings.config_redis.n ? program_run("moongate.cli", 2, argv, &c->settings)
                                      : no_redis();
}

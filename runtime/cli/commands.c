// The tables of commands, options and signals, and the choice of what to run. What the commands do is in the files beside it.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"

static const option_row_t OPTIONS[OPT_COUNT] = {
    [OPT_HELP] = {"help", 'h', NULL, "Says how the command is used."},
    [OPT_CONF] = {"conf", 'c', "FILE|DIR", "Configuration; may be given several times."},
    [OPT_PREFIX] = {"prefix", 'p', "DIR", "Run directory (pid file)."},
    [OPT_SETTINGS] = {"settings", 0, "FILE",
                      "Settings file; else gateway.yaml in a -c directory."},
    [OPT_NO_MASTER] = {"no-master", 0, NULL, "One plain process."},
    [OPT_V] = {"v", 0, NULL, "Logs more (log_level info)."},
    [OPT_VV] = {"vv", 0, NULL, "Logs everything (log_level debug)."},
    [OPT_DAEMON] =
        {"daemon", 0, NULL,
         "Returns when the gateway serves, and leaves it in the background; its logs "
         "go to files in the prefix."},
    [OPT_FOREGROUND] = {"foreground", 0, NULL, "Stays in the foreground (the default)."},
    [OPT_WAIT] = {"wait", 0, NULL, "Waits for the outcome: exit code 0 taken, 1 refused."},
    [OPT_WAIT_S] = {"wait", 0, "SECONDS", "Waits so long before it begins (0)."},
    [OPT_TIMEOUT_S] = {"timeout", 0, "SECONDS", "How long it may take."},
    [OPT_JSON] = {"json", 0, NULL, "Prints JSON."},
    [OPT_FORMAT] = {"format", 0, "text|json|github", "How problems are printed (text)."},
    [OPT_UNDO] = {"undo", 0, NULL, "Takes it into service again."},
    [OPT_EFFECTIVE] = {"effective", 0, NULL,
                       "The values in use and where each comes from, instead of the defaults."},
    [OPT_IF_MATCH] = {"if-match", 0, "HASH",
                      "Only when that is the current one: else exit code 2."},
    [OPT_SIGN] =
        {"sign", 0, "FILE",
         "Signs with an Ed25519 private key (PEM); plugins/NAME/*.lua beside the files "
         "are pushed too."},
    [OPT_SKIP_CHECK] =
        {"skip-check", 0, NULL,
         "For a machine without the environment and plugins that the gateways have."},
};

static const signal_row_t SIGNALS[] = {
    {"TERM",
     "drains: not ready, serves on for drain_delay, then lets requests end for drain_timeout"},
    {"QUIT", "the same without the delay"},
    {"INT", "stops at once, as a second TERM does"},
    {"HUP", "reads the configuration again; a bad one is reported and the old one stays"},
    {"USR1", "opens the log files anew"},
    {"USR2", "not ready, but serves on (moongate drain)"},
};

#define COMMON (OPT(HELP) | OPT(CONF) | OPT(PREFIX) | OPT(SETTINGS) | OPT(V) | OPT(VV))

static const char VALIDATE_DETAILS[] =
    "Reads the files as a start or a reload does and loads the handlers of the plugins in use. "
    "It needs no port, no network and no root.\n"
    "Prints every problem as FILE:LINE:COLUMN: what, where, what to do. Exit code 0 valid, 1 "
    "invalid.";

static const command_t COMMANDS[] = {
    {"start", NULL, NULL, "Serves.",
     "In the foreground, with logs on stdout and stderr; told to systemd when it asks "
     "(Type=notify).",
     COMMON | OPT(NO_MASTER) | OPT(DAEMON) | OPT(FOREGROUND), OPERANDS_NONE, true, start_run,
     NULL},
    {"stop", NULL, NULL,
     "Ends the running gateway after the drain delay, and waits for its end.", NULL, COMMON,
     OPERANDS_NONE, true, stop_run, NULL},
    {"quit", NULL, NULL,
     "Ends the running gateway without the drain delay, and waits for its end.",
     "What is under way may end within --timeout (else drain_timeout); then it is cut.",
     COMMON | OPT(WAIT_S) | OPT(TIMEOUT_S), OPERANDS_NONE, true, quit_run, NULL},
    {"restart", NULL, NULL,
     "Ends the running gateway as quit does, and starts another in the background.", NULL,
     COMMON | OPT(NO_MASTER), OPERANDS_NONE, true, restart_run, NULL},
    {"reload", NULL, NULL, "Has the running gateway read its configuration again.",
     "Requests under way finish with the configuration they began with.",
     COMMON | OPT(WAIT) | OPT(TIMEOUT_S), OPERANDS_NONE, true, reload_run, NULL},
    {"drain", NULL, NULL,
     "Takes the running gateway out of service: not ready, but it serves on.",
     "--undo needs a master (not --no-master).", COMMON | OPT(UNDO), OPERANDS_NONE, true,
     drain_run, NULL},
    {"health", NULL, NULL, "Asks the running gateway: exit code 0 ready, 1 down, 3 draining.",
     NULL, COMMON, OPERANDS_NONE, true, health_run, NULL},
    {"status", NULL, NULL, "Says what the running gateway does; exit codes as health.", NULL,
     COMMON | OPT(JSON), OPERANDS_NONE, true, status_run, NULL},
    {"config", "validate", "PATH...", "Checks configuration files.", VALIDATE_DETAILS,
     COMMON | OPT(FORMAT), OPERANDS_PATHS, true, validate_run, NULL},
    {"config", "parse", "PATH...", "The same as config validate.", NULL, COMMON | OPT(FORMAT),
     OPERANDS_PATHS, true, validate_run, NULL},
    {"check", NULL, "PATH...", "The same as config validate.", NULL, COMMON | OPT(FORMAT),
     OPERANDS_PATHS, true, validate_run, NULL},
    {"-t", NULL, "PATH...", "The same as config validate.", NULL, COMMON | OPT(FORMAT),
     OPERANDS_PATHS, true, validate_run, NULL},
    {"config", "dump", "PATH...", "Prints the configuration as one normalised JSON document.",
     NULL, COMMON, OPERANDS_PATHS, true, dump_run, NULL},
    {"config", "diff", "OLD NEW",
     "Says what differs between two configurations, entity by entity.",
     "Exit code 0 when nothing does, 2 when something does, 1 when one of them is invalid.",
     COMMON, OPERANDS_WORDS, true, diff_run, NULL},
    {"config", "push", "PATH...",
     "Makes files the configuration of all gateways that follow a Redis (--config-redis).",
     "Checks them first. References ({vault://...}, ${{ env ... }}) are resolved by each "
     "gateway: "
     "no secret goes to Redis.\n"
     "Prints the hash. Exit code 0 pushed, 1 invalid or Redis failed, 2 another one is "
     "current.",
     COMMON | OPT(IF_MATCH) | OPT(SIGN) | OPT(SKIP_CHECK), OPERANDS_PATHS, true, push_run,
     NULL},
    {"config", "nodes", NULL, "Lists the gateways that follow a Redis, and what each has.",
     "Exit code 3 when one that was heard of lately has not the current configuration.",
     COMMON | OPT(JSON), OPERANDS_NONE, true, nodes_run, NULL},
    {"config", "init", "[FILE]", "Writes a configuration to begin with (kong.yml).", NULL,
     OPT(HELP), OPERANDS_WORDS, false, init_run, NULL},
    {"plugins", "list", NULL,
     "Lists the plugins that can be used, with versions and priorities.", NULL, COMMON,
     OPERANDS_NONE, true, plugins_list_run, NULL},
    {"plugins", "schema", "NAME", "Prints what a plugin's config may hold, as JSON.", NULL,
     COMMON, OPERANDS_WORDS, true, plugins_schema_run, NULL},
    {"plugin", "new", "NAME [DIR]",
     "Writes a plugin, its spec and a configuration to start from.", NULL, 0, OPERANDS_WORDS,
     false, NULL, tool_run},
    {"plugin", "check", "DIR", "Says what is wrong with a plugin before it runs.", NULL, 0,
     OPERANDS_WORDS, false, NULL, tool_run},
    {"test", NULL, "[DIR|FILE...]",
     "Runs specs of plugins inside the gateway (moongate test --help).", NULL, 0,
     OPERANDS_WORDS, false, NULL, tool_run},
    {"vault", "get", "REFERENCE",
     "Prints the secret that a reference means: {vault://env/NAME}, or env/NAME.",
     "Vaults of a configuration are known with -c.", COMMON, OPERANDS_WORDS, true,
     vault_get_run, NULL},
    {"settings", NULL, NULL, "Lists every setting, its default and what it does.", NULL,
     COMMON | OPT(EFFECTIVE), OPERANDS_NONE, true, help_settings, NULL},
    {"completion", NULL, "bash|zsh|fish", "Prints a completion script for a shell.", NULL,
     OPT(HELP), OPERANDS_WORDS, false, completion_run, NULL},
    {"man", NULL, "moongate|gateway.yaml", "Prints a manual page in man's format.", NULL,
     OPT(HELP), OPERANDS_WORDS, false, manual_run, NULL},
    {"version", NULL, NULL, "Prints the version (-V: also what it was built with).", NULL,
     OPT(HELP), OPERANDS_NONE, false, version_run, NULL},
};

const command_t *cli_commands(unsigned *n)
{
    *n = sizeof COMMANDS / sizeof *COMMANDS;
    return COMMANDS;
}

const option_row_t *cli_options(void)
{
    return OPTIONS;
}

const signal_row_t *cli_signals(unsigned *n)
{
    *n = sizeof SIGNALS / sizeof *SIGNALS;
    return SIGNALS;
}

// ---- running one ----

static int run(const command_t *command, int argc, char **argv)
{
    ASSERT(command->run != NULL, "a command with options runs with them");
    cli_t *c = mem_zalloc(sizeof *c);
    c->command = command;
    int rc = cli_parse(c, argc, argv);
    if (rc == 0 && c->given[OPT_HELP])
        help_command(stdout, command);
    else if (rc == 0 && (rc = cli_load_settings(c)) == 0)
        rc = command->run(c);
    cli_dispose(c);
    free(c);
    return rc;
}

// "moongate config", "moongate config x", "moongate config --help".
static int wrong_second(const char *first, const char *second)
{
    bool help = strcmp(second, "--help") == 0 || strcmp(second, "-h") == 0;
    FILE *to = help ? stdout : stderr;
    if (!help && *second)
        fprintf(stderr, "moongate: unknown command '%s %s'; there are:\n", first, second);
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strcmp(COMMANDS[i].name, first) == 0)
            help_usage(to, &COMMANDS[i]);
    }
    return help ? EXIT_DONE : EXIT_USAGE;
}

static bool is_one_of(const char *word, const char *const *list)
{
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list != NULL;
}

int cli_main(int argc, char **argv)
{
    static const char *const HELP[] = {"--help", "-h", "help", NULL}, *const VERSION[] = {
                                                                          "--version", "-v",
                                                                          NULL};
    if (argc < 2 || is_one_of(argv[1], HELP)) {
        help_all(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (is_one_of(argv[1], VERSION) || strcmp(argv[1], "-V") == 0)
        return version_print(strcmp(argv[1], "-V") == 0);
    const char *second = argc > 2 ? argv[2] : "";
    bool known = false;
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        const command_t *c = &COMMANDS[i];
        if (strcmp(argv[1], c->name) != 0)
            continue;
        known = true;
        int words = c->second ? 2 : 1;
        if (!c->second || strcmp(second, c->second) == 0)
            return c->run_raw ? c->run_raw(argc - 1, argv + 1)
                              : run(c, argc - 1 - words, argv + 1 + words);
    }
    if (known)
        return wrong_second(argv[1], second);
    fprintf(stderr, "moongate: unknown command '%s' (moongate --help lists them)\n", argv[1]);
    return EXIT_USAGE;
}

// Arguments taken apart by the tables of commands.c; see cli.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"

extern char **environ;

// ---- settings as flags ----

static int add_flag(cli_t *c, str_t name, const char *value)
{
    if (c->n_flags == CLI_FLAGS_MAX) {
        fprintf(
            stderr,
            "moongate: more than %d options: put them into a settings file (--settings FILE)\n",
            CLI_FLAGS_MAX);
        return EXIT_USAGE;
    }
    size_t n = name.n + strlen(value) + 2;
    char *flag = mem_alloc(n);
    snprintf(flag, n, "%.*s=%s", STR_FMT(name), value);
    c->flags[c->n_flags++] = flag;
    return 0;
}

static int add_path(cli_t *c, const char *path)
{
    struct stat st;
    int rc = add_flag(c, STR("config_paths"), path);
    if (rc != 0 || c->settings_file || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return rc;
    int n = snprintf(c->found_file, sizeof c->found_file, "%s/gateway.yaml", path);
    if (n < (int)sizeof c->found_file && access(c->found_file, R_OK) == 0)
        c->settings_file = c->found_file;
    return 0;
}

// A setting's name as a flag writes it: with '-' or '_'.
static bool is_setting(str_t name)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        size_t at = 0;
        while (at < name.n && rows[i].name[at] == (name.p[at] == '-' ? '_' : name.p[at]))
            at++;
        if (at == name.n && rows[i].name[at] == '\0')
            return true;
    }
    return false;
}

// An unknown setting is refused at its place: what follows it may be its value or the next option.
static int refuse_setting(str_t name)
{
    cli_t one = {0};
    char *why = NULL;
    int rc = add_flag(&one, name, "");
    ASSERT(rc == 0, "there is room for one flag");
    rc = settings_load(&one.settings, NULL, one.flags, 1, NULL, &why);
    ASSERT(rc != 0, "a name that is no setting is refused");
    fputs(why, stderr);
    free(why);
    cli_dispose(&one);
    return EXIT_USAGE;
}

// ---- options ----

// The row of an option that the command takes: by "--name", "--config" (an old friend) or "-x". OPT_COUNT: none.
static option_t find_option(const command_t *command, str_t arg)
{
    const option_row_t *rows = cli_options();
    bool is_long = str_starts(arg, STR("--"));
    str_t name = str_from_at(arg, is_long ? 2 : 1);
    if (is_long && str_eq(name, STR("config")))
        name = STR("conf");
    for (int i = 0; i < OPT_COUNT; i++) {
        bool same = is_long ? str_eq(name, str_from(rows[i].name))
                            : rows[i].letter && name.n == 1 && name.p[0] == rows[i].letter;
        if (same && (command->options & 1u << i))
            return (option_t)i;
    }
    return OPT_COUNT;
}

static int take_option(cli_t *c, option_t option, const char *value)
{
    c->given[option] = value;
    switch (option) {
    case OPT_CONF:
        return add_path(c, value);
    case OPT_PREFIX:
        return add_flag(c, STR("prefix"), value);
    case OPT_SETTINGS:
        c->settings_file = value;
        return 0;
    case OPT_NO_MASTER:
        return add_flag(c, STR("master"), "off");
    case OPT_V:
        return add_flag(c, STR("log_level"), "info");
    case OPT_VV:
        return add_flag(c, STR("log_level"), "debug");
    case OPT_HELP:
    case OPT_DAEMON:
    case OPT_FOREGROUND:
    case OPT_WAIT:
    case OPT_WAIT_S:
    case OPT_TIMEOUT_S:
    case OPT_JSON:
    case OPT_FORMAT:
    case OPT_UNDO:
    case OPT_EFFECTIVE:
    case OPT_IF_MATCH:
    case OPT_SIGN:
    case OPT_SKIP_CHECK:
    case OPT_COUNT:
        return 0;
    }
    UNREACHABLE("every option is handled");
}

static int unknown_option(const cli_t *c, const char *arg)
{
    fprintf(stderr, "moongate: unknown option %s (moongate %s%s%s --help lists them)\n", arg,
            c->command->name, c->command->second ? " " : "",
            c->command->second ? c->command->second : "");
    return EXIT_USAGE;
}

static int missing_value(const char *option)
{
    fprintf(stderr, "moongate: %s needs a value (moongate --help lists the options)\n", option);
    return EXIT_USAGE;
}

// One option at argv[*i], advanced past its value.
static int parse_option(cli_t *c, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    bool is_long = arg[1] == '-';
    const char *equals = is_long ? strchr(arg, '=') : NULL;
    str_t name = str_make(arg, equals ? (size_t)(equals - arg) : strlen(arg));
    option_t option = find_option(c->command, name);
    if (option == OPT_COUNT && (!is_long || !c->command->settings))
        return unknown_option(c, arg);
    if (option == OPT_COUNT && !is_setting(str_from_at(name, 2)))
        return refuse_setting(str_from_at(name, 2));
    if (option != OPT_COUNT && !cli_options()[option].value) {
        if (!equals)
            return take_option(c, option, "");
        fprintf(stderr, "moongate: %.*s takes no value\n", STR_FMT(name));
        return EXIT_USAGE;
    }
    const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    if (!value)
        return missing_value(arg);
    return option == OPT_COUNT ? add_flag(c, str_from_at(name, 2), value)
                               : take_option(c, option, value);
}

static int parse_operand(cli_t *c, const char *word)
{
    if (c->command->takes == OPERANDS_PATHS)
        return add_path(c, word);
    if (c->command->takes == OPERANDS_WORDS && c->n_words < CLI_WORDS_MAX) {
        c->words[c->n_words++] = word;
        return 0;
    }
    fprintf(stderr, "moongate: what is '%s'? (configuration is given as -c FILE|DIR)\n", word);
    return EXIT_USAGE;
}

int cli_parse(cli_t *c, int argc, char **argv)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        int rc;
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            rc = parse_option(c, argc, argv, &i);
        else
            rc = parse_operand(c, argv[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int cli_load_settings(cli_t *c)
{
    char *why = NULL;
    if (settings_load(&c->settings, c->settings_file, c->flags, c->n_flags, environ, &why) == 0)
        return 0;
    fputs(why ? why : "moongate: the settings are invalid\n", stderr);
    free(why);
    return EXIT_USAGE;
}

void cli_dispose(cli_t *c)
{
    for (unsigned i = 0; i < c->n_flags; i++)
        free(c->flags[i]);
    c->n_flags = 0;
    settings_dispose(&c->settings);
}

int64_t cli_seconds_ms(const cli_t *c, option_t option, int64_t fallback_ms)
{
    uint64_t seconds;
    if (!c->given[option])
        return fallback_ms;
    if (str_to_u64(str_from(c->given[option]), &seconds) == 0 && seconds <= 86400)
        return (int64_t)seconds * 1000;
    fprintf(stderr, "moongate: --%s %s: a number of seconds was expected\n",
            cli_options()[option].name, c->given[option]);
    return -1;
}

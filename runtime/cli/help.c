// --help, of the program and of each command, the list of settings, the version: all from the tables.
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "io/crypto.h"
#include "lua/script.h"

enum { COMMAND_WIDTH = 34, OPTION_WIDTH = 24 };

static void put_name(FILE *to, const command_t *c)
{
    fprintf(to, "%s%s%s", c->name, c->second ? " " : "", c->second ? c->second : "");
}

void help_usage(FILE *to, const command_t *c)
{
    fputs("Usage: moongate ", to);
    put_name(to, c);
    fprintf(to, "%s%s%s\n", c->operands ? " " : "", c->operands ? c->operands : "",
            c->options || c->run_raw ? " [OPTION...]" : "");
}

static void put_option(FILE *to, const option_row_t *row)
{
    char text[64], letter[] = "-?, ";
    letter[1] = row->letter;
    snprintf(text, sizeof text, "%s--%s%s%s", row->letter ? letter : "    ", row->name,
             row->value ? " " : "", row->value ? row->value : "");
    fprintf(to, "  %-*s  %s\n", OPTION_WIDTH, text, row->help);
}

static void put_options(FILE *to, uint32_t mask, bool settings)
{
    const option_row_t *rows = cli_options();
    for (int i = 0; i < OPT_COUNT; i++) {
        if (mask & 1u << i)
            put_option(to, &rows[i]);
    }
    if (settings)
        fprintf(to, "      %-*s  %s\n", OPTION_WIDTH - 4, "--SETTING VALUE",
                "Any setting (moongate settings).");
}

void help_command(FILE *to, const command_t *c)
{
    help_usage(to, c);
    fprintf(to, "%s\n", c->summary);
    if (c->details)
        fprintf(to, "%s\n", c->details);
    fputs("\nOptions:\n", to);
    put_options(to, c->options, c->settings);
}

static void put_command(FILE *to, const command_t *c)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s%s%s%s%s", c->name, c->second ? " " : "",
                     c->second ? c->second : "", c->operands ? " " : "",
                     c->operands ? c->operands : "");
    ASSERT(n > 0 && n < (int)sizeof text, "commands are short");
    fprintf(to, "  %-*s  %s\n", COMMAND_WIDTH, text, c->summary);
}

void help_all(FILE *to)
{
    unsigned n;
    uint32_t all = 0;
    const command_t *commands = cli_commands(&n);
    fputs("Usage: moongate COMMAND [OPTION...]\n\nCommands:\n", to);
    for (unsigned i = 0; i < n; i++) {
        put_command(to, &commands[i]);
        all |= commands[i].options;
    }
    fputs("\nOptions (moongate COMMAND --help says which a command takes):\n", to);
    put_options(to, all, true);
    fputs("\nSignals:\n", to);
    const signal_row_t *signals = cli_signals(&n);
    for (unsigned i = 0; i < n; i++)
        fprintf(to, "  %-6s %s\n", signals[i].name, signals[i].effect);
    fputs("\nExit codes: 0 done, 1 failed, 2 wrong use, 3 draining.\n", to);
}

// ---- settings ----

static void put_effective(const settings_t *s, const setting_row_t *row)
{
    buf_t text = {0};
    settings_text(s, row, &text);
    if (text.n > 0 && strcmp(row->name, "admin_key") == 0) { // the one setting that is a secret
        buf_clear(&text);
        buf_append(&text, STR("REDACTED"));
    }
    printf("%-28s %.*s  (%s)\n", row->name, STR_FMT(buf_str(&text)),
           settings_origin(s, row->name));
    buf_dispose(&text);
}

static void put_setting(const setting_row_t *row)
{
    printf("  %-28s %s\n  %-28s %s; default: %s%s%s\n", row->name, row->help, "", row->kind,
           row->fallback[0] ? row->fallback : "none", row->kong ? "; also KONG_" : "",
           row->kong ? row->kong : "");
}

int help_settings(const cli_t *c)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    bool effective = c->given[OPT_EFFECTIVE] != NULL;
    if (!effective)
        puts("Settings: as flags (--proxy-listen VALUE), in the environment "
             "(MOONGATE_PROXY_LISTEN=VALUE, or MOONGATE_PROXY_LISTEN_FILE=FILE\n"
             "with the value in a file), in a file (--settings FILE); the first of these that "
             "says something wins.\n");
    for (unsigned i = 0; i < n; i++)
        effective ? put_effective(&c->settings, &rows[i]) : put_setting(&rows[i]);
    return EXIT_DONE;
}

// ---- version ----

int version_print(bool full)
{
    puts("moongate " MOONGATE_VERSION);
    if (full)
        printf("lua files: %s\nLua: %s\nTLS: %s\ncompiler: " __VERSION__ "\n", lua_share(),
               lua_engine(), crypto_version());
    return EXIT_DONE;
}

int version_run(const cli_t *c)
{
    (void)c;
    return version_print(false);
}

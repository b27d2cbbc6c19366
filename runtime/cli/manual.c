// The manual pages moongate(1) and gateway.yaml(5), in man(7)'s format, made from the tables.
// Invariant: text from the tables is escaped; what stands here literally is roff.
#include <ctype.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"

// '-' must stay a hyphen one can copy; a line must not begin with a request.
static void put(const char *text)
{
    bool first = true;
    for (; *text; text++) {
        if (first && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
        first = *text == '\n';
    }
}

static void put_upper(const char *text)
{
    for (; *text; text++)
        putchar(toupper((unsigned char)*text));
}

static void title(const char *name, int section, const char *what)
{
    ASSERT(section > 0 && section < 10, "a manual has nine sections");
    fputs(".TH ", stdout);
    put_upper(name);
    printf(" %d \"\" \"moongate " MOONGATE_VERSION "\"\n.SH NAME\n", section);
    put(name);
    printf(" \\- %s\n", what);
}

// ---- moongate(1) ----

static void put_command(const command_t *c)
{
    fputs(".TP\n.B moongate ", stdout);
    put(c->name);
    printf("%s", c->second ? " " : "");
    put(c->second ? c->second : "");
    printf("%s", c->operands ? " \\fI" : "");
    put(c->operands ? c->operands : "");
    printf("%s\n", c->operands ? "\\fP" : "");
    put(c->summary);
    putchar('\n');
    if (c->details) {
        put(c->details);
        putchar('\n');
    }
    bool any = false;
    for (int i = 0; i < OPT_COUNT; i++) {
        if (!(c->options & 1u << i) || i == OPT_HELP)
            continue;
        fputs(any ? ", " : "Options: ", stdout);
        fputs("\\fB\\-\\-", stdout);
        put(cli_options()[i].name);
        fputs("\\fP", stdout);
        any = true;
    }
    fputs(any ? ".\n" : "", stdout);
}

static void put_option(const option_row_t *row)
{
    fputs(".TP\n.B ", stdout);
    if (row->letter)
        printf("\\-%c, ", row->letter);
    fputs("\\-\\-", stdout);
    put(row->name);
    printf("%s", row->value ? " \\fI" : "");
    put(row->value ? row->value : "");
    printf("%s\n", row->value ? "\\fP" : "");
    put(row->help);
    putchar('\n');
}

static const char INTRO[] = ".SH SYNOPSIS\n.B moongate\n\\fICOMMAND\\fP [\\fIOPTION\\fP...]\n"
                            ".SH DESCRIPTION\n"
                            "Moongate is an API and AI gateway: it takes HTTP requests from "
                            "applications, checks, limits, changes and counts them with\n"
                            "plugins, and passes them to services, the APIs of language models "
                            "among them. It reads Kong's declarative files.\n";

static const char OUTRO[] =
    ".SH ENVIRONMENT\n"
    "Each setting of\n.BR gateway.yaml (5)\n"
    "may be given as \\fBMOONGATE_\\fP\\fINAME\\fP, or as "
    "\\fBMOONGATE_\\fP\\fINAME\\fP\\fB_FILE\\fP, which names a file that holds the value;\n"
    "where Kong has a setting of the same meaning, its \\fBKONG_\\fP name is taken too.\n"
    ".TP\n.B NOTIFY_SOCKET, WATCHDOG_USEC\nsystemd is told of readiness, reloads, the end and, "
    "if it wants, that the process is alive.\n"
    ".TP\n.B MOONGATE_SHARE_DIR\nWhere the Lua files are, when they were moved.\n"
    ".SH FILES\n"
    ".TP\n.I /etc/moongate/gateway.yaml\nSettings of a packaged gateway.\n"
    ".TP\n.I /etc/moongate/conf.d/\nIts configuration.\n"
    ".TP\n.I /run/moongate/moongate.pid\nThe process that runs with this prefix.\n"
    ".SH EXIT STATUS\n"
    "0 done, 1 failed, 2 wrong use (config diff: there are differences), 3 draining (health, "
    "status).\n"
    ".SH SEE ALSO\n.BR gateway.yaml (5)\n";

static void page_moongate(void)
{
    unsigned n;
    title("moongate", 1, "API and AI gateway");
    fputs(INTRO, stdout);
    fputs(".SH COMMANDS\n", stdout);
    const command_t *commands = cli_commands(&n);
    for (unsigned i = 0; i < n; i++)
        put_command(&commands[i]);
    fputs(".SH OPTIONS\n", stdout);
    for (int i = 0; i < OPT_COUNT; i++)
        put_option(&cli_options()[i]);
    fputs(".TP\n.B \\-\\-\\fISETTING VALUE\\fP\nAny setting of\n.BR gateway.yaml (5),\n"
          "with \\- for _.\n.SH SIGNALS\n",
          stdout);
    const signal_row_t *signals = cli_signals(&n);
    for (unsigned i = 0; i < n; i++) {
        printf(".TP\n.B %s\n", signals[i].name);
        put(signals[i].effect);
        putchar('\n');
    }
    fputs(OUTRO, stdout);
}

// ---- gateway.yaml(5) ----

static const char SETTINGS_INTRO[] =
    ".SH DESCRIPTION\n"
    "A YAML mapping of settings of one node: listeners, workers, logs, limits, timeouts. It is "
    "read at start, from\n"
    "\\fB\\-\\-settings\\fP or from a directory given by \\fB\\-c\\fP. Flags win over the "
    "environment, and that over the file.\n"
    "Routes and services are not in it: they are the configuration, in files of their own.\n"
    ".SH SETTINGS\n";

static void put_setting(const setting_row_t *row)
{
    fputs(".TP\n.B ", stdout);
    put(row->name);
    printf(": \\fI");
    put(row->kind);
    fputs("\\fP\n", stdout);
    put(row->help);
    fputs("\nDefault: ", stdout);
    put(row->fallback[0] ? row->fallback : "none");
    if (row->kong)
        printf(". Also KONG_%s", row->kong);
    puts(".");
}

static void page_settings(void)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    title("gateway.yaml", 5, "settings of a Moongate node");
    fputs(SETTINGS_INTRO, stdout);
    for (unsigned i = 0; i < n; i++)
        put_setting(&rows[i]);
    fputs(".SH SEE ALSO\n.BR moongate (1)\n", stdout);
}

int manual_run(const cli_t *c)
{
    const char *page = c->n_words == 0 ? "moongate" : c->words[0];
    if (c->n_words <= 1 && strcmp(page, "moongate") == 0) {
        page_moongate();
        return EXIT_DONE;
    }
    if (c->n_words == 1 && strcmp(page, "gateway.yaml") == 0) {
        page_settings();
        return EXIT_DONE;
    }
    help_usage(stderr, c->command);
    return EXIT_USAGE;
}

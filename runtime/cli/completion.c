// Completion scripts for bash, zsh and fish, made from the tables of commands, options and settings.
// Invariant: a shell offers exactly what cli_parse takes.
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"

typedef void (*each_option_fn)(const option_row_t *row);

static void each_option(const command_t *c, each_option_fn put)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        if (c->options & 1u << i)
            put(&cli_options()[i]);
    }
}

// "--proxy-listen" as people write it.
static void put_setting_name(const char *name)
{
    for (; *name; name++)
        putchar(*name == '_' ? '-' : *name);
}

static void put_setting_flags(void)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        fputs(i ? " --" : "--", stdout);
        put_setting_name(rows[i].name);
    }
}

static void put_flag(const option_row_t *row)
{
    printf(" --%s", row->name);
    if (row->letter)
        printf(" -%c", row->letter);
}

// Whether this row is the first with its first word.
static bool is_first(const command_t *commands, unsigned at)
{
    for (unsigned i = 0; i < at; i++) {
        if (strcmp(commands[i].name, commands[at].name) == 0)
            return false;
    }
    return true;
}

static void put_commands(void)
{
    unsigned n;
    const command_t *commands = cli_commands(&n);
    for (unsigned i = 0; i < n; i++) {
        if (is_first(commands, i))
            printf("%s%s", i ? " " : "", commands[i].name);
    }
    fputs(" --help --version", stdout);
}

static void put_seconds(const command_t *commands, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        ASSERT(commands[i].second, "commands of one first word all have a second");
        printf(" %s", commands[i].second);
    }
}

// ---- bash; zsh runs the same function through bashcompinit ----

// "bash|zsh|fish" are words to choose from, "[DIR|FILE...]" are not.
static bool has_choices(const command_t *c)
{
    return c->operands && strchr(c->operands, '|') && c->operands[0] >= 'a' &&
           c->operands[0] <= 'z';
}

// What lualib/cli/test.lua takes: cli_parse hands it everything.
static const char TEST_FLAGS[] =
    " --coverage --coverage-file --exclude-tags --filter --junit --list --output --plugin-dir"
    " --repeat --shuffle --tags --tap --timeout --verbose --watch";

static bool is_test(const command_t *c)
{
    return strcmp(c->name, "test") == 0;
}

static void put_operand_words(const command_t *c)
{
    if (is_test(c))
        fputs(TEST_FLAGS, stdout);
    if (has_choices(c))
        for (const char *p = c->operands; *p; p++)
            putchar(*p == '|' ? ' ' : *p);
}

static void bash_case(const command_t *c)
{
    printf("        '%s%s%s') words='", c->name, c->second ? " " : "",
           c->second ? c->second : "");
    put_operand_words(c);
    each_option(c, put_flag);
    printf("'%s ;;\n", c->settings ? "\" $settings\"" : "");
}

static const char BASH_HEAD[] =
    "_moongate() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
    "    local first=${COMP_WORDS[1]} second=${COMP_WORDS[2]}\n"
    "    local settings='";

static const char BASH_TAIL[] = "    if [[ $prev == --format ]]; then\n"
                                "        words='text json github'\n"
                                "    fi\n"
                                "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                                "    if [[ $cur != -* ]]; then\n"
                                "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
                                "    fi\n"
                                "}\n"
                                "complete -o filenames -F _moongate moongate\n";

static void bash(void)
{
    unsigned n;
    const command_t *commands = cli_commands(&n);
    fputs(BASH_HEAD, stdout);
    put_setting_flags();
    fputs("'\n    if [[ $COMP_CWORD -eq 1 ]]; then\n        words='", stdout);
    put_commands();
    fputs("'\n    elif [[ $COMP_CWORD -eq 2 ]]; then\n        case $first in\n", stdout);
    for (unsigned i = 0; i < n; i++) {
        if (!commands[i].second || !is_first(commands, i))
            continue;
        printf("        '%s') words='", commands[i].name);
        put_seconds(commands, n, commands[i].name);
        fputs("' ;;\n", stdout);
    }
    fputs("        esac\n    fi\n    if [[ $COMP_CWORD -ge 2 && -z $words ]]; then\n"
          "        case \"$first\" in\n",
          stdout);
    for (unsigned i = 0; i < n; i++) {
        if (!commands[i].second)
            bash_case(&commands[i]);
    }
    fputs("        esac\n        case \"$first $second\" in\n", stdout);
    for (unsigned i = 0; i < n; i++) {
        if (commands[i].second)
            bash_case(&commands[i]);
    }
    fputs("        esac\n    fi\n", stdout);
    fputs(BASH_TAIL, stdout);
}

static void zsh(void)
{
    fputs("#compdef moongate\nautoload -U +X bashcompinit && bashcompinit\n", stdout);
    bash();
}

// ---- fish ----

static void put_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_condition(const command_t *c)
{
    printf("complete -c moongate -n '__moongate_is %s%s%s'", c->name, c->second ? " " : "",
           c->second ? c->second : "");
}

static void fish_options(const command_t *c)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        const option_row_t *row = &cli_options()[i];
        if (!(c->options & 1u << i))
            continue;
        fish_condition(c);
        printf(" -l %s%s", row->name, row->value ? " -r" : "");
        if (row->letter)
            printf(" -s %c", row->letter);
        fputs(" -d ", stdout);
        put_quoted(row->help);
        putchar('\n');
    }
    if (c->settings) {
        fish_condition(c);
        puts(" -a '$__moongate_settings'");
    }
    if (has_choices(c) || is_test(c)) {
        fish_condition(c);
        fputs(is_test(c) ? " -a '" : " -f -a '", stdout);
        put_operand_words(c);
        puts("'");
    }
}

static const char FISH_HEAD[] = "function __moongate_is\n"
                                "    set -l words (commandline -opc)\n"
                                "    set -e words[1]\n"
                                "    test (count $words) -ge (count $argv); and test "
                                "\"$words[1..(count $argv)]\" = \"$argv\"\n"
                                "end\n"
                                "function __moongate_at\n"
                                "    test (count (commandline -opc)) -eq $argv[1]\n"
                                "end\n"
                                "set -g __moongate_settings ";

static void fish(void)
{
    unsigned n;
    const command_t *commands = cli_commands(&n);
    fputs(FISH_HEAD, stdout);
    put_setting_flags();
    putchar('\n');
    for (unsigned i = 0; i < n; i++) {
        const command_t *c = &commands[i];
        if (is_first(commands, i))
            printf("complete -c moongate -n '__moongate_at 1' -f -a '%s' -d ", c->name);
        if (is_first(commands, i))
            put_quoted(c->second ? "" : c->summary);
        if (is_first(commands, i))
            putchar('\n');
        if (c->second) {
            printf(
                "complete -c moongate -n '__moongate_is %s; and __moongate_at 2' -f -a %s -d ",
                c->name, c->second);
            put_quoted(c->summary);
            putchar('\n');
        }
        fish_options(c);
    }
    puts("complete -c moongate -n '__moongate_at 1' -f -l help -l version");
}

int completion_run(const cli_t *c)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } SHELLS[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; c->n_words == 1 && i < sizeof SHELLS / sizeof *SHELLS; i++) {
        if (strcmp(c->words[0], SHELLS[i].name) == 0) {
            SHELLS[i].print();
            return EXIT_DONE;
        }
    }
    help_usage(stderr, c->command);
    return EXIT_USAGE;
}

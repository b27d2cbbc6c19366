// The command line: one table of commands and one of options, from which arguments are taken apart, and --help, the manual pages and the
// shells' completions are made. What commands start is core/master.h and lua/loader.h.
// Not settings (config/settings.h), though each of them is an option too: --NAME VALUE.
// Invariant: an error is one line that says what, where and what to do; exit codes are those below.
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "config/settings.h"

// `config diff` uses EXIT_DIFFERS as diff-like tools do.
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_DIFFERS = 2, EXIT_DRAINING = 3 };

enum { CLI_FLAGS_MAX = 256, CLI_WORDS_MAX = 256 };

typedef enum option {
    OPT_HELP,
    OPT_CONF,
    OPT_PREFIX,
    OPT_SETTINGS,
    OPT_NO_MASTER,
    OPT_V,
    OPT_VV,
    OPT_DAEMON,
    OPT_FOREGROUND,
    OPT_WAIT,   // a switch
    OPT_WAIT_S, // seconds
    OPT_TIMEOUT_S,
    OPT_JSON,
    OPT_FORMAT,
    OPT_UNDO,
    OPT_EFFECTIVE,
    OPT_IF_MATCH,
    OPT_SIGN,
    OPT_SKIP_CHECK,
    OPT_COUNT
} option_t;

#define OPT(name) (1u << OPT_##name)

typedef struct option_row {
    const char *name;  // without "--"
    char letter;       // of the short form, 0: none
    const char *value; // what stands behind it; NULL: it is a switch
    const char *help;  // one sentence
} option_row_t;

typedef enum operands {
    OPERANDS_NONE,
    OPERANDS_PATHS, // added to config_paths
    OPERANDS_WORDS,
} operands_t;

typedef struct cli cli_t;

typedef struct command {
    const char *name, *second; // "config", "validate"; second NULL: one word
    const char *operands;      // as usage shows them; NULL: none
    const char *summary;       // one sentence
    const char *details;       // more lines for --help and the manual; NULL: none
    uint32_t options;          // OPT(...)
    operands_t takes;
    bool settings;              // --SETTING VALUE is an option too
    int (*run)(const cli_t *c); // the exit code
    // Instead of run, for commands that read their arguments themselves (lualib/cli): all that follows the name.
    int (*run_raw)(int argc, char **argv);
} command_t;

// A command line, taken apart.
struct cli {
    const command_t *command;
    settings_t settings;
    const char *given[OPT_COUNT]; // the value, "" for a switch, NULL when not given
    const char *words[CLI_WORDS_MAX];
    unsigned n_words;
    // the rest belongs to args.c
    char *flags[CLI_FLAGS_MAX]; // "name=value", owned
    unsigned n_flags;
    const char *settings_file;
    char found_file[4096]; // gateway.yaml of a -c directory
};

// Runs what the arguments ask for. The process's exit code. lua_set_share comes first.
int cli_main(int argc, char **argv);

// ---- tables (commands.c) ----
const command_t *cli_commands(unsigned *n);
const option_row_t *cli_options(void); // OPT_COUNT rows

typedef struct signal_row {
    const char *name, *effect;
} signal_row_t;
const signal_row_t *cli_signals(unsigned *n);

// ---- arguments (args.c) ----
// 0, or EXIT_USAGE with the error on stderr. cli_dispose in any case.
int cli_parse(cli_t *c, int argc, char **argv);
int cli_load_settings(cli_t *c);
void cli_dispose(cli_t *c);
// A number of seconds given to an option; `fallback` when it was not given; -1 with the error on stderr.
int64_t cli_seconds_ms(const cli_t *c, option_t option, int64_t fallback_ms);

// ---- text made from the tables ----
void help_all(FILE *to);
void help_command(FILE *to, const command_t *c);
// "moongate config validate PATH... [OPTION...]"
void help_usage(FILE *to, const command_t *c);
int help_settings(const cli_t *c);  // command: settings
int completion_run(const cli_t *c); // command: completion
int manual_run(const cli_t *c);     // command: man
int version_run(const cli_t *c);
int version_print(bool full);

// ---- commands ----
int start_run(const cli_t *c);
int restart_run(const cli_t *c);

int reload_run(const cli_t *c);
int stop_run(const cli_t *c);
int quit_run(const cli_t *c);
int drain_run(const cli_t *c);
// Ends what runs with this prefix and waits for its end; EXIT_DONE also when nothing runs.
int quit_if_running(const cli_t *c);

int health_run(const cli_t *c);
int status_run(const cli_t *c);
// GET of `path` from the status listener. Its status code with the body in *body (appended), or 0 with the reason in `why`.
int status_ask(const settings_t *s, const char *path, buf_t *body, char *why, size_t cap);

int validate_run(const cli_t *c);
int dump_run(const cli_t *c);
int diff_run(const cli_t *c);
int init_run(const cli_t *c);
// Would these settings start? Problems and warnings go to stderr. EXIT_DONE or EXIT_FAILED.
int check_configuration(const settings_t *s);
int push_run(const cli_t *c);
int nodes_run(const cli_t *c);

int tool_run(int argc, char **argv); // test, plugin
int vault_get_run(const cli_t *c);
int plugins_list_run(const cli_t *c);
int plugins_schema_run(const cli_t *c);

// ---- the run directory (prefix.c) ----
// Makes it. 0, or EXIT_FAILED with the error on stderr: also when the shared /tmp holds somebody else's directory of that name.
int prefix_make(const settings_t *s);
// Whether a prefix that was chosen for the user may be believed; with the error on stderr when not.
bool prefix_trusted(const settings_t *s);

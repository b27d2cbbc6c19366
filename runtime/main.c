// The program: arguments, subcommands, exit codes (0 done, 1 failed, 2 wrong use, 3 draining). What they start is core/master.h.
// Not settings (config/settings.h) and not the reading of configurations (lua/loader.h).
// Invariant: an error is one line that says what, where and what to do.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "config/generation.h"
#include "config/settings.h"
#include "core/master.h"
#include "core/node.h"
#include "io/addr.h"
#include "lua/loader.h"
#include "lua/program.h"
#include "lua/script.h"

enum { EXIT_USAGE = 2, EXIT_DRAINING = 3, FLAGS_MAX = 256 };

extern char **environ;

// A command line, taken apart.
typedef struct args {
    char *flags[FLAGS_MAX]; // "name=value", owned
    unsigned n_flags;
    const char *settings_file;
    char found_file[4096]; // gateway.yaml of a -c directory
    bool help, quiet;
} args_t;

// ---- arguments ----

static void add_flag(args_t *a, const char *name, size_t name_n, const char *value)
{
    if (a->n_flags == FLAGS_MAX) {
        fprintf(
            stderr,
            "moongate: more than %d options: put them into a settings file (--settings FILE)\n",
            FLAGS_MAX);
        exit(EXIT_USAGE);
    }
    size_t n = name_n + strlen(value) + 2;
    char *flag = mem_alloc(n);
    snprintf(flag, n, "%.*s=%s", (int)name_n, name, value);
    a->flags[a->n_flags++] = flag;
}

static void add_path(args_t *a, const char *path)
{
    struct stat st;
    add_flag(a, "config_paths", 12, path);
    if (a->settings_file || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return;
    snprintf(a->found_file, sizeof a->found_file, "%s/gateway.yaml", path);
    if (access(a->found_file, R_OK) == 0)
        a->settings_file = a->found_file;
}

static int missing_value(const char *option)
{
    fprintf(stderr, "moongate: %s needs a value (moongate --help lists the options)\n", option);
    return EXIT_USAGE;
}

// A setting's name as a flag writes it: with '-' or '_'.
static bool is_setting(const char *name, size_t name_n)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        size_t at = 0;
        while (at < name_n && rows[i].name[at] == (name[at] == '-' ? '_' : name[at]))
            at++;
        if (at == name_n && rows[i].name[at] == '\0')
            return true;
    }
    return false;
}

// An unknown setting is refused at its place: what follows it may be its value or the next option.
static int refuse_setting(const char *name, size_t name_n)
{
    args_t one = {0};
    settings_t s;
    char *why = NULL;
    add_flag(&one, name, name_n, "");
    int rc = settings_load(&s, NULL, one.flags, 1, NULL, &why);
    ASSERT(rc != 0, "a name that is no setting is refused");
    fputs(why, stderr);
    free(why);
    free(one.flags[0]);
    return EXIT_USAGE;
}

// One option at argv[*i], advanced past its value.
static int parse_option(args_t *a, int argc, char **argv, int *i)
{
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        a->help = true;
        return 0;
    }
    if (strcmp(arg, "--no-master") == 0) {
        add_flag(a, "master", 6, "off");
        return 0;
    }
    size_t name_n = equals && arg[1] == '-' ? (size_t)(equals - arg) : strlen(arg);
    str_t name = str_make(arg, name_n);
    if (arg[1] == '-' && !is_setting(arg + 2, name_n - 2) && !str_eq(name, STR("--conf")) &&
        !str_eq(name, STR("--config")) && !str_eq(name, STR("--settings")))
        return refuse_setting(arg + 2, name_n - 2);
    const char *value = equals && arg[1] == '-' ? equals + 1
                        : *i + 1 < argc         ? argv[++*i]
                                                : NULL;
    if (!value)
        return missing_value(arg);
    if (str_eq(name, STR("-c")) || str_eq(name, STR("--conf")) || str_eq(name, STR("--config")))
        add_path(a, value);
    else if (str_eq(name, STR("-p")))
        add_flag(a, "prefix", 6, value);
    else if (str_eq(name, STR("--settings")))
        a->settings_file = value;
    else if (name_n > 2 && arg[1] == '-')
        add_flag(a, arg + 2, name_n - 2, value);
    else {
        fprintf(stderr, "moongate: unknown option %s (moongate --help lists them)\n", arg);
        return EXIT_USAGE;
    }
    return 0;
}

// Options and, where `paths` allows it, configuration files and directories.
static int parse_args(args_t *a, int argc, char **argv, bool paths)
{
    for (int i = 0; i < argc; i++) {
        int rc = 0;
        if (argv[i][0] == '-' && argv[i][1] != '\0')
            rc = parse_option(a, argc, argv, &i);
        else if (paths)
            add_path(a, argv[i]);
        else
            rc = EXIT_USAGE;
        if (rc == EXIT_USAGE && argv[i][0] != '-')
            fprintf(stderr, "moongate: what is '%s'? (configuration is given as -c FILE|DIR)\n",
                    argv[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void dispose_args(args_t *a)
{
    for (unsigned i = 0; i < a->n_flags; i++)
        free(a->flags[i]);
}

static int load_settings(args_t *a, settings_t *s)
{
    char *why = NULL;
    if (settings_load(s, a->settings_file, a->flags, a->n_flags, environ, &why) == 0)
        return 0;
    fputs(why ? why : "moongate: the settings are invalid\n", stderr);
    free(why);
    return EXIT_USAGE;
}

// ---- help ----

static void print_settings(void)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    puts("Settings: as flags (--proxy-listen VALUE), in the environment "
         "(MOONGATE_PROXY_LISTEN=VALUE), in a file (--settings FILE);\n"
         "the first of these that says something wins.\n");
    for (unsigned i = 0; i < n; i++)
        printf("  %-28s %s\n  %-28s %s; default: %s%s%s\n", rows[i].name, rows[i].help, "",
               rows[i].kind, rows[i].fallback[0] ? rows[i].fallback : "none",
               rows[i].kong ? "; also KONG_" : "", rows[i].kong ? rows[i].kong : "");
}

static const char HELP[] =
    "Usage: moongate COMMAND [OPTION...]\n"
    "\n"
    "  start -c FILE|DIR...      serve (in the foreground)\n"
    "  config validate PATH...   check configuration files; also: check PATH..., config parse "
    "PATH..., -t PATH...\n"
    "  config dump PATH...       the configuration as one normalised JSON document\n"
    "  reload                    have the running gateway read its configuration again\n"
    "  stop                      end it after the drain delay, letting requests finish\n"
    "  quit                      the same without the delay\n"
    "  health                    ask it: exit code 0 ready, 1 down, 3 draining\n"
    "  test [DIR|FILE...]        run specs of plugins (moongate test --help)\n"
    "  plugin new NAME [DIR]     write a plugin, its spec and a configuration to start from\n"
    "  plugin check DIR          say what is wrong with a plugin before it runs\n"
    "  settings                  every setting, its default and what it does\n"
    "  version                   print the version\n"
    "\n"
    "Options: -c, --conf FILE|DIR  configuration, may be given several times\n"
    "         -p, --prefix DIR     run directory (pid file)\n"
    "         --settings FILE      settings file; else gateway.yaml in a -c directory\n"
    "         --no-master          one plain process\n"
    "         --SETTING VALUE      any setting: moongate settings\n"
    "\n"
    "Signals: TERM drain, QUIT drain without delay, INT or a second TERM stop at once, HUP "
    "reload, USR1 reopen logs.\n";

static int usage(const char *command)
{
    if (command)
        fprintf(stderr, "moongate: unknown command '%s' (moongate --help lists them)\n",
                command);
    else
        fputs(HELP, stderr);
    return EXIT_USAGE;
}

// ---- where our Lua files are ----

static bool holds_share(const char *dir)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/lualib/boot.lua", dir);
    return access(path, R_OK) == 0;
}

// The directory built in, or the one beside the program's when it was moved.
static const char *find_share(char *buf, size_t cap)
{
    const char *given = getenv("MOONGATE_SHARE_DIR");
    if (given && *given)
        return given;
    ssize_t n = holds_share(MOONGATE_SHARE) ? 0 : readlink("/proc/self/exe", buf, cap - 32);
    if (n <= 0)
        return MOONGATE_SHARE;
    buf[n] = '\0';
    char *slash = strrchr(buf, '/');
    ASSERT(slash, "a program's path holds a slash");
    strcpy(slash, "/../share/moongate");
    return holds_share(buf) ? buf : MOONGATE_SHARE;
}

// ---- start ----

static int open_log(const settings_t *s)
{
    char path[4096];
    int level = log_level_parse(s->log_level);
    if (level >= 0)
        log_set_level((log_level_t)level);
    snprintf(path, sizeof path, "%.*s", STR_FMT(s->error_log));
    int err = path[0] ? log_open(path) : 0;
    if (err == 0)
        return 0;
    fprintf(stderr, "moongate: error_log %s cannot be opened: %s\n", path, strerror(-err));
    return 1;
}

static int make_prefix(const settings_t *s)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%.*s", STR_FMT(s->prefix));
    for (int i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        char kept = path[i];
        path[i] = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) {
            fprintf(stderr, "moongate: run directory %s cannot be made: %s (set --prefix)\n",
                    path, strerror(errno));
            return 1;
        }
        path[i] = kept;
    }
    return 0;
}

static int start(const settings_t *s)
{
    if (s->n_config_paths == 0) {
        fputs("moongate: no configuration: give it as -c FILE|DIR (or MOONGATE_CONFIG_PATHS)\n",
              stderr);
        return EXIT_USAGE;
    }
    if (open_log(s) != 0 || make_prefix(s) != 0)
        return 1;
    master_opts_t o = {.settings = s, .script = &script_lua, .load = loader_load};
    return master_run(&o);
}

// ---- config ----

static int read_configuration(const settings_t *s, buf_t *document)
{
    load_t l = {.settings = s, .bare = true};
    int rc = loader_load(&l) == LOAD_DONE ? 0 : -1;
    str_t text = buf_str(&l.problems);
    buf_append(document, buf_str(&l.document));
    fwrite(text.p, 1, text.n, stderr);
    if (text.n > 0 && text.p[text.n - 1] != '\n')
        fputc('\n', stderr);
    load_dispose(&l);
    return rc;
}

static void print_count(bool *first, uint32_t n, const char *one, const char *many)
{
    if (n == 0)
        return;
    printf("%s %u %s", *first ? "" : ",", n, n == 1 ? one : many);
    *first = false;
}

static void print_summary(const generation_t *g)
{
    bool first = true;
    fputs("configuration is valid:", stdout);
    print_count(&first, g->n_services, "service", "services");
    print_count(&first, g->n_routes, "route", "routes");
    print_count(&first, g->n_plugins, "plugin", "plugins");
    print_count(&first, g->n_consumers, "consumer", "consumers");
    print_count(&first, g->n_credentials, "credential", "credentials");
    print_count(&first, g->n_upstreams, "upstream", "upstreams");
    print_count(&first, g->n_certificates, "certificate", "certificates");
    puts(first ? " empty" : "");
}

static int validate(const settings_t *s)
{
    buf_t document = {0};
    generation_t *g = NULL;
    char why[1024] = "";
    int rc = read_configuration(s, &document);
    if (rc == 0 && (rc = generation_create(buf_str(&document), 1, &g, why, sizeof why)) != 0)
        fprintf(stderr, "moongate: %s\n", why);
    if (rc == 0) {
        print_summary(g);
        generation_release(g);
    } else {
        fputs("configuration is invalid\n", stderr);
    }
    buf_dispose(&document);
    return rc == 0 ? 0 : 1;
}

static int dump(const settings_t *s)
{
    buf_t document = {0};
    int rc = read_configuration(s, &document);
    if (rc == 0) {
        fwrite(buf_str(&document).p, 1, document.n, stdout);
        putchar('\n');
    }
    buf_dispose(&document);
    return rc == 0 ? 0 : 1;
}

static int need_paths(const settings_t *s, int (*run)(const settings_t *s))
{
    if (s->n_config_paths > 0)
        return run(s);
    fputs("moongate: which configuration? (moongate config validate FILE|DIR...)\n", stderr);
    return EXIT_USAGE;
}

static int run_validate(const settings_t *s)
{
    return need_paths(s, validate);
}

static int run_dump(const settings_t *s)
{
    return need_paths(s, dump);
}

// ---- the running gateway ----

static int find_running(const settings_t *s)
{
    int pid = pidfile_holder(s->prefix);
    if (pid <= 0)
        fprintf(stderr, "moongate: nothing runs with prefix %.*s (another one: --prefix DIR)\n",
                STR_FMT(s->prefix));
    return pid;
}

static int signal_running(const settings_t *s, int signum)
{
    int pid = find_running(s);
    if (pid <= 0)
        return 0;
    if (kill(pid, signum) == 0)
        return pid;
    fprintf(stderr, "moongate: process %d cannot be signalled: %s\n", pid, strerror(errno));
    return 0;
}

static int reload(const settings_t *s)
{
    int pid = signal_running(s, SIGHUP);
    if (pid)
        printf("process %d reads its configuration again; its error log says how that went\n",
               pid);
    return pid ? 0 : 1;
}

// Until the process has ended, as long as a drain may take. What ends is its lock: a process that its parent has not yet
// asked for still has its number.
static int wait_end(const settings_t *s, int pid, uint64_t limit_ms)
{
    const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
    for (uint64_t waited_ms = 0; waited_ms < limit_ms; waited_ms += 20) {
        if (pidfile_holder(s->prefix) != pid)
            return 0;
        nanosleep(&step, NULL);
    }
    fprintf(stderr,
            "moongate: process %d has not ended yet (a second moongate stop ends it at once)\n",
            pid);
    return 1;
}

static int stop(const settings_t *s)
{
    int pid = signal_running(s, SIGTERM);
    return pid ? wait_end(s, pid, s->drain_delay_ms + (uint64_t)s->drain_timeout_ms + 5000) : 1;
}

static int quit(const settings_t *s)
{
    int pid = signal_running(s, SIGQUIT);
    return pid ? wait_end(s, pid, (uint64_t)s->drain_timeout_ms + 5000) : 1;
}

// The status listener's answer to GET /status/ready as a status code, or 0.
static int ask_ready(const settings_t *s, char *why, size_t cap)
{
    static const char ASK[] =
        "GET /status/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const struct timeval limit = {.tv_sec = 5};
    char answer[64] = "";
    addr_t a;
    if (addr_parse(s->status_listen[0].address, &a) != 0)
        return 0;
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, &a.sa, (socklen_t)addr_len(&a)) != 0 ||
        send(fd, ASK, sizeof ASK - 1, MSG_NOSIGNAL) < 0 ||
        recv(fd, answer, sizeof answer - 1, 0) <= 0 ||
        sscanf(answer, "HTTP/1.1 %d", &status) != 1)
        snprintf(why, cap, "%.*s does not answer: %s", STR_FMT(s->status_listen[0].address),
                 strerror(errno));
    close(fd);
    return status;
}

static int health(const settings_t *s)
{
    char why[256] = "no answer";
    if (s->n_status_listen == 0 || s->status_listen[0].tls) {
        int pid = find_running(s);
        if (pid > 0)
            printf("process %d runs (there is no plain status listener to ask)\n", pid);
        return pid > 0 ? 0 : 1;
    }
    int status = ask_ready(s, why, sizeof why);
    if (status == 200 || status == 503) {
        puts(status == 200 ? "ready" : "draining");
        return status == 200 ? 0 : EXIT_DRAINING;
    }
    fprintf(stderr, "moongate: down: %s\n", why);
    return 1;
}

// ---- commands ----

static const struct command {
    const char *name, *second;
    bool paths;
    int (*run)(const settings_t *s);
    const char *help;
} COMMANDS[] = {
    {"start", NULL, false, start,
     "Usage: moongate start -c FILE|DIR... [--no-master] [--workers N] [--SETTING "
     "VALUE...]\nServes in the foreground."},
    {"config", "validate", true, run_validate,
     "Usage: moongate config validate FILE|DIR...\nPrints every problem; exit code 0 valid, 1 "
     "invalid."},
    {"config", "parse", true, run_validate,
     "Usage: moongate config parse FILE|DIR...\nThe same as config validate."},
    {"config", "dump", true, run_dump,
     "Usage: moongate config dump FILE|DIR...\nPrints the normalised configuration as JSON."},
    {"check", NULL, true, run_validate,
     "Usage: moongate check FILE|DIR...\nThe same as config validate."},
    {"-t", NULL, true, run_validate,
     "Usage: moongate -t FILE|DIR...\nThe same as config validate."},
    {"reload", NULL, false, reload,
     "Usage: moongate reload [--prefix DIR]\nThe running gateway reads its configuration "
     "again."},
    {"stop", NULL, false, stop,
     "Usage: moongate stop [--prefix DIR]\nEnds the running gateway after the drain delay and "
     "waits for its end."},
    {"quit", NULL, false, quit,
     "Usage: moongate quit [--prefix DIR]\nEnds the running gateway without the drain delay "
     "and waits for its end."},
    {"health", NULL, false, health,
     "Usage: moongate health [--status-listen ADDRESS]\nExit code 0 ready, 1 down, 3 "
     "draining."},
};

static int run_command(const struct command *c, int argc, char **argv)
{
    args_t a = {0};
    settings_t s = {0};
    int rc = parse_args(&a, argc, argv, c->paths);
    if (rc == 0 && a.help)
        puts(c->help);
    else if (rc == 0 && (rc = load_settings(&a, &s)) == 0)
        rc = c->run(&s);
    settings_dispose(&s);
    dispose_args(&a);
    return rc;
}

static int version(bool full)
{
    puts("moongate " MOONGATE_VERSION);
    if (full)
        puts("lua files: " MOONGATE_SHARE);
    return 0;
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

int main(int argc, char **argv)
{
    char share[4096];
    if (argc < 2)
        return usage(NULL);
    if (is_one_of(argv[1], "--help", "-h", "help"))
        return fputs(HELP, stdout) < 0;
    if (is_one_of(argv[1], "version", "--version", "-v") || strcmp(argv[1], "-V") == 0)
        return version(strcmp(argv[1], "-V") == 0);
    if (strcmp(argv[1], "settings") == 0)
        return print_settings(), 0;
    lua_set_share(find_share(share, sizeof share));
    const char *second = argc > 2 ? argv[2] : "";
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        const struct command *c = &COMMANDS[i];
        if (strcmp(argv[1], c->name) == 0 && (!c->second || strcmp(second, c->second) == 0))
            return run_command(c, argc - (c->second ? 3 : 2), argv + (c->second ? 3 : 2));
    }
    if (is_one_of(argv[1], "test", "plugin", "plugin"))
        return program_run("moongate.cli", argc - 1, argv + 1);
    if (strcmp(argv[1], "config") == 0) {
        fputs("Usage: moongate config validate|dump FILE|DIR...\n", stderr);
        return EXIT_USAGE;
    }
    return usage(argv[1]);
}

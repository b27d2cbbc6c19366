// Commands that read configurations without serving them: config validate, dump, diff, init. The reader is lua/loader.h.
// Invariant: validate refuses what a start would refuse, handlers of plugins included; it takes no port and no network.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "config/generation.h"
#include "lua/loader.h"
#include "lua/program.h"
#include "lua/script.h"

enum { PLUGINS_MAX = 250, SAMPLE_MAX = 65536 };

typedef enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_GITHUB } format_t;

static int no_paths(void)
{
    fputs("moongate: which configuration? (moongate config validate FILE|DIR...)\n", stderr);
    return EXIT_USAGE;
}

// 0 with the document, or -1; problems, and warnings, in any case.
static int read_configuration(const settings_t *s, buf_t *document, buf_t *problems)
{
    load_t l = {.settings = s, .bare = true};
    int rc = loader_load(&l) == LOAD_DONE ? 0 : -1;
    buf_append(document, buf_str(&l.document));
    buf_append(problems, buf_str(&l.problems));
    load_dispose(&l);
    return rc;
}

static void print_lines(FILE *to, str_t text)
{
    fwrite(text.p, 1, text.n, to);
    if (text.n > 0 && text.p[text.n - 1] != '\n')
        fputc('\n', to);
}

static int read_or_print(const settings_t *s, buf_t *document)
{
    buf_t problems = {0};
    int rc = read_configuration(s, document, &problems);
    print_lines(stderr, buf_str(&problems));
    buf_dispose(&problems);
    return rc;
}

// ---- how problems are printed ----

static int format_of(const cli_t *c)
{
    static const char *const NAMES[] = {"text", "json", "github"};
    for (int i = 0; i < 3 && c->given[OPT_FORMAT]; i++) {
        if (strcmp(c->given[OPT_FORMAT], NAMES[i]) == 0)
            return i;
    }
    if (!c->given[OPT_FORMAT])
        return FORMAT_TEXT;
    fprintf(stderr, "moongate: --format %s: write text, json or github\n",
            c->given[OPT_FORMAT]);
    return -1;
}

static void put_json_problem(buf_t *out, const problem_t *p)
{
    buf_append(out, STR("{\"file\":\""));
    buf_append_json(out, p->file);
    buf_printf(out, "\",\"line\":%llu,\"column\":%llu,\"message\":\"",
               (unsigned long long)p->line, (unsigned long long)p->column);
    buf_append_json(out, p->message);
    buf_append(out, STR("\"}"));
}

static void print_json(bool valid, str_t problems)
{
    buf_t out = {0};
    problem_t p;
    buf_printf(&out, "{\"valid\":%s,\"problems\":[", valid ? "true" : "false");
    for (unsigned n = 0; problems_next(&problems, &p); n++) {
        if (n > 0)
            buf_putc(&out, ',');
        put_json_problem(&out, &p);
    }
    buf_append(&out, STR("]}"));
    print_lines(stdout, buf_str(&out));
    buf_dispose(&out);
}

// Annotations of GitHub's workflow commands; a problem of a valid configuration is a warning.
static void print_github(bool valid, str_t problems)
{
    problem_t p;
    const char *level = valid ? "warning" : "error";
    while (problems_next(&problems, &p)) {
        if (p.file.n > 0)
            printf("::%s file=%.*s,line=%llu,col=%llu::%.*s\n", level, STR_FMT(p.file),
                   (unsigned long long)p.line, (unsigned long long)(p.column ? p.column : 1),
                   STR_FMT(p.message));
        else
            printf("::%s::%.*s\n", level, STR_FMT(p.message));
    }
}

// ---- validate ----

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

static bool is_listed(char **list, int n, str_t name)
{
    for (int i = 0; i < n; i++) {
        if (str_eq(str_from(list[i]), name))
            return true;
    }
    return false;
}

// Loads the handlers of the plugins in use as a worker does. 0, or -1 with problems appended.
static int try_handlers(const settings_t *s, const generation_t *g, buf_t *problems)
{
    char *argv[PLUGINS_MAX + 2] = {"handlers", NULL};
    char out[64];
    int n = 2, fd = memfd_create("moongate-problems", 0);
    ASSERT(fd >= 0, "a memory file can be made");
    snprintf(out, sizeof out, "/proc/self/fd/%d", fd);
    argv[1] = out;
    for (uint32_t i = 0; i < g->n_plugins && n < PLUGINS_MAX; i++) {
        str_t name = g->plugins[i].name;
        if (g->plugins[i].enabled && !is_listed(argv + 2, n - 2, name))
            argv[n++] = strndup(name.p, name.n);
    }
    int rc = n > 2 ? program_run("moongate.cli", n, argv, s) : 0;
    while (n > 2)
        free(argv[--n]);
    ssize_t got;
    while (rc != 0 && (got = read(fd, buf_reserve(problems, 4096), 4096)) > 0)
        buf_commit(problems, (size_t)got);
    close(fd);
    return rc == 0 ? 0 : -1;
}

static int check(const settings_t *s, buf_t *problems, generation_t **g)
{
    buf_t document = {0};
    char why[1024] = "";
    int rc = read_configuration(s, &document, problems);
    if (rc == 0 && (rc = generation_create(buf_str(&document), 1, g, why, sizeof why)) != 0)
        buf_printf(problems, "%s\n", why);
    buf_dispose(&document);
    return rc == 0 ? try_handlers(s, *g, problems) : rc;
}

int validate_run(const cli_t *c)
{
    buf_t problems = {0};
    generation_t *g = NULL;
    int format = format_of(c);
    if (format < 0)
        return EXIT_USAGE;
    if (c->settings.n_config_paths == 0)
        return no_paths();
    int rc = check(&c->settings, &problems, &g);
    if (format == FORMAT_JSON)
        print_json(rc == 0, buf_str(&problems));
    else if (format == FORMAT_GITHUB)
        print_github(rc == 0, buf_str(&problems));
    else
        print_lines(stderr, buf_str(&problems));
    if (rc == 0 && format != FORMAT_JSON)
        print_summary(g);
    else if (rc != 0 && format == FORMAT_TEXT)
        fputs("configuration is invalid\n", stderr);
    if (g)
        generation_release(g);
    buf_dispose(&problems);
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

int check_configuration(const settings_t *s)
{
    buf_t problems = {0};
    generation_t *g = NULL;
    int rc = check(s, &problems, &g);
    print_lines(stderr, buf_str(&problems));
    if (g)
        generation_release(g);
    buf_dispose(&problems);
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

// ---- dump, diff ----

int dump_run(const cli_t *c)
{
    buf_t document = {0};
    if (c->settings.n_config_paths == 0)
        return no_paths();
    int rc = read_or_print(&c->settings, &document);
    if (rc == 0)
        print_lines(stdout, buf_str(&document));
    buf_dispose(&document);
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

// The document of one path in a memory file: its descriptor, or -1.
static int document_of(const settings_t *settings, const char *path)
{
    settings_t s = *settings;
    str_t only = str_from(path);
    buf_t document = {0};
    int fd = -1;
    s.config_paths = &only;
    s.n_config_paths = 1;
    if (read_or_print(&s, &document) == 0) {
        fd = memfd_create("moongate-document", 0);
        ssize_t n = fd >= 0 ? write(fd, buf_str(&document).p, document.n) : -1;
        ASSERT(n == (ssize_t)document.n, "a memory file takes what memory held");
    }
    buf_dispose(&document);
    return fd;
}

int diff_run(const cli_t *c)
{
    char before[64], after[64];
    char *argv[] = {"config diff", before, after};
    if (c->n_words != 2) {
        help_usage(stderr, c->command);
        return EXIT_USAGE;
    }
    int old = document_of(&c->settings, c->words[0]);
    int new = old >= 0 ? document_of(&c->settings, c->words[1]) : -1;
    int rc = EXIT_FAILED;
    if (new >= 0) {
        snprintf(before, sizeof before, "/proc/self/fd/%d", old);
        snprintf(after, sizeof after, "/proc/self/fd/%d", new);
        rc = program_run("moongate.cli", 3, argv, NULL);
    }
    if (old >= 0)
        close(old);
    if (new >= 0)
        close(new);
    return rc;
}

// ---- init ----

static ssize_t read_sample(char *text, size_t cap)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/conf/example/kong.yaml", lua_share());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, cap) : -1;
    if (n <= 0)
        fprintf(stderr, "moongate: %s cannot be read: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return n;
}

int init_run(const cli_t *c)
{
    char text[SAMPLE_MAX];
    const char *file = c->n_words > 0 ? c->words[0] : "kong.yml";
    if (c->n_words > 1) {
        help_usage(stderr, c->command);
        return EXIT_USAGE;
    }
    ssize_t n = read_sample(text, sizeof text);
    if (n <= 0)
        return EXIT_FAILED;
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) != n) {
        fprintf(stderr, "moongate: %s cannot be written: %s\n", file, strerror(errno));
        if (fd >= 0)
            close(fd);
        return EXIT_FAILED;
    }
    close(fd);
    printf("%s is written; serve it with: moongate start -c %s\n", file, file);
    return EXIT_DONE;
}

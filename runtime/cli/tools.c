// Commands whose work is Lua's (lualib/cli), run as programs: test, plugin, plugins, vault.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "lua/program.h"
#include "lua/script.h"

enum { NAMES_MAX = 500, PATH_BYTES = 4096 };

int tool_run(int argc, char **argv)
{
    return program_run("moongate.cli", argc, argv, NULL);
}

int vault_get_run(const cli_t *c)
{
    if (c->n_words != 1) {
        help_usage(stderr, c->command);
        return EXIT_USAGE;
    }
    // The program takes its strings for argv's: it reads them only.
    char *argv[] = {"vault get", (char *)(uintptr_t)c->words[0]};
    return program_run("moongate.cli", 2, argv, &c->settings);
}

int plugins_schema_run(const cli_t *c)
{
    if (c->n_words != 1) {
        help_usage(stderr, c->command);
        return EXIT_USAGE;
    }
    char *argv[] = {"plugins schema", (char *)(uintptr_t)c->words[0]};
    return program_run("moongate.cli", 2, argv, &c->settings);
}

// ---- plugins list ----

typedef struct names {
    char *v[NAMES_MAX];
    int n;
} names_t;

static void add_name(names_t *names, const char *name)
{
    for (int i = 0; i < names->n; i++) {
        if (strcmp(names->v[i], name) == 0)
            return;
    }
    if (names->n < NAMES_MAX)
        names->v[names->n++] = strdup(name);
}

static void add_names_in(names_t *names, str_t dir, const char *below)
{
    char path[PATH_BYTES], handler[PATH_BYTES + 300];
    snprintf(path, sizeof path, "%.*s%s", STR_FMT(dir), below);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        snprintf(handler, sizeof handler, "%s/%s/handler.lua", path, e->d_name);
        if (e->d_name[0] != '.' && access(handler, R_OK) == 0)
            add_name(names, e->d_name);
    }
    if (d)
        closedir(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Where workers look: lualib/boot.lua.
static void find_names(names_t *names, const settings_t *s)
{
    static const char *const BELOW[] = {"/plugins", "/kong/plugins", ""};
    add_names_in(names, str_from(lua_share()), "/plugins");
    for (uint32_t i = 0; i < s->n_config_paths; i++)
        add_names_in(names, s->config_paths[i], "/plugins");
    for (uint32_t i = 0; i < s->n_plugin_dirs; i++) {
        for (int j = 0; j < 3; j++)
            add_names_in(names, s->plugin_dirs[i], BELOW[j]);
    }
    qsort(names->v, (size_t)names->n, sizeof *names->v, by_name);
}

int plugins_list_run(const cli_t *c)
{
    char *argv[NAMES_MAX + 1] = {"plugins list"};
    names_t *names = mem_zalloc(sizeof *names);
    find_names(names, &c->settings);
    ASSERT(names->n <= NAMES_MAX, "names have their places");
    memcpy(argv + 1, names->v, (size_t)names->n * sizeof *names->v);
    int rc = program_run("moongate.cli", names->n + 1, argv, &c->settings);
    while (names->n > 0)
        free(names->v[--names->n]);
    free(names);
    return rc;
}

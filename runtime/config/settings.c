// Gathers each setting's value from flags, environment, file and defaults; see settings.h.
// The table is settings_rows.c, the parsing of values setting_value.c. All problems are collected before giving up.
#include "config/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "config/setting_value.h"
#include "config/yaml.h"

enum { ITEMS_MAX = 64, FILE_MAX_BYTES = 1024 * 1024 };

typedef struct load {
    settings_t *s;
    char **flags;
    unsigned n_flags;
    char *const *environ;
    const char *file;
    yaml_tree_t *tree; // of the file, NULL without
    buf_t why;
} load_t;

// What one source says about one setting.
typedef struct found {
    str_t items[ITEMS_MAX];
    uint32_t n;
    const char *origin;
} found_t;

__attribute__((format(printf, 2, 3))) static void problem(load_t *l, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_printf(&l->why, "%s\n", line);
}

// Names are equal but for case and '-' or '_'.
static bool same_name(str_t a, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n && i < a.n; i++) {
        char c = a.p[i] == '-' ? '_' : ascii_lower(a.p[i]);
        if (c != name[i])
            return false;
    }
    return a.n == n;
}

static const setting_row_t *row_of(str_t name)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        if (same_name(name, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

// Levenshtein distance, names cut at 63 bytes.
static unsigned distance(str_t a, const char *b)
{
    unsigned row[64], n = (unsigned)strlen(b);
    ASSERT(n < 64, "names of settings are short");
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n && i < 64; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned above = row[j], cost = corner + (ascii_lower(a.p[i - 1]) != b[j - 1]);
            unsigned step = (above < row[j - 1] ? above : row[j - 1]) + 1;
            row[j] = cost < step ? cost : step;
            corner = above;
        }
    }
    return row[n];
}

static const char *nearest(str_t name)
{
    unsigned n, best = 4;
    const char *found = NULL;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        unsigned d = distance(name, rows[i].name);
        if (d < best) {
            best = d;
            found = rows[i].name;
        }
    }
    return found;
}

static void unknown(load_t *l, const char *origin, str_t name)
{
    const char *near = nearest(name);
    if (near)
        problem(l, "%.*s (%s): there is no such setting: did you mean %s?", STR_FMT(name),
                origin, near);
    else
        problem(l, "%.*s (%s): there is no such setting: remove it, or see --help",
                STR_FMT(name), origin);
}

static void check_flags(load_t *l)
{
    for (unsigned i = 0; i < l->n_flags; i++) {
        str_t flag = str_from(l->flags[i]);
        ptrdiff_t equals = str_chr(flag, '=');
        str_t name = str_make(flag.p, equals < 0 ? flag.n : (size_t)equals);
        if (!row_of(name))
            unknown(l, "flag", name);
        else if (equals < 0)
            problem(l, "%.*s (flag): has no value: write %.*s=VALUE", STR_FMT(name),
                    STR_FMT(name));
    }
}

static void find_flag(load_t *l, const setting_row_t *row, found_t *out)
{
    for (unsigned i = 0; i < l->n_flags; i++) {
        str_t flag = str_from(l->flags[i]);
        ptrdiff_t equals = str_chr(flag, '=');
        if (equals < 0 || !same_name(str_make(flag.p, (size_t)equals), row->name))
            continue;
        if (out->n == ITEMS_MAX) {
            problem(l, "%s (flag): given more than %d times", row->name, ITEMS_MAX);
            return;
        }
        out->items[out->n++] = str_from_at(flag, (size_t)equals + 1);
        out->origin = "flag";
    }
}

// The variable's value, {NULL, 0} when it is not set.
static str_t variable(const load_t *l, str_t name)
{
    for (char *const *e = l->environ; e && *e; e++) {
        str_t entry = str_from(*e);
        ptrdiff_t equals = str_chr(entry, '=');
        if (equals > 0 && str_eq(str_make(entry.p, (size_t)equals), name))
            return str_from_at(entry, (size_t)equals + 1);
    }
    return (str_t){0};
}

static int read_file(load_t *l, const char *path, buf_t *text);

// NAME_FILE: the value is in that file, as container platforms mount secrets. A line break at its end is not part of it.
static void find_in_named_file(load_t *l, const char *name, str_t path, found_t *out)
{
    buf_t text = {0};
    char file[4096];
    snprintf(file, sizeof file, "%.*s", STR_FMT(path));
    if (read_file(l, file, &text) == 0) {
        str_t value = buf_str(&text);
        while (value.n > 0 && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
            value.n--;
        out->items[0] = arena_dup(&l->s->arena, value);
        out->n = 1;
        out->origin = arena_printf(&l->s->arena, "environment %s", name).p;
    }
    buf_dispose(&text);
}

static void find_variable(load_t *l, const char *prefix, const char *name, found_t *out)
{
    char wanted[96];
    size_t n = (size_t)snprintf(wanted, sizeof wanted, "%s%s_FILE", prefix, name);
    ASSERT(n < sizeof wanted, "names of settings are short");
    for (char *p = wanted; *p; p++)
        *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    str_t path = variable(l, str_make(wanted, n)), plain;
    n -= sizeof "_FILE" - 1;
    plain = variable(l, str_make(wanted, n));
    if (plain.p && path.p)
        problem(l, "%s (environment %s): set together with %.*s: remove one of them", name,
                wanted, (int)n, wanted);
    else if (path.p)
        find_in_named_file(l, wanted, path, out);
    if (!plain.p)
        return;
    out->items[0] = plain;
    out->n = 1;
    out->origin = arena_printf(&l->s->arena, "environment %.*s", (int)n, wanted).p;
}

static bool scalar_text(load_t *l, const yaml_value_t *value, str_t *out)
{
    switch (value->kind) {
    case YAML_VALUE_STRING:
        *out = value->text;
        return true;
    case YAML_VALUE_BOOL:
        *out = value->boolean ? STR("on") : STR("off");
        return true;
    case YAML_VALUE_NUMBER:
        *out = arena_printf(&l->s->arena, "%.15g", value->number);
        return true;
    case YAML_VALUE_NULL:
    case YAML_VALUE_LIST:
    case YAML_VALUE_MAP:
        return false;
    }
    UNREACHABLE("every kind of value is handled");
}

static bool takes_list(const setting_row_t *row)
{
    return row->type == SETTING_LISTEN || row->type == SETTING_CIDRS ||
           row->type == SETTING_PATHS;
}

static void find_in_file(load_t *l, const setting_row_t *row, found_t *out)
{
    const yaml_value_t *value = l->tree ? yaml_get(l->tree->root, str_from(row->name)) : NULL;
    if (!value || value->kind == YAML_VALUE_NULL)
        return;
    out->origin = arena_printf(&l->s->arena, "%s:%u", l->file, value->line).p;
    bool is_list = value->kind == YAML_VALUE_LIST && takes_list(row);
    const yaml_value_t **items = is_list ? value->list.v : &value;
    uint32_t n = is_list ? value->list.n : 1;
    for (uint32_t i = 0; i < n && n <= ITEMS_MAX; i++) {
        if (!scalar_text(l, items[i], &out->items[out->n++])) {
            problem(l, "%s (%s): %s was expected, not %s", row->name, out->origin, row->kind,
                    yaml_kind_name(items[i]->kind));
            out->n = 0;
            return;
        }
    }
    if (n > ITEMS_MAX)
        problem(l, "%s (%s): more than %d values", row->name, out->origin, ITEMS_MAX);
    if (n == 0)
        out->items[out->n++] = STR(""); // an empty list is a value
}

static void find(load_t *l, const setting_row_t *row, found_t *out)
{
    out->n = 0;
    out->origin = NULL;
    find_flag(l, row, out);
    if (!out->origin)
        find_variable(l, "MOONGATE_", row->name, out);
    if (!out->origin && row->kong)
        find_variable(l, "KONG_", row->kong, out);
    if (!out->origin)
        find_in_file(l, row, out);
}

static void load_row(load_t *l, const setting_row_t *row, const char **origin)
{
    found_t found;
    char why[300] = "";
    str_t fallback = str_from(row->fallback);
    ASSERT(setting_store(l->s, row, &fallback, 1, why, sizeof why) == 0,
           "a default is a valid value");
    *origin = "default";
    find(l, row, &found);
    if (found.n == 0)
        return;
    if (setting_store(l->s, row, found.items, found.n, why, sizeof why) != 0)
        problem(l, "%s (%s): %s", row->name, found.origin, why);
    *origin = found.origin;
}

// Reads a small file whole. 0, or -1 with the problem noted.
static int read_file(load_t *l, const char *path, buf_t *text)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        problem(l, "%s: cannot be read: %m", path);
        return -1;
    }
    size_t n;
    while ((n = fread(buf_reserve(text, 4096), 1, 4096, f)) > 0 && text->n <= FILE_MAX_BYTES)
        buf_commit(text, n);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (bad || text->n > FILE_MAX_BYTES) {
        problem(l, "%s: %s", path,
                bad ? "cannot be read (is it a directory?)"
                    : "larger than 1 MiB: this is not a settings file");
        return -1;
    }
    return 0;
}

static void check_keys(load_t *l)
{
    const yaml_value_t *root = l->tree->root;
    if (root->kind != YAML_VALUE_MAP && root->kind != YAML_VALUE_NULL) {
        problem(l, "%s: a mapping of settings was expected, not %s", l->file,
                yaml_kind_name(root->kind));
        return;
    }
    for (uint32_t i = 0; root->kind == YAML_VALUE_MAP && i < root->map.n; i++) {
        char origin[512];
        snprintf(origin, sizeof origin, "%s:%u", l->file, root->map.v[i].line);
        const setting_row_t *row = row_of(root->map.v[i].key);
        if (!row || !str_eq(root->map.v[i].key, str_from(row->name)))
            unknown(l, origin, root->map.v[i].key);
    }
}

static void load_file(load_t *l)
{
    buf_t text = {0};
    yaml_error_t err = {0};
    if (read_file(l, l->file, &text) == 0) {
        if (yaml_parse(buf_str(&text), &l->tree, &err) != 0)
            problem(l, "%s:%u:%u: %s", l->file, err.line, err.column, err.why);
        else
            check_keys(l);
    }
    buf_dispose(&text);
}

// A directory of this user's own, where there is one.
static void choose_prefix(load_t *l)
{
    settings_t *s = l->s;
    str_t runtime_dir = variable(l, STR("XDG_RUNTIME_DIR"));
    if (!str_eq(s->prefix, STR("auto")) && s->prefix.n > 0)
        return;
    if (geteuid() == 0)
        s->prefix = STR("/run/moongate");
    else if (str_starts(runtime_dir, STR("/")))
        s->prefix = arena_printf(&s->arena, "%.*s/moongate", STR_FMT(runtime_dir));
    else
        s->prefix = arena_printf(&s->arena, "/tmp/moongate-%u", (unsigned)geteuid());
}

// Opening those anew fails where the process may not (a socket, another user's pipe); the descriptors are there.
static void choose_logs(settings_t *s)
{
    if (str_eq(s->access_log, STR("/dev/stdout")))
        s->access_log = STR("-");
    if (str_eq(s->error_log, STR("/dev/stderr")))
        s->error_log = STR("stderr");
}

void settings_remote_dir(const settings_t *s, char path[PATH_MAX])
{
    int n = snprintf(path, PATH_MAX, "%.*s/remote", STR_FMT(s->prefix));
    ASSERT(n > 0, "a prefix is text");
}

// What comes from Redis lies in a directory that is read and watched like the others.
static void add_remote_dir(settings_t *s)
{
    char path[PATH_MAX];
    if (s->config_redis.n == 0)
        return;
    settings_remote_dir(s, path);
    str_t *paths = arena_alloc(&s->arena, (s->n_config_paths + 1) * sizeof *paths);
    if (s->n_config_paths)
        memcpy(paths, s->config_paths, s->n_config_paths * sizeof *paths);
    paths[s->n_config_paths++] = arena_dup(&s->arena, str_from(path));
    s->config_paths = paths;
}

static bool is_loopback(str_t address)
{
    return str_starts(address, STR("127.")) || str_starts(address, STR("[::1]")) ||
           str_starts(address, STR("unix:"));
}

// Whoever reaches the Admin API may change everything: beyond this machine it asks who comes.
static void check_admin(load_t *l)
{
    const settings_t *s = l->s;
    for (uint32_t i = 0; i < s->n_admin_listen; i++) {
        const listen_setting_t *at = &s->admin_listen[i];
        bool by_certificate = at->tls && s->admin_client_ca.n;
        if (is_loopback(at->address) || s->admin_key.n || by_certificate ||
            s->admin_unprotected)
            continue;
        problem(
            l,
            "admin_listen (%s): %.*s can be reached from other machines and nobody is asked "
            "who they are: set admin_key, or ssl and admin_client_ca, or listen on "
            "127.0.0.1; admin_unprotected: on allows it as it is",
            settings_origin(s, "admin_listen"), STR_FMT(at->address));
    }
    if ((s->admin_ssl_cert.n == 0) != (s->admin_ssl_cert_key.n == 0))
        problem(l,
                "admin_ssl_cert and admin_ssl_cert_key: one is set and the other is not: set "
                "both or neither");
}

static void check_together(load_t *l)
{
    check_admin(l);
    if (l->s->config_redis.n && l->s->admin_store.n)
        problem(
            l,
            "admin_store and config_redis: both are the place of the configuration: set one");
    if (l->s->config_redis.n && !str_starts(l->s->config_redis, STR("redis://")) &&
        !str_starts(l->s->config_redis, STR("rediss://")))
        problem(l, "config_redis (%s): expected redis://HOST:PORT or rediss://HOST:PORT",
                settings_origin(l->s, "config_redis"));

    if ((l->s->ssl_cert.n == 0) != (l->s->ssl_cert_key.n == 0))
        problem(
            l,
            "ssl_cert and ssl_cert_key: one is set and the other is not: set both or neither");
    if (l->s->target_max_bytes > l->s->head_max_bytes)
        problem(
            l,
            "target_max_bytes (%s): larger than head_max_bytes: a target is part of the head",
            settings_origin(l->s, "target_max_bytes"));
}

int settings_load(settings_t *out, const char *file_or_null, char **flags, unsigned n_flags,
                  char *const *environ_or_null, char **why)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    *out = (settings_t){0};
    arena_init(&out->arena);
    load_t l = {.s = out,
                .flags = flags,
                .n_flags = n_flags,
                .environ = environ_or_null,
                .file = file_or_null};
    check_flags(&l);
    if (l.file)
        load_file(&l);
    for (unsigned i = 0; i < n; i++)
        load_row(&l, &rows[i], &out->origins[i]);
    choose_prefix(&l);
    choose_logs(out);
    add_remote_dir(out);
    check_together(&l);
    if (l.tree)
        yaml_tree_destroy(l.tree);
    if (l.why.n == 0)
        return 0;
    buf_putc(&l.why, '\0');
    *why = strdup(buf_str(&l.why).p);
    ASSERT(*why != NULL, "out of memory");
    buf_dispose(&l.why);
    settings_dispose(out);
    return -1;
}

void settings_dispose(settings_t *s)
{
    arena_dispose(&s->arena);
    *s = (settings_t){0};
}

const char *settings_origin(const settings_t *s, const char *name)
{
    unsigned n;
    const setting_row_t *rows = settings_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        if (same_name(str_from(name), rows[i].name))
            return s->origins[i];
    }
    return NULL;
}

// Secret names: a short list searched without case. The plugins' own names are read from their configuration once a generation.
// Invariant: the fixed names are always in force.
#include "core/redact.h"

#include "base/check.h"
#include "http/json.h"
#include "http/uri.h"

struct redact {
    uint64_t generation;
    arena_t arena;
    str_t *names;
    uint32_t n;
};

// The current generation's names: one process, one configuration in use at a time.
static redact_t current;

static const str_t FIELDS[] = {STR("x-api-key"), STR("api-key"), STR("x-goog-api-key"),
                               STR("x-auth-token"), STR("x-amz-security-token")};
static const str_t ARGUMENTS[] = {STR("apikey"),
                                  STR("api_key"),
                                  STR("api-key"),
                                  STR("key"),
                                  STR("jwt"),
                                  STR("access_token"),
                                  STR("token"),
                                  STR("x-amz-security-token"),
                                  STR("x-amz-signature")};

static bool listed(const str_t *names, size_t n, str_t name)
{
    for (size_t i = 0; i < n; i++) {
        if (str_ieq(names[i], name))
            return true;
    }
    return false;
}

static uint32_t count_strings(str_t array)
{
    uint32_t n = 0;
    str_t element;
    while (json_next(&array, &element))
        n++;
    return n;
}

// Adds the strings of the array `member` of a plugin's configuration.
static void add_names(redact_t *set, str_t config, str_t member)
{
    str_t array, element;
    if (!json_get(config, member, &array) || json_value_type(array) != JSON_ARRAY)
        return;
    str_t *grown =
        arena_alloc(&set->arena, (set->n + count_strings(array)) * sizeof *grown + 1);
    if (set->n)
        memcpy(grown, set->names, set->n * sizeof *grown);
    set->names = grown;
    while (json_next(&array, &element)) {
        if (json_string(element, &set->arena, &grown[set->n]) == 0)
            set->n++;
    }
}

// Adds the string `member` of an object of a plugin's configuration.
static void add_name(redact_t *set, str_t object, str_t member)
{
    str_t text, name;
    if (!json_get(object, member, &text) || json_string(text, &set->arena, &name) != 0 ||
        name.n == 0)
        return;
    str_t *grown = arena_alloc(&set->arena, (set->n + 1) * sizeof *grown);
    if (set->n)
        memcpy(grown, set->names, set->n * sizeof *grown);
    grown[set->n++] = name;
    set->names = grown;
}

// Where a plugin puts the upstream's credential.
static void add_injected(redact_t *set, str_t object)
{
    add_name(set, object, STR("header_name"));
    add_name(set, object, STR("param_name"));
}

void redact_forget(void)
{
    arena_dispose(&current.arena);
    current = (redact_t){0};
}

const redact_t *redact_of(const generation_t *g)
{
    if (!g || g->number == current.generation)
        return g ? &current : NULL;
    redact_forget();
    current.generation = g->number;
    for (uint32_t i = 0; i < g->n_plugins; i++) {
        const plugin_t *p = &g->plugins[i];
        if (str_eq(p->name, STR("key-auth")))
            add_names(&current, p->config, STR("key_names"));
        if (str_eq(p->name, STR("key-injection")))
            add_injected(&current, p->config);
        str_t auth;
        if (str_eq(p->name, STR("ai-proxy")) && json_get(p->config, STR("auth"), &auth))
            add_injected(&current, auth);
        if (str_eq(p->name, STR("jwt"))) {
            add_names(&current, p->config, STR("header_names"));
            add_names(&current, p->config, STR("uri_param_names"));
        }
    }
    return &current;
}

bool redact_field(const redact_t *set, hdr_id_t id, str_t name)
{
    if (id == HDR_AUTHORIZATION || id == HDR_PROXY_AUTHORIZATION || id == HDR_APIKEY ||
        id == HDR_COOKIE || id == HDR_SET_COOKIE)
        return true;
    return (id == HDR_OTHER && listed(FIELDS, sizeof FIELDS / sizeof *FIELDS, name)) ||
           (set && listed(set->names, set->n, name));
}

bool redact_argument(const redact_t *set, str_t name)
{
    return listed(ARGUMENTS, sizeof ARGUMENTS / sizeof *ARGUMENTS, name) ||
           (set && listed(set->names, set->n, name));
}

static bool secret_argument(const redact_t *set, str_t name)
{
    char plain[64];
    if (name.n > sizeof plain)
        return false;
    size_t n = uri_unescape(plain, name);
    return redact_argument(set, str_make(plain, n));
}

str_t redact_query(const redact_t *set, arena_t *a, str_t path, str_t query)
{
    if (!query.p)
        return path;
    str_t rest = query, name, value;
    bool bare;
    size_t extra = 0;
    while (query_next(&rest, &name, &value, &bare))
        extra += secret_argument(set, name) ? REDACTED.n : 0;
    char *out = arena_alloc(a, path.n + 1 + query.n + extra), *at = out;
    at = (char *)memcpy(at, path.p, path.n) + path.n;
    *at++ = '?';
    const char *from = query.p;
    for (rest = query; extra && query_next(&rest, &name, &value, &bare);) {
        if (bare || !secret_argument(set, name))
            continue;
        ASSERT(value.p >= from && value.p <= query.p + query.n, "arguments come in order");
        at = (char *)memcpy(at, from, (size_t)(value.p - from)) + (value.p - from);
        at = (char *)memcpy(at, REDACTED.p, REDACTED.n) + REDACTED.n;
        from = value.p + value.n;
    }
    size_t tail = (size_t)(query.p + query.n - from);
    memcpy(at, from, tail);
    return str_make(out, (size_t)(at - out) + tail);
}

// From routes to ranked rules and host groups: the first half of a router's life; router.c matches.
// Rank is Kong's traditional_compatible priority word, then the order of the document.
#include "base/check.h"
#include "config/route_index.h"

#include <stdio.h>

typedef struct build {
    router_t *r;
    const generation_t *g;
    index_item_t *items;
    uint32_t n_items, cap_items, cap_groups;
    lookup_t groups; // all kinds, by router_host_hash
    char *why;
    size_t why_cap;
} build_t;

static bool is_regex_path(str_t path)
{
    return path.n && path.p[0] == '~';
}

static bool has_wildcard(const strs_t *hosts)
{
    for (uint32_t i = 0; i < hosts->n; i++) {
        if (str_chr(hosts->v[i], '*') >= 0)
            return true;
    }
    return false;
}

// Bits 61-63: how many of methods, hosts, headers, paths, snis are set (sources and destinations count for nothing);
// 60: hosts without wildcards; 52-59: headers; 51: regex path; 19-50: regex_priority; 0-18: length of a plain path.
static uint64_t rule_priority(const route_rule_t *rule, const str_t *path)
{
    uint64_t weight = (rule->methods.n > 0) + (rule->hosts.n > 0) + (rule->n_headers > 0) +
                      (rule->snis.n > 0) + (path != NULL);
    uint64_t headers = rule->n_headers < 255 ? rule->n_headers : 255;
    uint64_t priority = weight << 61 | headers << 52;
    if (rule->hosts.n && !has_wildcard(&rule->hosts))
        priority |= 1ULL << 60;
    if (path && is_regex_path(*path))
        priority |= 1ULL << 51 | (uint64_t)rule->regex_priority << 19;
    else if (path)
        priority |= path->n & 0x7ffff;
    return priority;
}

static int fail(build_t *b, const route_t *route, const char *what, str_t text, const char *why)
{
    str_t name = route->name.n ? route->name : route->id;
    if (b->why_cap)
        snprintf(b->why, b->why_cap, "route \"%.*s\": %s \"%.*s\": %s", STR_FMT(name), what,
                 (int)(text.n < 200 ? text.n : 200), text.p, why);
    return -1;
}

static int compile_value(build_t *b, const route_t *route, str_t text, value_check_t *out)
{
    char why[200];
    *out = (value_check_t){.text = text};
    if (!str_starts(text, STR("~*")))
        return 0;
    out->text = str_from_at(text, 2);
    if (pattern_compile(&b->r->arena, out->text, PATTERN_CASELESS, &out->regex, why,
                        sizeof why) != 0)
        return fail(b, route, "header regex", text, why);
    return 0;
}

static int compile_checks(build_t *b, const route_t *route, route_checks_t *checks)
{
    const route_rule_t *rule = route->rule;
    arena_t *a = &b->r->arena;
    *checks = (route_checks_t){.any = rule->methods.n || rule->n_headers || rule->snis.n ||
                                      rule->sources.n || rule->destinations.n};
    if (rule->n_headers)
        checks->headers = arena_zalloc(a, rule->n_headers * sizeof *checks->headers);
    for (uint32_t i = 0; i < rule->n_headers; i++) {
        const header_rule_t *from = &rule->headers[i];
        header_check_t *to = &checks->headers[checks->n_headers++];
        to->name = from->name;
        to->id = hdr_lookup(from->name);
        to->values = arena_zalloc(a, (from->values.n + 1) * sizeof *to->values);
        to->n_values = from->values.n;
        for (uint32_t j = 0; j < from->values.n; j++) {
            if (compile_value(b, route, from->values.v[j], &to->values[j]) != 0)
                return -1;
        }
    }
    return 0;
}

static int add_path_rule(build_t *b, const route_t *route, const route_checks_t *checks,
                         uint32_t path)
{
    char why[200];
    path_rule_t *rule = &b->r->rules[b->r->n_rules++];
    const str_t *text = route->rule->paths.n ? &route->rule->paths.v[path] : NULL;
    *rule = (path_rule_t){.priority = rule_priority(route->rule, text),
                          .route = route,
                          .checks = checks,
                          .path = path,
                          .prefix = text ? *text : STR("")};
    if (!text || !is_regex_path(*text))
        return 0;
    str_t regex = str_from_at(*text, 1);
    rule->prefix = pattern_literal_prefix(&b->r->arena, regex);
    if (pattern_compile(&b->r->arena, regex, PATTERN_ANCHORED, &rule->regex, why, sizeof why) !=
        0)
        return fail(b, route, "path", *text, why);
    return 0;
}

static bool is_live(const route_t *route)
{
    return route->protocols && !(route->service && !route->service->enabled);
}

static int add_rules(build_t *b)
{
    const generation_t *g = b->g;
    size_t n = 1;
    for (uint32_t i = 0; i < g->n_routes; i++)
        n += g->routes[i].rule->paths.n ? g->routes[i].rule->paths.n : 1;
    b->r->rules = arena_alloc(&b->r->arena, n * sizeof *b->r->rules);
    route_checks_t *checks =
        arena_alloc(&b->r->arena, ((size_t)g->n_routes + 1) * sizeof *checks);
    for (uint32_t i = 0; i < g->n_routes; i++) {
        const route_t *route = &g->routes[i];
        uint32_t paths = route->rule->paths.n ? route->rule->paths.n : 1;
        if (!is_live(route))
            continue;
        if (compile_checks(b, route, &checks[i]) != 0)
            return -1;
        for (uint32_t path = 0; path < paths; path++) {
            if (add_path_rule(b, route, &checks[i], path) != 0)
                return -1;
        }
    }
    return 0;
}

static int compare_rules(const void *left, const void *right)
{
    const path_rule_t *a = left, *b = right;
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    if (a->route != b->route)
        return a->route->index < b->route->index ? -1 : 1;
    return a->path < b->path ? -1 : a->path > b->path;
}

str_t host_split_port(str_t host, uint16_t *port)
{
    uint64_t number;
    size_t from = host.n && host.p[0] == '[' ? (size_t)(str_chr(host, ']') + 1) : 0;
    ptrdiff_t colon = str_chr(str_from_at(host, from), ':');
    *port = 0;
    if (colon < 0)
        return host;
    size_t at = from + (size_t)colon;
    if (str_to_u64(str_from_at(host, at + 1), &number) != 0 || number > UINT16_MAX)
        return host;
    *port = (uint16_t)number;
    return str_make(host.p, at);
}

static host_kind_t host_classify(str_t *name)
{
    if (name->n && name->p[0] == '*') {
        if (name->n < 2 || name->p[1] != '.')
            return HOST_ODD;
        *name = str_from_at(*name, 1);
        return HOST_SUFFIX;
    }
    if (name->n && name->p[name->n - 1] == '*') {
        if (name->n < 2 || name->p[name->n - 2] != '.')
            return HOST_ODD;
        name->n--;
        return HOST_PREFIX;
    }
    return HOST_EXACT;
}

static uint32_t group_of(build_t *b, host_kind_t kind, str_t text)
{
    uint64_t hash = router_host_hash(b->r, kind, text), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&b->groups, hash, &cursor)) != LOOKUP_NONE) {
        if (b->r->groups[i].kind == kind && str_eq(b->r->groups[i].text, text))
            return i;
    }
    ASSERT(b->r->n_groups < b->cap_groups,
           "there are at most as many groups as hosts, and one");
    b->r->groups[b->r->n_groups] = (host_group_t){.kind = kind, .text = text};
    lookup_add(&b->groups, hash, b->r->n_groups);
    b->r->has_suffixes |= kind == HOST_SUFFIX;
    b->r->has_prefixes |= kind == HOST_PREFIX;
    return b->r->n_groups++;
}

static void add_items(build_t *b, uint32_t rank)
{
    const path_rule_t *rule = &b->r->rules[rank];
    const strs_t *hosts = &rule->route->rule->hosts;
    index_item_t item = {.rank = rank, .prefix = rule->prefix};
    if (item.prefix.n > INDEXED_PREFIX_MAX)
        item.prefix.n = INDEXED_PREFIX_MAX;
    for (uint32_t i = 0; i < (hosts->n ? hosts->n : 1); i++) {
        host_kind_t kind = HOST_NONE;
        str_t text = STR("");
        if (hosts->n) {
            text = host_split_port(hosts->v[i], &item.port);
            kind = host_classify(&text);
        }
        item.group = group_of(b, kind, text);
        ASSERT(b->n_items < b->cap_items, "items were counted");
        b->items[b->n_items++] = item;
    }
}

static void index_rules(build_t *b)
{
    router_t *r = b->r;
    size_t n_items = 0, n_groups = 1;
    for (uint32_t i = 0; i < r->n_rules; i++)
        n_items += r->rules[i].route->rule->hosts.n ? r->rules[i].route->rule->hosts.n : 1;
    for (uint32_t i = 0; i < b->g->n_routes; i++)
        n_groups += b->g->routes[i].rule->hosts.n;
    ASSERT(n_items < UINT32_MAX / 4 && n_groups < UINT32_MAX / 4,
           "hosts times paths fit the index");
    b->items = mem_alloc((n_items + 1) * sizeof *b->items);
    b->cap_items = (uint32_t)n_items;
    b->cap_groups = (uint32_t)n_groups;
    r->groups = arena_zalloc(&r->arena, n_groups * sizeof *r->groups);
    lookup_init(&b->groups, &r->arena, b->cap_groups);
    for (uint32_t rank = 0; rank < r->n_rules; rank++)
        add_items(b, rank);
    r->hosts = b->groups;
    route_index_build(r, b->items, b->n_items);
    free(b->items);
}

// Copies out the few groups that no hash finds.
static void list_unhashed(router_t *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_groups; i++)
        n += r->groups[i].kind == HOST_ODD;
    r->odd = arena_alloc(&r->arena, ((size_t)n + 1) * sizeof *r->odd);
    for (uint32_t i = 0; i < r->n_groups; i++) {
        if (r->groups[i].kind == HOST_ODD)
            r->odd[r->n_odd++] = i;
        else if (r->groups[i].kind == HOST_NONE)
            r->without_host = &r->groups[i];
    }
}

int router_create(const generation_t *g, router_t **out, char *why, size_t why_cap)
{
    router_t *r = mem_zalloc(sizeof *r);
    build_t b = {.r = r, .g = g, .why = why, .why_cap = why_cap};
    arena_init(&r->arena);
    r->seed = g->seed;
    if (add_rules(&b) != 0) {
        router_destroy(r);
        return -1;
    }
    qsort(r->rules, r->n_rules, sizeof *r->rules, compare_rules);
    index_rules(&b);
    list_unhashed(r);
    r->matcher = matcher_create(&r->arena);
    *out = r;
    return 0;
}

void router_destroy(router_t *r)
{
    arena_dispose(&r->arena);
    free(r);
}

int router_check_regex(str_t regex, char *why, size_t why_cap)
{
    arena_t a;
    pattern_t *p;
    arena_init(&a);
    int rc = pattern_compile(&a, regex, PATTERN_ANCHORED, &p, why, why_cap);
    arena_dispose(&a);
    return rc;
}

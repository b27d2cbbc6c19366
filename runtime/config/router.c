// Matching a request against the index; see router.h. The index is built by router_build.c and route_index.c.
// Invariant: of all rules that match, the one of smallest rank is taken, in whatever order the trees are visited.
#include "config/router.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/route_index.h"

typedef struct search {
    const router_t *r;
    const route_input_t *in;
    route_match_t *out;
    uint32_t best;    // rank of the best match so far
    uint32_t gave_up; // smallest rank of a rule whose regex hit its limit
} search_t;

static bool any_equal(const strs_t *list, str_t s)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (str_eq(list->v[i], s))
            return true;
    }
    return false;
}

// "*.a", "a.*", "*" or a plain name; both in lower case.
static bool wildcard_matches(str_t pattern, str_t name)
{
    if (pattern.n && pattern.p[0] == '*')
        return str_ends(name, str_from_at(pattern, 1));
    if (pattern.n && pattern.p[pattern.n - 1] == '*')
        return str_starts(name, str_make(pattern.p, pattern.n - 1));
    return str_eq(pattern, name);
}

static bool sni_matches(const strs_t *snis, str_t sni)
{
    char text[256];
    if (sni.n > 1 && sni.p[sni.n - 1] == '.')
        sni.n--;
    if (sni.n == 0 || sni.n > sizeof text)
        return false;
    for (size_t i = 0; i < sni.n; i++)
        text[i] = ascii_lower(sni.p[i]);
    for (uint32_t i = 0; i < snis->n; i++) {
        if (wildcard_matches(snis->v[i], str_make(text, sni.n)))
            return true;
    }
    return false;
}

static bool net_matches(const net_rule_t *net, const uint8_t *address, uint16_t port)
{
    if (net->port && net->port != port)
        return false;
    if (net->any_address)
        return true;
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (!address || memcmp(address, net->address.s6_addr, whole) != 0)
        return false;
    return rest == 0 ||
           ((address[whole] ^ net->address.s6_addr[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

static bool nets_match(const net_rules_t *nets, const void *address, uint16_t port)
{
    for (uint32_t i = 0; i < nets->n; i++) {
        if (net_matches(&nets->v[i], address, port))
            return true;
    }
    return nets->n == 0;
}

// 1, 0, or -1 at a limit.
static int value_matches(const search_t *s, const value_check_t *check, str_t value)
{
    const size_t *spans;
    if (!check->regex)
        return str_ieq(check->text, value);
    int rc = matcher_run(s->r->matcher, check->regex, value, &spans);
    return rc > 0 ? 1 : rc;
}

// Any line of that name with any of the values.
static int header_matches(const search_t *s, const header_check_t *check)
{
    int limited = 0;
    uint32_t from = 0;
    const header_t *line;
    while ((line = headers_find(s->in->headers, check->id, check->name, from))) {
        for (uint32_t i = 0; i < check->n_values; i++) {
            int rc = value_matches(s, &check->values[i], line->value);
            if (rc > 0)
                return 1;
            limited |= rc;
        }
        from = (uint32_t)(line - s->in->headers->v) + 1;
    }
    return limited;
}

static int headers_match(const search_t *s, const route_checks_t *checks)
{
    int limited = 0;
    if (checks->n_headers && !s->in->headers)
        return 0;
    for (uint32_t i = 0; i < checks->n_headers; i++) {
        int rc = header_matches(s, &checks->headers[i]);
        if (rc == 0)
            return 0;
        limited |= rc < 0;
    }
    return limited ? -1 : 1;
}

// Everything but host and path. 1, 0, or -1 at a limit.
static int checks_match(const search_t *s, const path_rule_t *rule)
{
    const route_rule_t *want = rule->route->rule;
    const route_input_t *in = s->in;
    if (!rule->checks->any)
        return 1;
    if (want->methods.n && !any_equal(&want->methods, in->method))
        return 0;
    if (want->snis.n && in->tls && !sni_matches(&want->snis, in->sni))
        return 0;
    if (!nets_match(&want->sources, in->source, in->source_port) ||
        !nets_match(&want->destinations, in->destination, in->destination_port))
        return 0;
    return headers_match(s, rule->checks);
}

static void take_captures(search_t *s, const path_rule_t *rule, int n, const size_t *spans)
{
    route_match_t *out = s->out;
    ASSERT(spans[1] <= s->in->path.n, "a match ends inside of the path");
    out->n_captures = n < CAPTURES_MAX ? (uint32_t)n : CAPTURES_MAX;
    out->prefix = spans[1];
    for (uint32_t i = 0; i < out->n_captures; i++) {
        size_t start = spans[2 * i], end = spans[2 * i + 1];
        bool set = start <= end && end <= s->in->path.n;
        out->captures[i] = set ? str_make(s->in->path.p + start, end - start) : (str_t){0};
        out->capture_names[i] = pattern_capture_name(rule->regex, i);
    }
}

// The path of a rule whose other fields match. 1 with prefix and captures in s->out, 0, or -1 at a limit.
static int path_matches(search_t *s, const path_rule_t *rule)
{
    const size_t *spans;
    if (!str_starts(s->in->path, rule->prefix))
        return 0;
    if (rule->regex) {
        int n = matcher_run(s->r->matcher, rule->regex, s->in->path, &spans);
        if (n > 0)
            take_captures(s, rule, n, spans);
        return n > 0 ? 1 : n;
    }
    s->out->n_captures = 0;
    s->out->prefix = rule->prefix.n;
    return 1;
}

static void try_entries(search_t *s, uint32_t first, uint32_t n)
{
    const index_entry_t *entry = &s->r->entries[first];
    for (uint32_t i = 0; i < n; i++, entry++) {
        if (entry->rank >= s->best || entry->rank >= s->gave_up)
            return;
        if (entry->port && entry->port != s->in->port)
            continue;
        const path_rule_t *rule = &s->r->rules[entry->rank];
        int rc = checks_match(s, rule);
        int path = rc == 0 ? 0 : path_matches(s, rule);
        if (path == 0)
            continue;
        if (rc < 0 || path < 0)
            s->gave_up = entry->rank;
        else
            s->best = entry->rank;
        return;
    }
}

// The lists of the values that the request has for the node's header.
static void try_lists(search_t *s, const index_node_t *node)
{
    uint32_t from = 0, list;
    const header_t *line;
    while (s->in->headers &&
           (line = headers_find(s->in->headers, node->key->id, node->key->name, from))) {
        from = (uint32_t)(line - s->in->headers->v) + 1;
        if (line->value.n > KEYED_VALUE_MAX)
            continue;
        uint64_t cursor = 0,
                 hash = router_value_hash(s->r, (uint32_t)(node - s->r->nodes), line->value);
        while ((list = lookup_next(&s->r->keyed, hash, &cursor)) != LOOKUP_NONE)
            try_entries(s, s->r->lists[list].entries, s->r->lists[list].n_entries);
    }
}

static void try_node(search_t *s, const index_node_t *node)
{
    try_entries(s, node->entries, node->n_entries);
    if (node->key)
        try_lists(s, node);
}

static const index_node_t *child_of(const router_t *r, const index_node_t *node, uint8_t byte)
{
    uint32_t lo = node->children, hi = lo + node->n_children;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->first_bytes[mid] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found = lo < node->children + node->n_children && r->first_bytes[lo] == byte;
    return found ? &r->nodes[lo] : NULL;
}

// The nodes that the path passes, then their entries from the longest prefix up: the likeliest first.
static void search_tree(search_t *s, uint32_t root)
{
    const index_node_t *passed[INDEXED_PREFIX_MAX + 2];
    uint32_t n = 0;
    str_t rest = s->in->path;
    for (const index_node_t *node = &s->r->nodes[root];
         node && str_starts(rest, node->label);) {
        rest = str_from_at(rest, node->label.n);
        ASSERT(n < sizeof passed / sizeof *passed,
               "a tree is no deeper than its prefixes are long");
        passed[n++] = node;
        node = rest.n ? child_of(s->r, node, (uint8_t)rest.p[0]) : NULL;
    }
    while (n)
        try_node(s, passed[--n]);
}

static void search_host(search_t *s, host_kind_t kind, str_t text)
{
    uint64_t hash = router_host_hash(s->r, kind, text), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&s->r->hosts, hash, &cursor)) != LOOKUP_NONE) {
        const host_group_t *group = &s->r->groups[i];
        if (group->kind == kind && str_eq(group->text, text)) {
            search_tree(s, group->root);
            return;
        }
    }
}

static void search_wildcards(search_t *s)
{
    str_t host = s->in->host;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] != '.')
            continue;
        if (s->r->has_suffixes)
            search_host(s, HOST_SUFFIX, str_from_at(host, i));
        if (s->r->has_prefixes)
            search_host(s, HOST_PREFIX, str_make(host.p, i + 1));
    }
    for (uint32_t i = 0; i < s->r->n_odd; i++) {
        const host_group_t *group = &s->r->groups[s->r->odd[i]];
        if (wildcard_matches(group->text, host))
            search_tree(s, group->root);
    }
}

static void report_limit(const search_t *s)
{
    router_t *r = (router_t *)(uintptr_t)s->r;
    const route_t *route = r->rules[s->gave_up].route;
    uint64_t now = clock_mono_us();
    if (r->warned_us && now - r->warned_us < 1000000)
        return;
    r->warned_us = now;
    log_write(
        LOG_WARN,
        "route \"%.*s\": a regex took too many steps for a path of %zu bytes; the request is "
        "answered as not found (simplify the regex)",
        STR_FMT(route->name.n ? route->name : route->id), s->in->path.n);
}

void router_match(const router_t *r, const route_input_t *in, route_match_t *out)
{
    search_t s = {.r = r, .in = in, .out = out, .best = UINT32_MAX, .gave_up = UINT32_MAX};
    ASSERT(r->matcher != NULL, "a router is matched after it was built");
    ASSERT(in->path.n == 0 || in->path.p != NULL, "a path has bytes or is empty");
    out->route = NULL;
    out->wrong_protocol = out->gave_up = false;
    out->prefix = 0;
    out->n_captures = 0;
    if (in->host.n) {
        search_host(&s, HOST_EXACT, in->host);
        if (r->has_suffixes || r->has_prefixes || r->n_odd)
            search_wildcards(&s);
    }
    if (r->without_host)
        search_tree(&s, r->without_host->root);
    if (s.gave_up < s.best) {
        report_limit(&s);
        out->gave_up = true;
        out->prefix = 0;
        out->n_captures = 0;
        return;
    }
    if (s.best == UINT32_MAX)
        return;
    ASSERT(s.best < r->n_rules, "a rank names a rule");
    out->route = r->rules[s.best].route;
    out->wrong_protocol = !in->tls && !(out->route->protocols & PROTO_HTTP);
}

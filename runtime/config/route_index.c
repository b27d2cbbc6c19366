// Builds a radix tree for each host group; see route_index.h.
#include "config/route_index.h"

#include "base/check.h"

static int compare_strs(str_t a, str_t b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order)
        return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

static int compare_items(const void *left, const void *right)
{
    const index_item_t *a = left, *b = right;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    int order = compare_strs(a->prefix, b->prefix);
    if (order)
        return order;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->port < b->port ? -1 : a->port > b->port;
}

typedef struct builder {
    router_t *r;
    const index_item_t *items;
    uint32_t n_nodes, n_entries, n_lists, cap_nodes, cap_entries;
} builder_t;

// An entry on its way into a list.
typedef struct keyed_entry {
    uint64_t hash;
    index_entry_t entry;
} keyed_entry_t;

uint64_t router_value_hash(const router_t *r, uint32_t node, str_t value)
{
    char lower[KEYED_VALUE_MAX];
    ASSERT(value.n <= sizeof lower, "longer values are not asked for");
    for (size_t i = 0; i < value.n; i++)
        lower[i] = ascii_lower(value.p[i]);
    return str_hash(str_make(lower, value.n), r->seed ^ ((uint64_t)node << 32));
}

static bool is_plain(const header_check_t *check)
{
    for (uint32_t i = 0; i < check->n_values; i++) {
        if (check->values[i].regex || check->values[i].text.n > KEYED_VALUE_MAX)
            return false;
    }
    return true;
}

// The rule's check of header `name` (any, when empty) if it wants plain values only, or NULL.
static const header_check_t *plain_check(const path_rule_t *rule, str_t name)
{
    for (uint32_t i = 0; i < rule->checks->n_headers; i++) {
        const header_check_t *check = &rule->checks->headers[i];
        if ((name.n == 0 || str_eq(check->name, name)) && is_plain(check))
            return check;
    }
    return NULL;
}

static int compare_keyed(const void *left, const void *right)
{
    const keyed_entry_t *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->entry.rank < b->entry.rank ? -1 : a->entry.rank > b->entry.rank;
}

static void add_entry(builder_t *b, index_entry_t entry)
{
    ASSERT(b->n_entries < b->cap_entries, "entries were counted");
    b->r->entries[b->n_entries++] = entry;
}

static index_entry_t entry_of(const index_item_t *item)
{
    return (index_entry_t){.rank = item->rank, .port = item->port};
}

// Sorted entries into lists, one for each hash. Two values of one hash share a list: every entry is checked anyway.
static void add_lists(builder_t *b, const keyed_entry_t *keyed, uint32_t n)
{
    for (uint32_t i = 0; i < n;) {
        index_list_t list = {.entries = b->n_entries};
        uint64_t hash = keyed[i].hash;
        for (; i < n && keyed[i].hash == hash; i++, list.n_entries++)
            add_entry(b, keyed[i].entry);
        lookup_add(&b->r->keyed, hash, b->n_lists);
        b->r->lists[b->n_lists++] = list;
    }
}

// The header that the node's lists are for: the first that a rule asks plain values of. NULL when there are few rules.
static const header_check_t *choose_key(const builder_t *b, uint32_t lo, uint32_t hi)
{
    const header_check_t *key = NULL;
    for (uint32_t i = lo; i < hi && hi - lo >= KEYED_MIN && !key; i++)
        key = plain_check(&b->r->rules[b->items[i].rank], STR(""));
    return key;
}

// The items lo..hi end at this node: into its entries, or its lists.
static void fill_node(builder_t *b, index_node_t *made, uint32_t node, uint32_t lo, uint32_t hi)
{
    uint32_t n = 0, room = 0;
    made->key = choose_key(b, lo, hi);
    for (uint32_t i = lo; i < hi; i++) {
        const header_check_t *check =
            made->key ? plain_check(&b->r->rules[b->items[i].rank], made->key->name) : NULL;
        room += check ? check->n_values : 0;
    }
    keyed_entry_t *keyed = mem_alloc(((size_t)room + 1) * sizeof *keyed);
    made->entries = b->n_entries;
    for (uint32_t i = lo; i < hi; i++) {
        const header_check_t *check =
            made->key ? plain_check(&b->r->rules[b->items[i].rank], made->key->name) : NULL;
        if (!check)
            add_entry(b, entry_of(&b->items[i]));
        for (uint32_t v = 0; check && v < check->n_values; v++)
            keyed[n++] =
                (keyed_entry_t){.hash = router_value_hash(b->r, node, check->values[v].text),
                                .entry = entry_of(&b->items[i])};
    }
    made->n_entries = b->n_entries - made->entries;
    qsort(keyed, n, sizeof *keyed, compare_keyed);
    add_lists(b, keyed, n);
    free(keyed);
}

static uint32_t nodes_take(builder_t *b, uint32_t n)
{
    uint32_t first = b->n_nodes;
    ASSERT(n <= b->cap_nodes - b->n_nodes, "a tree of n prefixes has at most 2n nodes");
    b->n_nodes += n;
    return first;
}

static size_t common_prefix(str_t a, str_t b, size_t from)
{
    size_t n = a.n < b.n ? a.n : b.n, at = from;
    while (at < n && a.p[at] == b.p[at])
        at++;
    return at - from;
}

// The end of the run of items from `at` on whose prefixes have the same byte at `depth`.
static uint32_t run_end(const builder_t *b, uint32_t at, uint32_t hi, size_t depth)
{
    char first = b->items[at].prefix.p[depth];
    while (at < hi && b->items[at].prefix.p[depth] == first)
        at++;
    return at;
}

// Makes `node` of items lo..hi, which agree in their first `depth` bytes. At most INDEXED_PREFIX_MAX deep.
static void build_node(builder_t *b, uint32_t node, uint32_t lo, uint32_t hi, size_t depth)
{
    str_t first = b->items[lo].prefix;
    size_t n = common_prefix(first, b->items[hi - 1].prefix, depth);
    index_node_t made = {.label = str_make(first.p + depth, n)};
    uint32_t ends = lo;
    depth += n;
    while (ends < hi && b->items[ends].prefix.n == depth)
        ends++;
    fill_node(b, &made, node, lo, ends);
    lo = ends;
    for (uint32_t at = lo; at < hi; at = run_end(b, at, hi, depth))
        made.n_children++;
    made.children = nodes_take(b, made.n_children);
    b->r->nodes[node] = made;
    b->r->first_bytes[node] = n ? (uint8_t)made.label.p[0] : 0;
    for (uint32_t child = made.children; lo < hi; child++) {
        uint32_t end = run_end(b, lo, hi, depth);
        build_node(b, child, lo, end, depth);
        lo = end;
    }
}

static uint32_t most_values(const path_rule_t *rule)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < rule->checks->n_headers; i++) {
        if (rule->checks->headers[i].n_values > most)
            most = rule->checks->headers[i].n_values;
    }
    return most;
}

void route_index_build(router_t *r, index_item_t *items, uint32_t n)
{
    uint32_t cap = 2 * n + r->n_groups + 1, values = 0;
    qsort(items, n, sizeof *items, compare_items);
    for (uint32_t i = 0; i < n; i++)
        values += most_values(&r->rules[items[i].rank]);
    r->nodes = arena_zalloc(&r->arena, cap * sizeof *r->nodes);
    r->first_bytes = arena_zalloc(&r->arena, cap);
    r->entries = arena_alloc(&r->arena, ((size_t)n + values + 1) * sizeof *r->entries);
    r->lists = arena_alloc(&r->arena, ((size_t)values + 1) * sizeof *r->lists);
    lookup_init(&r->keyed, &r->arena, values);
    builder_t b = {.r = r, .items = items, .cap_nodes = cap, .cap_entries = n + values};
    for (uint32_t lo = 0; lo < n;) {
        uint32_t hi = lo, group = items[lo].group;
        while (hi < n && items[hi].group == group)
            hi++;
        r->groups[group].root = nodes_take(&b, 1);
        build_node(&b, r->groups[group].root, lo, hi, 0);
        lo = hi;
    }
}

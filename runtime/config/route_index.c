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
    uint32_t n_nodes, n_entries, cap_nodes;
} builder_t;

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
    index_node_t made = {.label = str_make(first.p + depth, n), .entries = b->n_entries};
    depth += n;
    for (; lo < hi && b->items[lo].prefix.n == depth; lo++) {
        b->r->entries[b->n_entries++] =
            (index_entry_t){.rank = b->items[lo].rank, .port = b->items[lo].port};
        made.n_entries++;
    }
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

void route_index_build(router_t *r, index_item_t *items, uint32_t n)
{
    uint32_t cap = 2 * n + r->n_groups + 1;
    qsort(items, n, sizeof *items, compare_items);
    r->nodes = arena_zalloc(&r->arena, cap * sizeof *r->nodes);
    r->first_bytes = arena_zalloc(&r->arena, cap);
    r->entries = arena_alloc(&r->arena, ((size_t)n + 1) * sizeof *r->entries);
    builder_t b = {.r = r, .items = items, .cap_nodes = cap};
    for (uint32_t lo = 0; lo < n;) {
        uint32_t hi = lo, group = items[lo].group;
        while (hi < n && items[hi].group == group)
            hi++;
        r->groups[group].root = nodes_take(&b, 1);
        build_node(&b, r->groups[group].root, lo, hi, 0);
        lo = hi;
    }
}

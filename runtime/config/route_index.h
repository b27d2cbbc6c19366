// The router's tables, private to the router's own files: rules in order of rank, and for each host group a radix
// tree over the literal prefixes of their paths.
// Invariant: a rule is in the tree of each of its hosts, at the node of its prefix; so the nodes that a request's
// path passes hold every rule that can match.
#pragma once

#include "config/lookup.h"
#include "config/pattern.h"
#include "config/router.h"
#include "config/rule.h"

enum { INDEXED_PREFIX_MAX = 255, KEYED_MIN = 8, KEYED_VALUE_MAX = 255 };

typedef struct value_check {
    str_t text;       // compared without case, unless
    pattern_t *regex; // this is set
} value_check_t;

typedef struct header_check {
    str_t name;
    hdr_id_t id;
    value_check_t *values;
    uint32_t n_values;
} header_check_t;

// What is common to all rules of a route.
typedef struct route_checks {
    header_check_t *headers;
    uint32_t n_headers;
    bool any; // something besides host and path is to be checked
} route_checks_t;

// One path of one route (or a route without paths). Its place in the array is its rank: smaller wins.
typedef struct path_rule {
    uint64_t priority;
    const route_t *route;
    const route_checks_t *checks;
    pattern_t *regex; // NULL: a plain prefix, or no path
    str_t prefix;     // literal with which the path must begin
    uint32_t path;    // which of the route's paths
} path_rule_t;

typedef struct index_entry {
    uint32_t rank;
    uint16_t port; // 0: any
} index_entry_t;

// When many rules share a node, those that ask a plain value of one header stand in lists of their own, by that value.
typedef struct index_node {
    str_t label;
    uint32_t entries, n_entries;   // by rank; without those that stand in lists
    uint32_t children, n_children; // by first byte of the label
    const header_check_t *key;     // the header of the lists; NULL: there are none
} index_node_t;

// Entries of one node for one header value.
typedef struct index_list {
    uint32_t entries, n_entries; // by rank
} index_list_t;

typedef enum host_kind {
    HOST_EXACT,
    HOST_SUFFIX, // "*.example.com": text is ".example.com"
    HOST_PREFIX, // "example.*": text is "example."
    HOST_ODD,    // other wildcards, tried one by one; text is the pattern
    HOST_NONE,   // routes without hosts
} host_kind_t;

typedef struct host_group {
    host_kind_t kind;
    str_t text;
    uint32_t root;
} host_group_t;

struct router {
    arena_t arena;
    uint64_t seed;
    path_rule_t *rules;
    uint32_t n_rules;
    host_group_t *groups;
    uint32_t n_groups;
    lookup_t hosts; // group by router_host_hash
    bool has_suffixes, has_prefixes;
    uint32_t *odd; // the HOST_ODD groups
    uint32_t n_odd;
    const host_group_t *without_host; // NULL: every route has hosts
    index_node_t *nodes;
    uint8_t *first_bytes; // of each node's label, beside nodes
    index_entry_t *entries;
    index_list_t *lists;
    lookup_t keyed; // list by router_value_hash
    matcher_t *matcher;
    uint64_t warned_us; // when a limit was last reported
};

// Builds from g's routes; they are borrowed. 0 and *out owned, or -1 with why.
int router_create(const generation_t *g, router_t **out, char *why, size_t why_cap);
void router_destroy(router_t *r);

static inline uint64_t router_host_hash(const router_t *r, host_kind_t kind, str_t text)
{
    return str_hash(text, r->seed + (uint64_t)kind);
}

// Hash of a header value (without case, at most KEYED_VALUE_MAX bytes) as a key of the node's lists.
uint64_t router_value_hash(const router_t *r, uint32_t node, str_t value);

// Splits a configured host into name and port (0: none); "[v6]" keeps its brackets.
str_t host_split_port(str_t host, uint16_t *port);

// Sorts what was gathered into groups and trees. `items` is taken apart (sorted in place).
typedef struct index_item {
    uint32_t group, rank;
    str_t prefix; // at most INDEXED_PREFIX_MAX
    uint16_t port;
} index_item_t;
void route_index_build(router_t *r, index_item_t *items, uint32_t n);

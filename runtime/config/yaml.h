// YAML text -> a tree of values with positions. Scalars are resolved by the YAML 1.2 core schema, so yes, no, on and
// off are strings, and so are .inf and .nan (no setting takes them). JSON is read too, being YAML.
// Not knowing any configuration: keys mean nothing here. Invariant: a tree has no cycles and no key twice.
#pragma once

#include "base/arena.h"

typedef enum yaml_kind {
    YAML_VALUE_NULL,
    YAML_VALUE_BOOL,
    YAML_VALUE_NUMBER,
    YAML_VALUE_STRING,
    YAML_VALUE_LIST,
    YAML_VALUE_MAP,
} yaml_kind_t;

typedef struct yaml_value yaml_value_t;

typedef struct yaml_pair {
    str_t key;             // as written, unquoted: the key 200 is "200"
    uint32_t line, column; // of the key, from 1
    const yaml_value_t *value;
} yaml_pair_t;

// A value that several aliases name is one value in the tree: read it, do not change it.
struct yaml_value {
    yaml_kind_t kind;
    uint32_t line, column; // from 1
    uint32_t weight;       // values in here with aliases expanded, this one included
    uint32_t height;       // levels below
    union {
        bool boolean;
        double number;
        str_t text;
        struct {
            const yaml_value_t **v;
            uint32_t n;
        } list;
        struct {
            yaml_pair_t *v; // in the file's order; merged ones (<<) last
            uint32_t n;
        } map;
    };
};

typedef struct yaml_tree {
    arena_t arena; // owns everything below root
    const yaml_value_t *root;
} yaml_tree_t;

typedef struct yaml_error {
    uint32_t line, column; // from 1; 0: the whole text
    char why[240];
} yaml_error_t;

enum {
    YAML_BYTES_MAX = 64 * 1024 * 1024,
    YAML_DEPTH_MAX = 64,
    YAML_ALIAS_VALUES_MAX = 1000 * 1000, // what all aliases together may expand to
};

// Parses one document (an empty text is null). 0 and *out owned, or -1 with *err.
int yaml_parse(str_t text, yaml_tree_t **out, yaml_error_t *err);
void yaml_tree_destroy(yaml_tree_t *tree);

// The value of a key, or NULL (also when `map` is no map).
const yaml_value_t *yaml_get(const yaml_value_t *map, str_t key);

const char *yaml_kind_name(yaml_kind_t kind); // "a string", "a list", ...

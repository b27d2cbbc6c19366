// Composes libyaml's events into a tree; see yaml.h. Only here yaml.h of libyaml.
// Invariant: recursion is bounded by YAML_DEPTH_MAX, memory by the text's size and YAML_ALIAS_VALUES_MAX.
#include "config/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#include "base/check.h"
#include "config/lookup.h"
#include "config/yaml_scalar.h"

enum { PAIRWISE_MAX = 16, CORE_TAG_BYTES = sizeof "tag:yaml.org,2002:" - 1 };

typedef struct anchor {
    str_t name;
    const yaml_value_t *value; // NULL while its collection is still open
} anchor_t;

// A stack on the heap for what is gathered before its size is known.
#define STACK(type)                                                                            \
    struct {                                                                                   \
        type *v;                                                                               \
        size_t n, cap;                                                                         \
    }
#define PUSH(stack, item)                                                                      \
    do {                                                                                       \
        if ((stack)->n == (stack)->cap) {                                                      \
            (stack)->cap = (stack)->cap ? (stack)->cap * 2 : 64;                               \
            (stack)->v = mem_realloc((stack)->v, (stack)->cap * sizeof *(stack)->v);           \
        }                                                                                      \
        (stack)->v[(stack)->n++] = (item);                                                     \
    } while (0)

typedef struct composer {
    yaml_parser_t parser;
    yaml_event_t event; // the current one
    bool has_event;
    arena_t *a;
    STACK(const yaml_value_t *) values;
    STACK(yaml_pair_t) pairs;
    STACK(anchor_t) anchors;
    uint64_t from_aliases;
    yaml_error_t *err;
} composer_t;

static int compose(composer_t *c, unsigned depth, const yaml_value_t **out);

__attribute__((format(printf, 4, 5))) static int fail(composer_t *c, size_t line, size_t column,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->err->line = (uint32_t)line;
    c->err->column = (uint32_t)column;
    vsnprintf(c->err->why, sizeof c->err->why, fmt, ap);
    va_end(ap);
    return -1;
}

#define FAIL_HERE(c, ...)                                                                      \
    fail(c, (c)->event.start_mark.line + 1, (c)->event.start_mark.column + 1, __VA_ARGS__)

// Marks count characters, not bytes.
static bool is_tab_at(const composer_t *c, size_t index)
{
    const unsigned char *p = c->parser.input.string.start, *end = c->parser.input.string.end;
    for (; p < end && (index > 0 || (*p & 0xc0) == 0x80); p++)
        index -= (*p & 0xc0) != 0x80;
    return p < end && *p == '\t';
}

// libyaml's words, but for tabs, the usual mistake, which it does not name.
static int fail_parser(composer_t *c)
{
    const yaml_parser_t *p = &c->parser;
    const char *problem = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR)
        return fail(c, p->mark.line + 1, 0, "%s (is the file UTF-8?)", problem);
    size_t line = p->problem_mark.line + 1, column = p->problem_mark.column + 1;
    if (is_tab_at(c, p->problem_mark.index))
        return fail(c, line, column, "a tab where only spaces may be: indent with spaces");
    if (p->context && p->context_mark.line + 1 != line)
        return fail(c, line, column, "%s (%s that began on line %zu)", problem, p->context,
                    p->context_mark.line + 1);
    return fail(c, line, column, "%s%s%s", problem, p->context ? " " : "",
                p->context ? p->context : "");
}

static int next_event(composer_t *c)
{
    if (c->has_event)
        yaml_event_delete(&c->event);
    c->has_event = yaml_parser_parse(&c->parser, &c->event) == 1;
    return c->has_event ? 0 : fail_parser(c);
}

static str_t str_of(const yaml_char_t *text)
{
    return str_from((const char *)text);
}

// "int" of "tag:yaml.org,2002:int"; false for tags that are not of the core schema.
static bool core_tag(const yaml_char_t *tag, str_t *out)
{
    static const char *const known[] = {"str", "int", "float", "bool", "null", "map", "seq"};
    str_t text = str_of(tag);
    *out = STR("");
    if (text.n == 0)
        return true;
    if (str_eq(text, STR("!"))) {
        *out = STR("str");
        return true;
    }
    if (!str_starts(text, STR("tag:yaml.org,2002:")))
        return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        *out = str_from(known[i]);
        if (str_eq(str_from_at(text, CORE_TAG_BYTES), *out))
            return true;
    }
    return false;
}

static int fail_tag(composer_t *c, const yaml_char_t *tag)
{
    return FAIL_HERE(c, "the tag %s is not supported here: remove it", (const char *)tag);
}

static yaml_value_t *new_value(composer_t *c)
{
    yaml_value_t *value = arena_zalloc(c->a, sizeof *value);
    value->line = (uint32_t)c->event.start_mark.line + 1;
    value->column = (uint32_t)c->event.start_mark.column + 1;
    value->weight = 1;
    return value;
}

// Registers an anchor; its index, or SIZE_MAX when the value has none.
static size_t open_anchor(composer_t *c, const yaml_char_t *name)
{
    if (!name)
        return SIZE_MAX;
    PUSH(&c->anchors, ((anchor_t){.name = arena_dup(c->a, str_of(name))}));
    return c->anchors.n - 1;
}

static void close_anchor(composer_t *c, size_t index, const yaml_value_t *value)
{
    if (index != SIZE_MAX)
        c->anchors.v[index].value = value;
}

static int compose_alias(composer_t *c, unsigned depth, const yaml_value_t **out)
{
    str_t name = str_of(c->event.data.alias.anchor);
    for (size_t i = c->anchors.n; i-- > 0;) {
        const yaml_value_t *value = c->anchors.v[i].value;
        if (!str_eq(c->anchors.v[i].name, name))
            continue;
        if (!value)
            return FAIL_HERE(c, "*%.*s stands inside of what it names", STR_FMT(name));
        if (depth + value->height > YAML_DEPTH_MAX)
            return FAIL_HERE(c, "nested deeper than %d levels", YAML_DEPTH_MAX);
        c->from_aliases += value->weight;
        if (c->from_aliases > YAML_ALIAS_VALUES_MAX)
            return FAIL_HERE(c, "aliases expand to more than %d values", YAML_ALIAS_VALUES_MAX);
        *out = value;
        return 0;
    }
    return FAIL_HERE(c, "*%.*s: there is no anchor &%.*s before it", STR_FMT(name),
                     STR_FMT(name));
}

static int compose_scalar(composer_t *c, const yaml_value_t **out)
{
    str_t tag;
    const yaml_char_t *raw_tag = c->event.data.scalar.tag;
    if (!core_tag(raw_tag, &tag) || str_eq(tag, STR("map")) || str_eq(tag, STR("seq")))
        return fail_tag(c, raw_tag);
    size_t anchor = open_anchor(c, c->event.data.scalar.anchor);
    yaml_value_t *value = new_value(c);
    str_t text =
        str_make((const char *)c->event.data.scalar.value, c->event.data.scalar.length);
    bool plain = c->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!yaml_scalar_resolve(text, plain, tag, value))
        return FAIL_HERE(c, "\"%.*s\" is no !!%.*s", (int)(text.n < 60 ? text.n : 60), text.p,
                         STR_FMT(tag));
    if (value->kind == YAML_VALUE_STRING)
        value->text = arena_dup(c->a, text);
    close_anchor(c, anchor, value);
    *out = value;
    return 0;
}

static int add_weight(composer_t *c, yaml_value_t *parent, const yaml_value_t *child)
{
    // Without aliases the weight is at most the bytes of the text, with them bounded above.
    if (__builtin_add_overflow(parent->weight, child->weight, &parent->weight))
        return FAIL_HERE(c, "too many values");
    if (child->height >= parent->height)
        parent->height = child->height + 1;
    return 0;
}

static int compose_list(composer_t *c, unsigned depth, const yaml_value_t **out)
{
    str_t tag;
    size_t base = c->values.n, anchor = open_anchor(c, c->event.data.sequence_start.anchor);
    if (!core_tag(c->event.data.sequence_start.tag, &tag) ||
        (tag.n && !str_eq(tag, STR("seq"))))
        return fail_tag(c, c->event.data.sequence_start.tag);
    yaml_value_t *list = new_value(c);
    list->kind = YAML_VALUE_LIST;
    for (;;) {
        const yaml_value_t *element;
        if (next_event(c) != 0)
            return -1;
        if (c->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (compose(c, depth + 1, &element) != 0 || add_weight(c, list, element) != 0)
            return -1;
        PUSH(&c->values, element);
    }
    size_t n = c->values.n - base;
    list->list.v = arena_alloc(c->a, (n + 1) * sizeof *list->list.v);
    if (n)
        memcpy(list->list.v, &c->values.v[base], n * sizeof *list->list.v);
    list->list.n = (uint32_t)n;
    c->values.n = base;
    close_anchor(c, anchor, list);
    *out = list;
    return 0;
}

static int check_merged(composer_t *c, const yaml_value_t *value, uint32_t line,
                        uint32_t column)
{
    if (value->kind == YAML_VALUE_MAP)
        return 0;
    for (uint32_t i = 0; value->kind == YAML_VALUE_LIST && i < value->list.n; i++) {
        if (value->list.v[i]->kind != YAML_VALUE_MAP)
            return fail(c, line, column,
                        "<< takes a mapping or a list of mappings, not a list with %s",
                        yaml_kind_name(value->list.v[i]->kind));
    }
    if (value->kind != YAML_VALUE_LIST)
        return fail(c, line, column, "<< takes a mapping or a list of mappings, not %s",
                    yaml_kind_name(value->kind));
    return 0;
}

// What is found for a key among pairs [from, to), or SIZE_MAX. `seen` serves when there are many.
static size_t find_key(const composer_t *c, const lookup_t *seen, size_t from, size_t to,
                       str_t key)
{
    if (seen->slots) {
        uint64_t cursor = 0;
        uint32_t i;
        while ((i = lookup_next(seen, str_hash(key, 0), &cursor)) != LOOKUP_NONE) {
            if (str_eq(c->pairs.v[from + i].key, key))
                return from + i;
        }
        return SIZE_MAX;
    }
    for (size_t i = from; i < to; i++) {
        if (str_eq(c->pairs.v[i].key, key))
            return i;
    }
    return SIZE_MAX;
}

static int check_duplicates(composer_t *c, size_t base)
{
    size_t n = c->pairs.n - base;
    arena_t scratch;
    lookup_t seen = {0};
    arena_init(&scratch);
    if (n > PAIRWISE_MAX)
        lookup_init(&seen, &scratch, (uint32_t)n);
    int rc = 0;
    for (size_t i = base; i < c->pairs.n && rc == 0; i++) {
        const yaml_pair_t *pair = &c->pairs.v[i];
        size_t before = find_key(c, &seen, base, i, pair->key);
        if (before != SIZE_MAX)
            rc = fail(c, pair->line, pair->column,
                      "the key \"%.*s\" is here twice, first on line %u: remove one",
                      (int)(pair->key.n < 100 ? pair->key.n : 100), pair->key.p,
                      c->pairs.v[before].line);
        else if (seen.slots)
            lookup_add(&seen, str_hash(pair->key, 0), (uint32_t)(i - base));
    }
    arena_dispose(&scratch);
    return rc;
}

// Adds the pairs of `from` whose keys the map does not have yet.
static int merge_map(composer_t *c, size_t base, yaml_value_t *map, const yaml_value_t *from)
{
    static const lookup_t none = {0};
    for (uint32_t i = 0; i < from->map.n; i++) {
        if (find_key(c, &none, base, c->pairs.n, from->map.v[i].key) != SIZE_MAX)
            continue;
        if (add_weight(c, map, from->map.v[i].value) != 0)
            return -1;
        PUSH(&c->pairs, from->map.v[i]);
    }
    return 0;
}

// The values of the map's << keys stand on the value stack from `merges` on; earlier ones win.
static int merge_all(composer_t *c, size_t base, size_t merges, yaml_value_t *map)
{
    for (size_t i = merges; i < c->values.n; i++) {
        const yaml_value_t *value = c->values.v[i];
        if (value->kind == YAML_VALUE_MAP && merge_map(c, base, map, value) != 0)
            return -1;
        for (uint32_t j = 0; value->kind == YAML_VALUE_LIST && j < value->list.n; j++) {
            if (merge_map(c, base, map, value->list.v[j]) != 0)
                return -1;
        }
    }
    c->values.n = merges;
    return 0;
}

// Reads the current event as a key. *merge: it is a plain <<.
static int compose_key(composer_t *c, unsigned depth, yaml_pair_t *pair, bool *merge)
{
    const yaml_value_t *key;
    pair->line = (uint32_t)c->event.start_mark.line + 1;
    pair->column = (uint32_t)c->event.start_mark.column + 1;
    *merge = false;
    if (c->event.type == YAML_SCALAR_EVENT) {
        str_t text =
            str_make((const char *)c->event.data.scalar.value, c->event.data.scalar.length);
        *merge =
            c->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_eq(text, STR("<<"));
        pair->key = arena_dup(c->a, text);
        return compose_scalar(c, &key);
    }
    if (c->event.type != YAML_ALIAS_EVENT)
        return FAIL_HERE(c, "a key must be a string, not a list or a mapping");
    if (compose_alias(c, depth, &key) != 0)
        return -1;
    if (key->kind != YAML_VALUE_STRING)
        return FAIL_HERE(c, "an alias used as a key must name a string, not %s",
                         yaml_kind_name(key->kind));
    pair->key = key->text;
    return 0;
}

// One key and its value onto the stacks: the value of << on that of values, the others as pairs.
static int compose_pair(composer_t *c, unsigned depth, yaml_value_t *map)
{
    yaml_pair_t pair = {0};
    bool merge;
    if (compose_key(c, depth, &pair, &merge) != 0 || next_event(c) != 0 ||
        compose(c, depth + 1, &pair.value) != 0)
        return -1;
    if (!merge) {
        PUSH(&c->pairs, pair);
        return add_weight(c, map, pair.value);
    }
    PUSH(&c->values, pair.value);
    return check_merged(c, pair.value, pair.line, pair.column);
}

static int compose_map(composer_t *c, unsigned depth, const yaml_value_t **out)
{
    str_t tag;
    size_t base = c->pairs.n, merges = c->values.n;
    size_t anchor = open_anchor(c, c->event.data.mapping_start.anchor);
    if (!core_tag(c->event.data.mapping_start.tag, &tag) || (tag.n && !str_eq(tag, STR("map"))))
        return fail_tag(c, c->event.data.mapping_start.tag);
    yaml_value_t *map = new_value(c);
    map->kind = YAML_VALUE_MAP;
    for (;;) {
        if (next_event(c) != 0)
            return -1;
        if (c->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (compose_pair(c, depth, map) != 0)
            return -1;
    }
    if (check_duplicates(c, base) != 0 || merge_all(c, base, merges, map) != 0)
        return -1;
    size_t n = c->pairs.n - base;
    map->map.v = arena_alloc(c->a, (n + 1) * sizeof *map->map.v);
    if (n)
        memcpy(map->map.v, &c->pairs.v[base], n * sizeof *map->map.v);
    map->map.n = (uint32_t)n;
    c->pairs.n = base;
    close_anchor(c, anchor, map);
    *out = map;
    return 0;
}

// The value that begins at the current event; afterwards its last event is the current one.
static int compose(composer_t *c, unsigned depth, const yaml_value_t **out)
{
    if (depth > YAML_DEPTH_MAX)
        return FAIL_HERE(c, "nested deeper than %d levels", YAML_DEPTH_MAX);
    if (c->event.type == YAML_SCALAR_EVENT)
        return compose_scalar(c, out);
    if (c->event.type == YAML_ALIAS_EVENT)
        return compose_alias(c, depth, out);
    if (c->event.type == YAML_SEQUENCE_START_EVENT)
        return compose_list(c, depth, out);
    ASSERT(c->event.type == YAML_MAPPING_START_EVENT,
           "a value is a scalar, an alias, a list or a mapping");
    return compose_map(c, depth, out);
}

static int compose_document(composer_t *c, const yaml_value_t **root)
{
    if (next_event(c) != 0 || next_event(c) != 0)
        return -1;
    if (c->event.type == YAML_STREAM_END_EVENT) {
        *root = new_value(c);
        return 0;
    }
    ASSERT(c->event.type == YAML_DOCUMENT_START_EVENT, "a stream holds documents");
    if (next_event(c) != 0 || compose(c, 1, root) != 0 || next_event(c) != 0 ||
        next_event(c) != 0)
        return -1;
    if (c->event.type != YAML_STREAM_END_EVENT)
        return FAIL_HERE(c,
                         "a second document (---) begins here: put it into a file of its own");
    return 0;
}

static void composer_dispose(composer_t *c)
{
    if (c->has_event)
        yaml_event_delete(&c->event);
    yaml_parser_delete(&c->parser);
    free(c->values.v);
    free(c->pairs.v);
    free(c->anchors.v);
}

int yaml_parse(str_t text, yaml_tree_t **out, yaml_error_t *err)
{
    composer_t c = {.err = err};
    const yaml_value_t *root = NULL;
    if (text.n > YAML_BYTES_MAX)
        return fail(&c, 0, 0, "larger than %d MiB: split the file",
                    YAML_BYTES_MAX / 1024 / 1024);
    yaml_tree_t *tree = mem_zalloc(sizeof *tree);
    arena_init(&tree->arena);
    c.a = &tree->arena;
    ASSERT(yaml_parser_initialize(&c.parser) == 1, "out of memory");
    yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&c.parser, (const unsigned char *)(text.p ? text.p : ""),
                                 text.n);
    int rc = compose_document(&c, &root);
    composer_dispose(&c);
    if (rc != 0) {
        yaml_tree_destroy(tree);
        return -1;
    }
    tree->root = root;
    *out = tree;
    return 0;
}

void yaml_tree_destroy(yaml_tree_t *tree)
{
    arena_dispose(&tree->arena);
    free(tree);
}

const yaml_value_t *yaml_get(const yaml_value_t *map, str_t key)
{
    for (uint32_t i = 0; map && map->kind == YAML_VALUE_MAP && i < map->map.n; i++) {
        if (str_eq(map->map.v[i].key, key))
            return map->map.v[i].value;
    }
    return NULL;
}

const char *yaml_kind_name(yaml_kind_t kind)
{
    switch (kind) {
    case YAML_VALUE_NULL:
        return "null";
    case YAML_VALUE_BOOL:
        return "a boolean";
    case YAML_VALUE_NUMBER:
        return "a number";
    case YAML_VALUE_STRING:
        return "a string";
    case YAML_VALUE_LIST:
        return "a list";
    case YAML_VALUE_MAP:
        return "a mapping";
    }
    UNREACHABLE("every kind of value has a name");
}

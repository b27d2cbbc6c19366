// Any bytes as a YAML configuration: read or refused, never a crash; what is read keeps the tree's invariants.
#include "base/check.h"
#include "config/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const yaml_value_t *v, unsigned depth)
{
    ASSERT(depth <= YAML_DEPTH_MAX, "no tree is deeper than the cap");
    ASSERT(v->weight > 0, "every value weighs something");
    if (v->kind == YAML_VALUE_LIST) {
        for (uint32_t i = 0; i < v->list.n; i++)
            walk(v->list.v[i], depth + 1);
    }
    if (v->kind != YAML_VALUE_MAP)
        return;
    for (uint32_t i = 0; i < v->map.n; i++) {
        ASSERT(yaml_get(v, v->map.v[i].key) == v->map.v[i].value, "no key is there twice");
        walk(v->map.v[i].value, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    yaml_tree_t *tree = NULL;
    yaml_error_t err = {0};
    if (yaml_parse(str_make((const char *)data, size), &tree, &err) != 0) {
        ASSERT(err.why[0] != '\0', "a refusal says why");
        return 0;
    }
    walk(tree->root, 1);
    yaml_tree_destroy(tree);
    return 0;
}

// YAML: types, positions, anchors and merges, every refusal with its message, and the YAML test suite
// (yaml-test-suite.jsonl: one case a line; MIT licence, from github.com/yaml/yaml-test-suite).
#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "config/yaml.h"
#include "http/json.h"

static yaml_tree_t *parse(const char *text)
{
    yaml_tree_t *tree = NULL;
    yaml_error_t err;
    if (yaml_parse(str_from(text), &tree, &err) != 0)
        TEST_NOTE("%u:%u: %s", err.line, err.column, err.why);
    return tree;
}

// The tree as compact text, for comparing: maps in order, strings quoted, numbers by %.17g.
static void dump(buf_t *b, const yaml_value_t *v)
{
    switch (v->kind) {
    case YAML_VALUE_NULL:
        buf_append(b, STR("null"));
        break;
    case YAML_VALUE_BOOL:
        buf_append(b, v->boolean ? STR("true") : STR("false"));
        break;
    case YAML_VALUE_NUMBER:
        buf_printf(b, "%.17g", v->number);
        break;
    case YAML_VALUE_STRING:
        buf_printf(b, "\"%.*s\"", STR_FMT(v->text));
        break;
    case YAML_VALUE_LIST:
        buf_putc(b, '[');
        for (uint32_t i = 0; i < v->list.n; i++) {
            if (i)
                buf_putc(b, ',');
            dump(b, v->list.v[i]);
        }
        buf_putc(b, ']');
        break;
    case YAML_VALUE_MAP:
        buf_putc(b, '{');
        for (uint32_t i = 0; i < v->map.n; i++) {
            buf_printf(b, "%s%.*s:", i ? "," : "", STR_FMT(v->map.v[i].key));
            dump(b, v->map.v[i].value);
        }
        buf_putc(b, '}');
        break;
    }
}

static void check_dump(const char *text, const char *want)
{
    buf_t b = {0};
    yaml_tree_t *tree = parse(text);
    if (CHECK(tree != NULL)) {
        dump(&b, tree->root);
        CHECK_EQ_STR(buf_str(&b), want);
        yaml_tree_destroy(tree);
    }
    buf_dispose(&b);
}

TEST(scalars_have_the_types_of_the_core_schema)
{
    check_dump("[true, True, FALSE, null, ~, Null, ]", "[true,true,false,null,null,null]");
    check_dump("[yes, no, on, off, y, n, tRue]",
               "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\",\"tRue\"]");
    check_dump("[1, -2, +3, 0x1F, 0o17, 007, 1.5, .5, 1., 1e3, -1.25E-2]",
               "[1,-2,3,31,15,7,1.5,0.5,1,1000,-0.012500000000000001]");
    check_dump("[.inf, .nan, 1e999, 1_000, 1:30, 0x, 1e, ., -, 2026-11-23, 1.2.3.4]",
               "[\".inf\",\".nan\",\"1e999\",\"1_000\",\"1:30\",\"0x\",\"1e\",\".\",\"-\","
               "\"2026-11-23\",\"1.2.3.4\"]");
    check_dump("['1', \"true\", '~', '']", "[\"1\",\"true\",\"~\",\"\"]");
    check_dump("[!!str 1, !!int 0x10, !!float 1, !!bool true, !!null '', ! 5]",
               "[\"1\",16,1,true,null,\"5\"]");
    check_dump("a:\nb: ''\n", "{a:null,b:\"\"}");
    check_dump("200: x\ntrue: y\n~: z\n", "{200:\"x\",true:\"y\",~:\"z\"}");
    check_dump("", "null");
    check_dump("# nothing\n", "null");
    check_dump("--- 5\n...\n", "5");
    check_dump("\xef\xbb\xbf"
               "a: 1",
               "{a:1}");
}

TEST(json_is_yaml)
{
    check_dump("{\"a\":[1,2,{\"b\":null}],\"c\":\"\\u00e9\\n\",\"d\":{}}",
               "{a:[1,2,{b:null}],c:\"\xc3\xa9\n\",d:{}}");
    check_dump("{\n\t\"a\": 1,\n\t\"b\": [\n\t\ttrue\n\t]\n}\n", "{a:1,b:[true]}");
}

TEST(positions_of_keys_and_values)
{
    yaml_tree_t *tree = parse("services:\n  - name: a\n    port: 80\n  - name: b\n");
    if (!CHECK(tree != NULL))
        return;
    CHECK_EQ_INT(tree->root->map.v[0].line, 1);
    const yaml_value_t *list = yaml_get(tree->root, STR("services"));
    const yaml_value_t *first = list->list.v[0];
    CHECK_EQ_INT(first->map.v[1].line, 3);
    CHECK_EQ_INT(first->map.v[1].column, 5);
    CHECK_EQ_INT(first->map.v[1].value->column, 11);
    CHECK_EQ_INT(list->list.v[1]->line, 4);
    CHECK_EQ_INT(list->list.v[1]->column, 5);
    CHECK(yaml_get(tree->root, STR("none")) == NULL);
    CHECK(yaml_get(list, STR("x")) == NULL);
    yaml_tree_destroy(tree);
}

TEST(anchors_aliases_and_merges)
{
    check_dump("a: &x [1, 2]\nb: *x\n", "{a:[1,2],b:[1,2]}");
    check_dump("a: &x 1\nb: &x 2\nc: *x\n", "{a:1,b:2,c:2}");
    check_dump("base: &b {p: 1, q: 2}\nuse:\n  <<: *b\n  q: 3\n",
               "{base:{p:1,q:2},use:{q:3,p:1}}");
    check_dump("a: &a {p: 1}\nb: &b {p: 2, r: 4}\nc:\n  <<: [*a, *b]\n  z: 0\n",
               "{a:{p:1},b:{p:2,r:4},c:{z:0,p:1,r:4}}");
    check_dump("{<<: {a: 1}, '<<': 2}", "{<<:2,a:1}");
    check_dump("&k key: 1\nother: *k\n", "{key:1,other:\"key\"}");
}

TEST(refusals_say_where_and_what)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *why;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", 3, 1, "the key \"a\" is here twice, first on line 1"},
        {"a: 1\n'a': 3\n", 2, 1, "twice"},
        {"a:\n\tb: 1\n", 2, 1, "a tab where only spaces may be"},
        {"a: 1\n---\nb: 2\n", 2, 1, "a second document"},
        {"a: *none\n", 1, 4, "there is no anchor &none before it"},
        {"a: &x [*x]\n", 1, 8, "stands inside of what it names"},
        {"a: &x {b: {c: *x}}\n", 1, 15, "stands inside"},
        {"a: !vault x\n", 1, 4, "the tag !vault is not supported"},
        {"a: !!binary aGk=\n", 1, 4, "the tag tag:yaml.org,2002:binary is not supported"},
        {"a: !!int x\n", 1, 4, "\"x\" is no !!int"},
        {"? [1]\n: x\n", 1, 3, "a key must be a string"},
        {"a: 1\n<<: 5\n", 2, 1, "<< takes a mapping or a list of mappings, not a number"},
        {"<<: [{a: 1}, 5]\n", 1, 1, "not a list with a number"},
        {"a: [1, 2\nb: 3\n", 2, 2, "flow sequence"},
        {"a: 'x\n", 2, 1, "quoted scalar"},
        {"a: b: c\n", 1, 5, "mapping values are not allowed"},
        {"a: \xff\n", 0, 0, "UTF-8"},
        {"- a\nb: 1\n", 2, 1, "did not find expected '-' indicator"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        yaml_tree_t *tree = NULL;
        yaml_error_t err = {0};
        bool ok = CHECK_EQ_INT(yaml_parse(str_from(cases[i].text), &tree, &err), -1) &&
                  CHECK(strstr(err.why, cases[i].why) != NULL);
        if (ok && cases[i].line)
            ok = CHECK_EQ_INT(err.line, cases[i].line) &&
                 CHECK_EQ_INT(err.column, cases[i].column);
        if (!ok)
            TEST_NOTE("%s -> %u:%u: %s", cases[i].text, err.line, err.column, err.why);
    }
}

static void check_refused(str_t text, const char *why)
{
    yaml_tree_t *tree = NULL;
    yaml_error_t err = {0};
    if (!CHECK_EQ_INT(yaml_parse(text, &tree, &err), -1) ||
        !CHECK(strstr(err.why, why) != NULL))
        TEST_NOTE("%s", err.why);
}

TEST(billion_laughs_are_refused)
{
    buf_t b = {0};
    buf_append(&b, STR("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
    for (int i = 1; i < 40; i++) {
        buf_printf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_printf(&b, "%s*a%d", k ? ", " : "", i - 1);
        buf_append(&b, STR("]\n"));
    }
    uint64_t start = clock_mono_us();
    check_refused(buf_str(&b), "aliases expand to more than 1000000 values");
    CHECK(clock_mono_us() - start < 1000000);
    buf_dispose(&b);
}

TEST(depth_is_bounded_also_through_aliases)
{
    buf_t b = {0};
    for (int i = 0; i < 64; i++)
        buf_putc(&b, '[');
    check_refused(buf_str(&b), "flow"); // unfinished, but not too deep
    for (int i = 0; i < 100000; i++)
        buf_putc(&b, '[');
    check_refused(buf_str(&b), "nested deeper than 64 levels");
    buf_clear(&b);
    buf_append(&b, STR("a0: &a0 [x]\n"));
    for (int i = 1; i < 70; i++)
        buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    check_refused(buf_str(&b), "nested deeper than 64 levels");
    buf_dispose(&b);
}

TEST(many_keys_are_checked_for_duplicates_too)
{
    buf_t b = {0};
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "key%d: %d\n", i, i);
    yaml_tree_t *tree = NULL;
    yaml_error_t err;
    CHECK_EQ_INT(yaml_parse(buf_str(&b), &tree, &err), 0);
    CHECK_EQ_INT(tree->root->map.n, 5000);
    yaml_tree_destroy(tree);
    buf_append(&b, STR("key17: again\n"));
    check_refused(buf_str(&b), "the key \"key17\" is here twice, first on line 18");
    buf_dispose(&b);
}

TEST(every_cut_of_a_text_is_read_or_refused)
{
    static const char text[] = "a: &x {p: [1, 'two', \"th\\u0072ee\"]}\nb:\n  - *x\n  - |\n    "
                               "block\n  - <<: *x\n    q: ~\n";
    for (size_t n = 0; n < sizeof text; n++) {
        yaml_tree_t *tree = NULL;
        yaml_error_t err = {0};
        if (yaml_parse(str_make(text, n), &tree, &err) == 0)
            yaml_tree_destroy(tree);
        else
            CHECK(err.why[0] != '\0');
    }
}

// --- the YAML test suite ----------------------------------------------------------------------

// Texts that YAML 1.2 refuses and libyaml reads; and ones it reads in another way or refuses, being older than YAML 1.2.
static const char *const accepted_anyway[] = {"9C9N", "9JBA", "CVW2", "DK95", "G5U8", "MUS6",
                                              "QB6E", "S98Z", "SU5Z", "X4QW", "Y79Y", "YJV2"};
static const char *const read_differently[] = {
    "2JQS", "2LFX", "2SXE", "4ABK", "4MUZ", "58MP", "5MUD", "5T43", "652Z", "6BCT",
    "6CA3", "6LVF", "6M2F", "7Z25", "8XYN", "96NN", "9SA2", "A2M4", "BEC7", "CFD4",
    "DBG4", "DK3J", "DK95", "FP8R", "FRK4", "HM87", "HWV9", "K3WX", "L24T", "M7A3",
    "MUS6", "NHX8", "NJ66", "NKF9", "Q5MG", "QT73", "R4YG", "RR7F", "S3PD", "SM9W",
    "UKK6", "UT92", "VJP3", "W4TN", "W5VH", "Y2GN", "Y79Y"};

static bool listed(str_t id, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(id, str_from(list[i])))
            return true;
    }
    return false;
}

static str_t member(arena_t *a, str_t object, const char *name)
{
    str_t raw, text = {0};
    if (json_get(object, str_from(name), &raw))
        json_string(raw, a, &text);
    return text;
}

// Refusals that are this reader's own rules, not a misreading.
static bool is_own_rule(const yaml_error_t *err)
{
    static const char *const rules[] = {"tag", "second document", "key must be",
                                        "is here twice", "is no !!"};
    for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strstr(err->why, rules[i]))
            return true;
    }
    return false;
}

static bool same_as_json(const yaml_value_t *got, str_t json)
{
    buf_t a = {0}, b = {0};
    yaml_tree_t *want = NULL;
    yaml_error_t err;
    bool same = yaml_parse(json, &want, &err) != 0;
    if (!same) {
        dump(&a, got);
        dump(&b, want->root);
        same = str_eq(buf_str(&a), buf_str(&b));
        yaml_tree_destroy(want);
    }
    buf_dispose(&a);
    buf_dispose(&b);
    return same;
}

static void run_case(arena_t *a, str_t line)
{
    str_t id = member(a, line, "id"), text = member(a, line, "yaml"),
          json = member(a, line, "json"), fail = {0};
    yaml_tree_t *tree = NULL;
    yaml_error_t err = {0};
    json_get(line, STR("fail"), &fail);
    bool must_fail = str_eq(fail, STR("true"));
    bool read = yaml_parse(text, &tree, &err) == 0;
    if (must_fail && read &&
        !listed(id, accepted_anyway, sizeof accepted_anyway / sizeof *accepted_anyway))
        printf("ACCEPTED \"%.*s\",\n", STR_FMT(id)),
            CHECK(!"a text that is no YAML is refused");
    bool differs = read ? json.n && !same_as_json(tree->root, json) : !is_own_rule(&err);
    if (!must_fail && differs &&
        !listed(id, read_differently, sizeof read_differently / sizeof *read_differently))
        printf("DIFFERENT \"%.*s\", %s\n", STR_FMT(id), err.why),
            CHECK(!"a text is read as the suite says");
    if (read)
        yaml_tree_destroy(tree);
}

TEST(the_yaml_test_suite)
{
    FILE *f = fopen("spec/unit/config/yaml-test-suite.jsonl", "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    unsigned cases = 0;
    if (!CHECK(f != NULL))
        return;
    while ((n = getline(&line, &cap, f)) > 0) {
        arena_t a;
        arena_init(&a);
        run_case(&a, str_make(line, (size_t)n));
        arena_dispose(&a);
        cases++;
    }
    free(line);
    fclose(f);
    CHECK_EQ_INT(cases, 402);
}

TEST(ten_thousand_routes_parse_quickly)
{
    buf_t b = {0};
    buf_append(&b, STR("_format_version: \"3.0\"\nservices:\n"));
    for (int i = 0; i < 10000; i++)
        buf_printf(&b,
                   "- name: service-%d\n  url: http://upstream-%d.internal:8080/base\n  "
                   "routes:\n  - name: route-%d\n"
                   "    hosts:\n    - h%d.example.com\n    paths:\n    - /api/v1/%d\n    "
                   "methods: [GET, POST]\n    strip_path: true\n",
                   i, i, i, i, i);
    yaml_tree_t *tree = NULL;
    yaml_error_t err;
    uint64_t start = clock_mono_us();
    CHECK_EQ_INT(yaml_parse(buf_str(&b), &tree, &err), 0);
    uint64_t took = clock_mono_us() - start;
    fprintf(stderr, "  parsed 10,000 services with routes (%zu bytes) in %.0f ms\n", b.n,
            (double)took / 1000);
    CHECK(took < 8000000);
    CHECK_EQ_INT(yaml_get(tree->root, STR("services"))->list.n, 10000);
    yaml_tree_destroy(tree);
    buf_dispose(&b);
}

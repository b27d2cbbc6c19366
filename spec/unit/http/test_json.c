// The scanner against the public case set, members, texts, numbers, and edits by splice.
#include "http/json.h"

#include "cases.h"
#include "test.h"

static bool valid(const char *text)
{
    json_error_t err = {0};
    bool ok = json_validate(str_from(text), &err) == 0;
    if (!ok)
        CHECK(err.why != NULL && err.at <= strlen(text));
    return ok;
}

TEST(public_cases)
{
    cases_t c;
    str_t text;
    int n = 0;
    cases_open(&c, "spec/data/http/json-cases.txt");
    while (cases_next(&c, 2, &text)) {
        json_error_t err;
        char *tight =
            malloc(text.n ? text.n : 1); // no byte behind the text, for the sanitizers
        memcpy(tight, text.p, text.n);
        int r = json_validate(str_make(tight, text.n), &err);
        if (!str_eq(c.field[0], STR("either")))
            if (!CHECK_EQ_INT(r, str_eq(c.field[0], STR("accept")) ? 0 : -1))
                TEST_NOTE("%.*s", STR_FMT(c.field[1]));
        free(tight);
        n++;
    }
    CHECK(n > 330);
    cases_close(&c);
}

TEST(every_prefix_of_a_value_is_refused)
{
    str_t text = STR("{\"a\": [1, -2.5e+3, true, false, null, \"x\\u00e9\\n\xe4\xbd\xa0\"], "
                     "\"b\": {\"c\": {}}}");
    json_error_t err;
    CHECK_EQ_INT(json_validate(text, &err), 0);
    for (size_t n = 0; n < text.n; n++) {
        CHECK_EQ_INT(json_validate(str_make(text.p, n), &err), -1);
        CHECK(err.at <= n);
    }
}

TEST(strings_stop_at_every_alignment)
{
    char text[80];
    json_error_t err;
    for (size_t n = 0; n < 40; n++) {
        memset(text, 'x', sizeof text);
        text[0] = text[n + 1] = '"';
        CHECK_EQ_INT(json_validate(str_make(text, n + 2), &err), 0);
        for (unsigned byte = 0; byte < 256 && n; byte++) {
            if (byte == '"')
                continue;
            text[n] = (char)byte;
            int want = byte >= 0x20 && byte < 0x80 && byte != '\\' ? 0 : -1;
            CHECK_EQ_INT(json_validate(str_make(text, n + 2), &err), want);
        }
    }
}

// What a piece is worth in a string that is too short for large steps, it is worth in a long one,
// at every place of a block, whatever stands round it; and the error is at the same byte of it.
static void piece_in_long_string(str_t piece, size_t before, const char *filler)
{
    char text[512], *tight;
    json_error_t want_err = {0}, err = {0};
    size_t n = (size_t)snprintf(text, sizeof text, "\"%.*s ...", STR_FMT(piece));
    text[n++] = '"';
    int want = json_validate(str_make(text, n), &want_err);
    str_t fill = str_from(filler);
    n = 0;
    text[n++] = '"';
    text[n++] = '\\'; // the large steps begin at the first escape
    text[n++] = 'n';
    for (size_t i = 0; i < before; i++)
        text[n++] = fill.p[i % fill.n];
    size_t at = n;
    memcpy(text + n, piece.p, piece.n);
    n += piece.n;
    n += (size_t)snprintf(text + n, sizeof text - n, " ...%0100d\" ", 0);
    tight = malloc(n);
    memcpy(tight, text, n);
    bool ok = CHECK_EQ_INT(json_validate(str_make(tight, n), &err), want);
    if (want != 0)
        ok = ok && CHECK_EQ_INT(err.at - at, want_err.at - 1) &&
             CHECK_EQ_STR(err.why, want_err.why);
    str_t raw = str_make(tight, n - 1), plain;
    arena_t a = {0};
    ok = ok && CHECK_EQ_INT(json_string(raw, &a, &plain), want);
    if (!ok)
        TEST_NOTE("%zu bytes of %s before \"%.*s\"", before, filler, STR_FMT(piece));
    arena_dispose(&a);
    free(tight);
}

TEST(long_strings_hold_what_short_ones_do)
{
    static const char *const PIECES[] = {
        "",
        "\\n",
        "\\\\",
        "\\\\\\\\\\n",
        "\\\\\\\"",
        "\\\"",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\uD8",
        "\\u12G4",
        "\\x",
        "\\\\\\x",
        "\\0",
        "\\ ",
        "\\U0041",
        "\x1f",
        "a\nb",
        "\t",
        "\x7f",
        "\xc3\xa9",
        "\xe2\x80\x94",
        "\xf0\x9f\x98\x80",
        "\xf4\x8f\xbf\xbf",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xc2",
        "\x80",
        "\xc3\xa9\xa9",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xe0\xa0\x80",
        "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xf8\x88\x80\x80\x80",
        "\xe2\x80",
        "\xf0\x9f\x98",
        "\xe2\x80\\n",
        "\\\xc3\xa9",
        "\xe2\x80\xe2\x80\x94",
        "\xc3\xa9\xe2\x80\x94\xf0\x9f\x98\x80\\\"\\u00e9\\\\",
    };
    static const char *const FILLERS[] = {
        "x", "\\\\", "\xc3\xa9", "\xe2\x80\x94", "\xf0\x9f\x98\x80", "\\u00e9"};
    for (size_t i = 0; i < sizeof PIECES / sizeof PIECES[0]; i++) {
        for (size_t j = 0; j < sizeof FILLERS / sizeof FILLERS[0]; j++) {
            size_t unit = strlen(FILLERS[j]);
            for (size_t before = 0; before < 140; before += unit)
                piece_in_long_string(str_from(PIECES[i]), before, FILLERS[j]);
        }
    }
}

// Every two bytes and every three with a lead in front, against the short string's answer.
TEST(long_strings_check_utf8_exhaustively)
{
    for (unsigned i = 0x80; i < 0x100; i++) {
        for (unsigned j = 0x70; j < 0x100; j++) {
            char two[] = {(char)i, (char)j}, three[] = {(char)i, (char)j, (char)0xbf};
            char four[] = {(char)i, (char)j, (char)0x80, (char)0xbf};
            piece_in_long_string(str_make(two, 2), 61, "x");
            piece_in_long_string(str_make(three, 3), 62, "x");
            piece_in_long_string(str_make(four, 4), 29, "x");
            piece_in_long_string(str_make(four, 4), 63, "x");
        }
    }
}

// The end of the text cuts a block, an escape or a character.
TEST(long_strings_without_end)
{
    char text[200] = "\"";
    json_error_t err;
    for (size_t n = 1; n + 6 < sizeof text;) {
        memcpy(text + n, n % 2 ? "\\u00e9" : "\xf0\x9f\x98\x80", n % 2 ? 6 : 4);
        for (size_t end = n + (n % 2 ? 6 : 4); n < end; n++) {
            char *tight = malloc(n);
            memcpy(tight, text, n);
            CHECK_EQ_INT(json_validate(str_make(tight, n), &err), -1);
            CHECK(err.at <= n);
            free(tight);
        }
    }
}

TEST(depth_is_bounded)
{
    char text[600];
    json_error_t err;
    arena_t a = {0};
    json_member_t *m;
    uint32_t n;
    for (size_t depth = 127; depth <= 130; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        CHECK_EQ_INT(json_validate(str_make(text, 2 * depth), &err), depth <= 128 ? 0 : -1);
        str_t object = arena_printf(&a, "{\"a\":%.*s}", (int)(2 * depth), text);
        CHECK_EQ_INT(json_validate(object, &err), depth <= 127 ? 0 : -1);
        CHECK_EQ_INT(json_object(object, &a, &m, &n, &err), depth <= 127 ? 0 : -1);
    }
    arena_dispose(&a);
}

TEST(numbers_of_any_length)
{
    size_t size = 1000000;
    char *text = malloc(size);
    json_error_t err;
    double d = 7;
    memset(text, '9', size);
    CHECK_EQ_INT(json_validate(str_make(text, size), &err), 0);
    CHECK_EQ_INT(json_number(str_make(text, size), &d), -1);
    memcpy(text, "0.", 2);
    CHECK_EQ_INT(json_number(str_make(text, size), &d), 0);
    CHECK(d == 1.0);
    memcpy(text, "1e", 2);
    d = 7;
    CHECK_EQ_INT(json_number(str_make(text, size), &d), -1);
    CHECK(d == 7);
    free(text);
}

TEST(number_values)
{
    static const struct {
        const char *text;
        double value;
    } CASES[] = {{"0", 0},
                 {"-0", 0},
                 {"1", 1},
                 {"-12.5", -12.5},
                 {"0.1", 0.1},
                 {"1e3", 1000},
                 {"2.5E-1", 0.25},
                 {"0.7", 0.7},
                 {"9007199254740993", 9007199254740992.0},
                 {"1e-400", 0},
                 {"123456.789012", 123456.789012},
                 {"1.7976931348623157e308", 1.7976931348623157e308}};
    double d;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        CHECK_EQ_INT(json_number(str_from(CASES[i].text), &d), 0);
        if (!CHECK(d == CASES[i].value))
            TEST_NOTE("%s", CASES[i].text);
    }
    const char *bad[] = {"",    "-",   "01",  "1.", ".5",    "+1",   "1e",
                         "0x1", "nan", "inf", "1 ", "\"1\"", "1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!CHECK_EQ_INT(json_number(str_from(bad[i]), &d), -1))
            TEST_NOTE("%s", bad[i]);
}

TEST(members_in_order)
{
    arena_t a = {0};
    json_member_t *m;
    uint32_t n;
    json_error_t err;
    CHECK_EQ_INT(
        json_object(
            STR(" {\"a\":1 , \"b\" : "
                "[1,[2,3],{}],\"c\":{\"x\":{},\"y\":[1,2]},\"d\":\"s\",\"\\u0065\":null,"
                "\"f\":true,\"g\":false,\"h\":[],\"i\":{}} \n"),
            &a, &m, &n, &err),
        0);
    static const struct {
        const char *key, *value;
        json_type_t type;
        uint32_t count;
    } WANT[] = {{"a", "1", JSON_NUMBER, 0},
                {"b", "[1,[2,3],{}]", JSON_ARRAY, 3},
                {"c", "{\"x\":{},\"y\":[1,2]}", JSON_OBJECT, 2},
                {"d", "\"s\"", JSON_STRING, 0},
                {"\\u0065", "null", JSON_NULL, 0},
                {"f", "true", JSON_TRUE, 0},
                {"g", "false", JSON_FALSE, 0},
                {"h", "[]", JSON_ARRAY, 0},
                {"i", "{}", JSON_OBJECT, 0}};
    if (!CHECK_EQ_INT(n, 9))
        return;
    for (uint32_t i = 0; i < n; i++) {
        CHECK_EQ_STR(m[i].key, WANT[i].key);
        CHECK_EQ_STR(m[i].value, WANT[i].value);
        CHECK_EQ_INT(m[i].type, WANT[i].type);
        CHECK_EQ_INT(m[i].count, WANT[i].count);
        CHECK_EQ_INT(m[i].key_escaped, i == 4);
        CHECK_EQ_INT(json_count(m[i].value), WANT[i].count);
    }
    arena_dispose(&a);
}

static const char *object_error(str_t text)
{
    arena_t a = {0};
    json_member_t *m;
    uint32_t n;
    json_error_t err = {0};
    int r = json_object(text, &a, &m, &n, &err);
    arena_dispose(&a);
    return r ? err.why : "";
}

TEST(objects_refused)
{
    CHECK_EQ_STR(object_error(STR("[1]")), "not an object");
    CHECK_EQ_STR(object_error(STR("")), "not an object");
    CHECK_EQ_STR(object_error((str_t){0}), "not an object");
    CHECK_EQ_STR(object_error(STR("{\"a\":1}{}")), "something after the value");
    CHECK_EQ_STR(object_error(STR("{\"a\":1,\"b\":2,\"a\":3}")), "duplicate key");
    CHECK_EQ_STR(object_error(STR("{\"a\":1,\"\\u0061\":3}")), "duplicate key");
    CHECK_EQ_STR(object_error(STR("{\"a\":1,}")), "no member name where one must be");
    CHECK_EQ_STR(object_error(STR("{}")), "");
}

TEST(duplicates_among_many_keys)
{
    buf_t text = {0};
    for (unsigned n = 15; n < 3000; n += n < 20 ? 1 : 700) {
        for (unsigned twice = 0; twice < 2; twice++) {
            buf_clear(&text);
            for (unsigned i = 0; i < n; i++)
                buf_printf(&text, "%c\"key%u\":%u", i ? ',' : '{',
                           twice && i == n - 1 ? n / 2 : i, i);
            buf_putc(&text, '}');
            CHECK_EQ_STR(object_error(buf_str(&text)), twice ? "duplicate key" : "");
        }
    }
    buf_clear(&text);
    for (unsigned i = 0; i < 65537; i++)
        buf_printf(&text, "%c\"%u\":0", i ? ',' : '{', i);
    buf_putc(&text, '}');
    CHECK_EQ_STR(object_error(buf_str(&text)), "too many members");
    buf_dispose(&text);
}

TEST(strings_unescaped)
{
    static const struct {
        const char *raw, *text;
    } CASES[] = {{"\"\"", ""},
                 {"\"plain\"", "plain"},
                 {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz"},
                 {"\"\\u0041\\u00e9\\u4f60\"", "A\xc3\xa9\xe4\xbd\xa0"},
                 {"\"\\ud83d\\uDE00\"", "\xf0\x9f\x98\x80"},
                 {"\"\\ud83d\"", "\xef\xbf\xbd"},
                 {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
                 {"\"\\ude00\"", "\xef\xbf\xbd"},
                 {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
                 {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                                        "A"},
                 {"\"\xe4\xbd\xa0\"", "\xe4\xbd\xa0"}};
    arena_t a = {0};
    str_t out;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        CHECK_EQ_INT(json_string(str_from(CASES[i].raw), &a, &out), 0);
        CHECK_EQ_STR(out, CASES[i].text);
    }
    CHECK_EQ_INT(json_string(STR("\"\\u0000\""), &a, &out), 0);
    CHECK_EQ_STR(out, str_make("\0", 1));
    const char *bad[] = {"",       "x",       "\"",        "\"a", "a\"",
                         "\"a\"b", "\"\\x\"", "\"\\u12\"", "1",   "\"\x01\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQ_INT(json_string(str_from(bad[i]), &a, &out), -1);
    arena_dispose(&a);
}

TEST(get_and_next)
{
    str_t out = {0}, rest = STR("[ {\"a\":1} , \"x,]\",[] ,3]");
    CHECK(json_get(STR("{\"x\":{\"a\":0},\"b\\u0061\":[1], \"a\":2}"), STR("a"), &out));
    CHECK_EQ_STR(out, "2");
    CHECK(json_get(STR("{\"x\":1,\"b\\u0061\":[1]}"), STR("ba"), &out));
    CHECK_EQ_STR(out, "[1]");
    CHECK(!json_get(STR("{\"x\":1}"), STR("y"), &out));
    CHECK(!json_get(STR("{}"), STR(""), &out));
    CHECK(!json_get(STR("[]"), STR("y"), &out));
    CHECK(!json_get((str_t){0}, STR("y"), &out));
    const char *want[] = {"{\"a\":1}", "\"x,]\"", "[]", "3"};
    for (size_t i = 0; i < 4; i++) {
        CHECK(json_next(&rest, &out));
        CHECK_EQ_STR(out, want[i]);
    }
    CHECK(!json_next(&rest, &out));
    rest = STR("[]");
    CHECK(!json_next(&rest, &out));
    rest = STR("{}");
    CHECK(!json_next(&rest, &out));
}

// Applies "name=raw" (set) and "-name" (remove) edits, separated by blanks, to `text`.
static void check_edits(const char *text, const char *edits, const char *want)
{
    arena_t a = {0};
    json_doc_t d;
    json_error_t err;
    buf_t out = {0};
    str_t slices[64];
    size_t total, n = 0;
    CHECK_EQ_INT(json_doc_open(&d, &a, str_from(text), &err), 0);
    for (str_t rest = str_from(edits); rest.n;) {
        ptrdiff_t blank = str_chr(rest, ' ');
        str_t edit = blank < 0 ? rest : str_make(rest.p, (size_t)blank);
        rest = str_from_at(rest, edit.n + 1);
        ptrdiff_t mark = str_chr(edit, '=');
        if (mark < 0)
            json_doc_remove(&d, &a, str_from_at(edit, 1));
        else
            json_doc_set(&d, &a, str_make(edit.p, (size_t)mark),
                         str_from_at(edit, (size_t)mark + 1));
    }
    CHECK(json_doc_max_slices(&d) <= 64);
    uint32_t count = json_doc_slices(&d, slices, &total);
    CHECK(count <= json_doc_max_slices(&d));
    for (uint32_t i = 0; i < count; i++) {
        buf_append(&out, slices[i]);
        n += slices[i].n;
    }
    CHECK_EQ_INT(n, total);
    CHECK_EQ_STR(buf_str(&out), want);
    if (!*edits)
        CHECK_EQ_INT(count, 1);
    buf_dispose(&out);
    arena_dispose(&a);
}

TEST(edits)
{
    check_edits(" { \"a\" : 1 } ", "", " { \"a\" : 1 } ");
    check_edits("{\"a\":1,\"b\":2}", "a=9", "{\"a\":9,\"b\":2}");
    check_edits("{ \"a\": 1, \"b\": 2 }", "b=[] a={}", "{ \"a\": {}, \"b\": [] }");
    check_edits("{\"a\":1}", "b=2 c=3 b=4", "{\"a\":1,\"b\":4,\"c\":3}");
    check_edits("{}", "b=2 c=3", "{\"b\":2,\"c\":3}");
    check_edits("{ }", "", "{ }");
    check_edits("{\"a\":1,\"b\":2,\"c\":3}", "-a", "{\"b\":2,\"c\":3}");
    check_edits("{\"a\":1,\"b\":2,\"c\":3}", "-b", "{\"a\":1,\"c\":3}");
    check_edits("{\"a\":1,\"b\":2,\"c\":3}", "-c", "{\"a\":1,\"b\":2}");
    check_edits("{\"a\":1,\"b\":2,\"c\":3}", "-a -b -c", "{}");
    check_edits("{\"a\":1,\"b\":2,\"c\":3}", "-a -b -c d=1", "{\"d\":1}");
    check_edits("{\"a\":1,\"b\":2,\"c\":3}", "-a -c b=7", "{\"b\":7}");
    check_edits("{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "-b -c", "{\"a\":1,\"d\":4}");
    check_edits("{\"a\":1}", "-a a=2", "{\"a\":2}");
    check_edits("{\"a\":1}", "a=2 -a", "{}");
    check_edits("{\"a\":1}", "b=2 -b -z", "{\"a\":1}");
    check_edits("{\"a\":1}", "b=2 -b b=3", "{\"a\":1,\"b\":3}");
    check_edits("{\"\\u0061\":1}", "a=2", "{\"\\u0061\":2}");
    check_edits("{\"a\":\"}\"}\n", "b=\"}\"", "{\"a\":\"}\",\"b\":\"}\"}\n");
}

TEST(edits_show_in_get_and_bad_ones_are_refused)
{
    arena_t a = {0};
    json_doc_t d;
    json_error_t err;
    str_t raw = {0};
    CHECK_EQ_INT(json_doc_open(&d, &a, STR("{\"a\":1,\"b\":2}"), &err), 0);
    CHECK_EQ_INT(json_doc_set(&d, &a, STR("a"), STR(" [3] ")), 0);
    CHECK_EQ_INT(json_doc_set(&d, &a, STR("c"), STR("\"x\"")), 0);
    json_doc_remove(&d, &a, STR("b"));
    CHECK(json_doc_get(&d, STR("a"), &raw));
    CHECK_EQ_STR(raw, "[3]");
    CHECK(json_doc_get(&d, STR("c"), &raw));
    CHECK_EQ_STR(raw, "\"x\"");
    CHECK(!json_doc_get(&d, STR("b"), &raw));
    CHECK(!json_doc_get(&d, STR("z"), &raw));
    const char *bad[] = {"", " ", "1,\"x\":2", "1}", "{", "tru", "\"", "01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQ_INT(json_doc_set(&d, &a, STR("a"), str_from(bad[i])), -1);
    CHECK_EQ_INT(json_doc_set(&d, &a, STR("a\"b"), STR("1")), -1);
    CHECK_EQ_INT(json_doc_set(&d, &a, STR("a\\"), STR("1")), -1);
    CHECK_EQ_INT(json_doc_set(&d, &a, STR("\xc3\xa9"), STR("1")), -1);
    CHECK_EQ_INT(json_doc_set(&d, &a, str_make("a\0b", 3), STR("1")), -1);
    CHECK(json_doc_get(&d, STR("a"), &raw));
    CHECK_EQ_STR(raw, "[3]");
    arena_dispose(&a);
}

TEST(doc_finds_members)
{
    arena_t a = {0};
    json_doc_t d;
    json_error_t err;
    CHECK_EQ_INT(json_doc_open(&d, &a, STR("{\"mo\\u0064el\":\"gpt\",\"stream\":true}"), &err),
                 0);
    CHECK_EQ_STR(json_doc_find(&d, STR("model"))->value, "\"gpt\"");
    CHECK_EQ_INT(json_doc_find(&d, STR("stream"))->type, JSON_TRUE);
    CHECK(json_doc_find(&d, STR("Model")) == NULL);
    CHECK_EQ_INT(json_doc_open(&d, &a, STR("[]"), &err), -1);
    arena_dispose(&a);
}

TEST(white_space_and_words)
{
    CHECK(valid(" \t\r\n[ ] \n"));
    CHECK(!valid("\xef\xbb\xbf{}"));
    CHECK(!valid("\f1"));
    CHECK(!valid("truex"));
    CHECK(!valid("tru"));
    CHECK(!valid(""));
    CHECK(!valid("[1 2]"));
    CHECK(!valid("{\"a\" 1}"));
    CHECK(!valid("[1}"));
}

// Field lines: the perfect hash, adding, setting, removing, finding, and what may stand in
// names and values.
#include "http/header.h"

#include "test.h"

static void print_table(void)
{
    fprintf(stderr, "static const uint8_t BY_HASH[256] = {\n");
    for (unsigned h = 0; h < 256; h++) {
        for (int id = 1; id < HDR_COUNT; id++) {
            if (hdr_hash(hdr_name((hdr_id_t)id)) == h)
                fprintf(stderr, "    [%u] = %d /* %s */,\n", h, id, hdr_name((hdr_id_t)id).p);
        }
    }
    fprintf(stderr, "};\n");
}

TEST(lookup_finds_every_known_name)
{
    int missing = 0;
    for (int id = 1; id < HDR_COUNT; id++) {
        str_t name = hdr_name((hdr_id_t)id);
        char upper[64], lower[64];
        for (size_t i = 0; i < name.n; i++) {
            lower[i] = ascii_lower(name.p[i]);
            upper[i] = lower[i] >= 'a' && lower[i] <= 'z' ? (char)(lower[i] - 32) : lower[i];
        }
        missing += !CHECK_EQ_INT(hdr_lookup(name), id);
        missing += !CHECK_EQ_INT(hdr_lookup(str_make(upper, name.n)), id);
        missing += !CHECK_EQ_INT(hdr_lookup(str_make(lower, name.n)), id);
    }
    if (missing)
        print_table();
}

TEST(known_names_are_letters_and_dashes)
{
    for (int id = 1; id < HDR_COUNT; id++) {
        str_t name = hdr_name((hdr_id_t)id);
        CHECK(name.n >= 2);
        for (size_t i = 0; i < name.n; i++) {
            char c = ascii_lower(name.p[i]);
            CHECK((c >= 'a' && c <= 'z') || c == '-');
        }
    }
}

TEST(lookup_refuses_every_name_with_one_byte_changed)
{
    for (int id = 1; id < HDR_COUNT; id++) {
        str_t name = hdr_name((hdr_id_t)id);
        char copy[64];
        for (size_t i = 0; i < name.n; i++) {
            for (unsigned c = 0; c < 256; c++) {
                memcpy(copy, name.p, name.n);
                copy[i] = (char)c;
                str_t changed = str_make(copy, name.n);
                if (!str_ieq(changed, name))
                    CHECK(hdr_lookup(changed) != (hdr_id_t)id);
            }
        }
    }
    CHECK_EQ_INT(hdr_lookup(STR("")), HDR_OTHER);
    CHECK_EQ_INT(hdr_lookup(STR("x")), HDR_OTHER);
    CHECK_EQ_INT(hdr_lookup(STR("X-Unknown")), HDR_OTHER);
}

TEST(add_keeps_order_and_grows)
{
    arena_t a = {0};
    headers_t h = {0};
    for (int i = 0; i < 100; i++)
        headers_add(&h, &a, HDR_OTHER, arena_printf(&a, "n%d", i), arena_printf(&a, "v%d", i));
    CHECK_EQ_INT(h.n, 100);
    CHECK_EQ_STR(h.v[99].value, "v99");
    CHECK_EQ_STR(headers_find(&h, HDR_OTHER, STR("N42"), 0)->value, "v42");
    CHECK(headers_find(&h, HDR_OTHER, STR("n42"), 43) == NULL);
    arena_dispose(&a);
}

TEST(set_replaces_all_lines_in_the_place_of_the_first)
{
    arena_t a = {0};
    headers_t h = {0};
    headers_add(&h, &a, HDR_VIA, STR("via"), STR("1"));
    headers_add(&h, &a, HDR_HOST, STR("Host"), STR("h"));
    headers_add(&h, &a, HDR_VIA, STR("Via"), STR("2"));
    headers_set(&h, &a, HDR_VIA, (str_t){0}, STR("3"));
    headers_set(&h, &a, HDR_SERVER, (str_t){0}, STR("s"));
    CHECK_EQ_STR(headers_get(&h, HDR_VIA), "3");
    CHECK(headers_find(&h, HDR_VIA, (str_t){0}, 0) == &h.v[0]);
    CHECK(headers_find(&h, HDR_VIA, (str_t){0}, 1) == NULL);
    CHECK_EQ_STR(h.v[0].name, "Via");
    CHECK_EQ_STR(headers_get(&h, HDR_SERVER), "s");
    arena_dispose(&a);
}

TEST(remove_marks_every_line)
{
    arena_t a = {0};
    headers_t h = {0};
    headers_add(&h, &a, HDR_OTHER, STR("X-A"), STR("1"));
    headers_add(&h, &a, HDR_OTHER, STR("x-a"), STR("2"));
    headers_add(&h, &a, HDR_OTHER, STR("x-b"), STR("3"));
    CHECK_EQ_INT(headers_remove(&h, HDR_OTHER, STR("X-a")), 2);
    CHECK_EQ_INT(headers_remove(&h, HDR_OTHER, STR("X-a")), 0);
    CHECK(headers_find(&h, HDR_OTHER, STR("x-a"), 0) == NULL);
    CHECK_EQ_STR(headers_find(&h, HDR_OTHER, STR("x-b"), 0)->value, "3");
    CHECK(headers_get(&h, HDR_HOST).p == NULL);
    arena_dispose(&a);
}

TEST(names_are_tokens)
{
    const char *tokens = "!#$%&'*+-.^_`|~0123456789ABCZabcz";
    for (unsigned c = 0; c < 256; c++) {
        char byte = (char)c;
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        CHECK_EQ_INT(header_name_valid(str_make(&byte, 1)),
                     c != 0 && (letter || strchr(tokens, byte) != NULL));
    }
    CHECK(!header_name_valid(STR("")));
    CHECK(!header_name_valid(STR("a b")));
}

TEST(values_hold_no_control_bytes_wherever_they_stand)
{
    char text[40];
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 'v', sizeof text);
            text[at] = (char)c;
            bool valid = c == '\t' || (c >= 0x20 && c != 0x7f);
            CHECK_EQ_INT(header_value_valid(str_make(text, sizeof text)), valid);
        }
    }
    CHECK(header_value_valid((str_t){0}));
}

TEST(cookies_are_found_in_every_line_by_their_whole_name)
{
    static const struct {
        const char *name, *want; // NULL: not there
    } CASES[] = {
        {"a", "1"},   {"b", "two words"}, {"sid", "x=y"}, {"late", "yes"}, {"empty", ""},
        {"si", NULL}, {"id", NULL},       {"flag", NULL}, {"A", NULL},     {"", NULL},
    };
    arena_t arena;
    headers_t h = {0};
    arena_init(&arena);
    headers_add(&h, &arena, HDR_COOKIE, STR(""),
                STR("a=1; b=\"two words\";sid=x=y ; flag; ;empty=; a=2"));
    headers_add(&h, &arena, HDR_ACCEPT, STR(""), STR("late=no"));
    headers_add(&h, &arena, HDR_COOKIE, STR(""), STR("late=yes"));
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        str_t value = STR("untouched");
        bool found = headers_cookie(&h, str_from(CASES[i].name), &value);
        CHECK_EQ_INT(found, CASES[i].want != NULL);
        CHECK_EQ_STR(value, CASES[i].want ? CASES[i].want : "untouched");
    }
    arena_dispose(&arena);
}

// Paths in their one normal form, queries, URLs.
#include "http/uri.h"

#include "test.h"

static void check_path(const char *raw, const char *want)
{
    arena_t a = {0};
    str_t out, again;
    const char *why = NULL;
    if (CHECK_EQ_INT(uri_normalize_path(&a, str_from(raw), &out, &why), 0)) {
        if (!CHECK_EQ_STR(out, want))
            TEST_NOTE("of %s", raw);
        CHECK_EQ_INT(uri_normalize_path(&a, out, &again, &why), 0);
        CHECK(again.p == out.p && again.n == out.n);
    } else {
        TEST_NOTE("%s: %s", raw, why);
    }
    arena_dispose(&a);
}

static void check_refused(const char *raw)
{
    arena_t a = {0};
    str_t out;
    const char *why = NULL;
    if (!CHECK_EQ_INT(uri_normalize_path(&a, str_from(raw), &out, &why), -1))
        TEST_NOTE("%s", raw);
    CHECK(why != NULL);
    arena_dispose(&a);
}

TEST(normal_paths_are_returned_as_they_are)
{
    const char *paths[] = {"/",        "/a",
                           "/a/b/",    "/a.b/c..d/...",
                           "/a;x=1/b", "/:@!$&'()*+,;=-._~",
                           "*",        "/%E4%BD%A0%20x"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        arena_t a = {0};
        str_t out;
        const char *why;
        CHECK_EQ_INT(uri_normalize_path(&a, str_from(paths[i]), &out, &why), 0);
        if (!CHECK(out.p == paths[i]))
            TEST_NOTE("%s", paths[i]);
        arena_dispose(&a);
    }
}

TEST(triplets)
{
    check_path("/%41%7a%30%2D%2e%5F%7E", "/Az0-._~");
    check_path("/a%3ab%c3%a9", "/a%3Ab%C3%A9");
    check_path("/%25%32%66", "/%252f");
    check_path("/%252e%252e/x", "/%252e%252e/x");
    check_path("/a%20b%3Fc%23d", "/a%20b%3Fc%23d");
    check_path("/%0a%7f", "/%0A%7F");
}

TEST(dot_segments)
{
    check_path("/a/./b", "/a/b");
    check_path("/a/../b", "/b");
    check_path("/a/b/..", "/a/");
    check_path("/a/b/.", "/a/b/");
    check_path("/a/b/../", "/a/");
    check_path("/..", "/");
    check_path("/../../a", "/a");
    check_path("/a/../../../b/./c/..", "/b/");
    check_path("/a/%2e%2E/b", "/b");
    check_path("/a/.%2e/b", "/b");
    check_path("/a/%2e/b", "/a/b");
    check_path("/...", "/...");
    check_path("/.a/..b", "/.a/..b");
    check_path("/.", "/");
}

TEST(dot_segments_with_parameters)
{
    check_path("/a/..;/admin", "/admin");
    check_path("/a/..;x=1;y/admin", "/admin");
    check_path("/a/.;x/b", "/a/b");
    check_path("/a/%2e%2e;x/b", "/b");
    check_path("/a/b;x/../c", "/a/c");
    check_path("/a/..;", "/");
    check_path("/a;..", "/a;..");
}

TEST(slashes_merge)
{
    check_path("//", "/");
    check_path("//a///b//", "/a/b/");
    check_path("/a//../b", "/b");
    check_path("/a/..//b", "/b");
}

TEST(refused_paths)
{
    const char *paths[] = {"",
                           "a",
                           "a/b",
                           "**",
                           "*a",
                           "/a b",
                           "/a\\b",
                           "/a#b",
                           "/a?b",
                           "/\x01",
                           "/a\tb",
                           "/\x7f",
                           "/\xc3\xa9",
                           "/a\"",
                           "/<",
                           "/>",
                           "/a^",
                           "/`",
                           "/{a}",
                           "/a|b",
                           "/[",
                           "/a%2fb",
                           "/a%2Fb",
                           "/%5c",
                           "/%5C..",
                           "/%00",
                           "/%",
                           "/%4",
                           "/%4g",
                           "/%g4",
                           "/a%%41",
                           "/%zz",
                           "/%c0%af",
                           "/%C0%AE%c0%ae/",
                           "/%c1%9c",
                           "/%e0%80%af",
                           "/%f0%80%80%af"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        check_refused(paths[i]);
    arena_t a = {0};
    str_t out;
    const char *why;
    CHECK_EQ_INT(uri_normalize_path(&a, str_make("/a\0b", 4), &out, &why), -1);
    CHECK_EQ_INT(uri_normalize_path(&a, (str_t){0}, &out, &why), -1);
    arena_dispose(&a);
}

TEST(unescape_decodes_what_is_a_triplet)
{
    char text[] = "a%20b%2Fc%zz%4+%";
    size_t n = uri_unescape(text, STR("a%20b%2Fc%zz%4+%"));
    CHECK_EQ_STR(str_make(text, n), "a b/c%zz%4+%");
    n = uri_unescape(text, str_make(text, n));
    CHECK_EQ_STR(str_make(text, n), "a b/c%zz%4+%");
    CHECK_EQ_INT(uri_unescape(text, STR("")), 0);
}

TEST(query_pairs_in_order)
{
    str_t rest = STR("a=1&b&&c=&=d&e=f=g&"), name, value;
    bool bare;
    const char *want[][3] = {
        {"a", "1", ""}, {"b", "", "bare"}, {"c", "", ""}, {"", "d", ""}, {"e", "f=g", ""}};
    for (size_t i = 0; i < 5; i++) {
        if (!CHECK(query_next(&rest, &name, &value, &bare)))
            return;
        CHECK_EQ_STR(name, want[i][0]);
        CHECK_EQ_STR(value, want[i][1]);
        CHECK_EQ_INT(bare, want[i][2][0] != 0);
    }
    CHECK(!query_next(&rest, &name, &value, &bare));
}

TEST(query_get_compares_unescaped_names)
{
    str_t value;
    bool bare;
    CHECK(query_get(STR("x=1&api%6bey=s%20k"), STR("apikey"), &value, &bare));
    CHECK_EQ_STR(value, "s%20k");
    CHECK(!bare);
    CHECK(query_get(STR("a+b=1"), STR("a b"), &value, NULL));
    CHECK(query_get(STR("a&a=2"), STR("a"), &value, &bare));
    CHECK(bare);
    CHECK(!query_get(STR("ab=1&A=1"), STR("a"), &value, &bare));
    CHECK(!query_get((str_t){0}, STR("a"), &value, &bare));
}

TEST(urls)
{
    url_t u;
    CHECK_EQ_INT(url_parse(STR("https://api.example.com:8443/v1/x?a=b?c"), &u), 0);
    CHECK_EQ_STR(u.scheme, "https");
    CHECK_EQ_STR(u.host, "api.example.com");
    CHECK_EQ_INT(u.port, 8443);
    CHECK_EQ_STR(u.path, "/v1/x");
    CHECK_EQ_STR(u.query, "a=b?c");
    CHECK_EQ_INT(url_parse(STR("HTTP://h"), &u), 0);
    CHECK_EQ_INT(u.port, 80);
    CHECK_EQ_STR(u.path, "");
    CHECK(u.query.p == NULL);
    CHECK_EQ_INT(url_parse(STR("https://[::1]?q"), &u), 0);
    CHECK_EQ_STR(u.host, "[::1]");
    CHECK_EQ_INT(u.port, 443);
    CHECK_EQ_STR(u.query, "q");
}

TEST(bad_urls)
{
    const char *urls[] = {"",
                          "h",
                          "http:",
                          "http:/h",
                          "http://",
                          "http:///x",
                          "ftp://h",
                          "//h",
                          "http://u@h/",
                          "http://u:p@h",
                          "http://h:0",
                          "http://h:65536",
                          "http://h:",
                          "http://h:8x",
                          "http://h#f",
                          "http://h/#f",
                          "http://h/ x",
                          "http://[::1",
                          "http://[::g]",
                          "http://[fe80::1%25eth0]",
                          "http://h\\x",
                          "http://a,b",
                          "http://h\x7f",
                          "http://\xc3\xa9",
                          "http://a..b",
                          "http://.a",
                          "http://[::1]x",
                          "http://%41"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        url_t u = {.port = 7};
        if (!CHECK_EQ_INT(url_parse(str_from(urls[i]), &u), -1))
            TEST_NOTE("%s", urls[i]);
        CHECK_EQ_INT(u.port, 7);
    }
}

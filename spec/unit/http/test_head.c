// Heads: what is accepted and what it means, what is refused and with which status, and llhttp
// as second opinion.
#include "http/head.h"

#include <llhttp.h>

#include "cases.h"
#include "oracle.h"
#include "test.h"

static const head_limits_t LIMITS = {
    .head_max_bytes = 16384, .target_max_bytes = 8192, .fields_max = 100};

// A request parsed from a copy without a byte behind it. Returns the status; *r lives until
// request_end.
static char *copy_of_head;
static arena_t arena;

static void request_end(void)
{
    free(copy_of_head);
    copy_of_head = NULL;
    arena_dispose(&arena);
}

static char *tight_copy(str_t text)
{
    request_end();
    copy_of_head = malloc(text.n ? text.n : 1);
    memcpy(copy_of_head, text.p, text.n);
    return copy_of_head;
}

static int parse(const char *text, request_head_t *r)
{
    const char *why = NULL, *p = tight_copy(str_from(text));
    int status = request_head_parse(r, &arena, p, strlen(text), &LIMITS, &why);
    CHECK((status == HEAD_OK) == (why == NULL));
    if (status == HEAD_OK && r->headers.n == 0)
        CHECK(r->minor == 0);
    const char *differs = status ? NULL : oracle_request_differs(r, p, strlen(text));
    if (!CHECK(differs == NULL))
        TEST_NOTE("llhttp differs in %s: %s", differs, text);
    return status;
}

static void check_status(int want, const char *text)
{
    request_head_t r;
    if (!CHECK_EQ_INT(parse(text, &r), want))
        TEST_NOTE("%s", text);
    request_end();
}

// A GET for / on 1.1 with Host and these field lines.
static void check_fields(int want, const char *lines)
{
    char text[2048];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
    check_status(want, text);
}

TEST(a_usual_request)
{
    request_head_t r;
    CHECK_EQ_INT(parse("POST /v1/chat?x=1&y HTTP/1.1\r\nHost: "
                       "API.Example.com:8443\r\ncontent-length: 12\r\n"
                       "X-Custom:\t v a l \t\r\nEmpty:\r\nExpect: 100-Continue\r\n\r\n",
                       &r),
                 HEAD_OK);
    CHECK_EQ_INT(r.method, METHOD_POST);
    CHECK_EQ_STR(r.method_name, "POST");
    CHECK_EQ_STR(r.target, "/v1/chat?x=1&y");
    CHECK_EQ_STR(r.raw_path, "/v1/chat");
    CHECK_EQ_STR(r.query, "x=1&y");
    CHECK_EQ_STR(r.host, "api.example.com");
    CHECK_EQ_INT(r.port, 8443);
    CHECK_EQ_INT(r.minor, 1);
    CHECK(r.keep_alive && r.expect_continue && !r.upgrade);
    CHECK_EQ_INT(r.body, BODY_LENGTH);
    CHECK_EQ_INT(r.content_length, 12);
    CHECK_EQ_INT(r.headers.n, 5);
    CHECK_EQ_INT(r.headers.v[1].id, HDR_CONTENT_LENGTH);
    CHECK_EQ_STR(headers_find(&r.headers, HDR_OTHER, STR("x-custom"), 0)->value, "v a l");
    CHECK_EQ_STR(headers_find(&r.headers, HDR_OTHER, STR("empty"), 0)->value, "");
    request_end();
}

TEST(methods)
{
    static const struct {
        const char *name;
        int number;
    } METHODS[] = {
        {"GET", METHOD_GET},         {"HEAD", METHOD_HEAD},     {"POST", METHOD_POST},
        {"PUT", METHOD_PUT},         {"DELETE", METHOD_DELETE}, {"PATCH", METHOD_PATCH},
        {"OPTIONS", METHOD_OPTIONS}, {"get", METHOD_OTHER},     {"PROPFIND", METHOD_OTHER},
        {"X-!y", METHOD_OTHER},      {"GETS", METHOD_OTHER}};
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++) {
        char text[100];
        request_head_t r;
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: h\r\n\r\n", METHODS[i].name);
        if (CHECK_EQ_INT(parse(text, &r), HEAD_OK))
            CHECK_EQ_INT(r.method, METHODS[i].number);
        request_end();
    }
    check_status(405, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    check_status(405, "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "G@T / HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, " GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "G\xc3\x89T / HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST(request_lines_refused)
{
    check_status(400, "\r\n\r\n");
    check_status(400, "GET\r\n\r\n");
    check_status(400, "GET /\r\n\r\n");
    check_status(400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET /  HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n");
    check_status(400, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1.1\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1.1\rHost: h\r\n\r\n");
    check_status(400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET a HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "OPTIONS ** HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET ?a HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST(targets_are_checked_at_every_alignment)
{
    char text[100];
    request_head_t r;
    const char *why;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 1; at < 40; at++) {
            memcpy(text, "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx HTTP/1.0\r\n\r\n", 59);
            text[4 + at] = (char)c;
            int want = c > 0x20 && c < 0x7f && c != '#' ? 0 : 400;
            int got =
                request_head_parse(&r, &arena, text, strlen("GET /") + 40 + 13, &LIMITS, &why);
            if (!CHECK_EQ_INT(got, want))
                TEST_NOTE("byte %u at %zu", c, at);
        }
    }
    request_end();
}

TEST(versions)
{
    check_status(505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n");
    check_status(505, "PRI * HTTP/2.0\r\n\r\n");
    check_status(505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n");
    check_status(505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/11.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1.10\r\nHost: h\r\n\r\n");
    check_status(400, "GET / http/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1,1\r\nHost: h\r\n\r\n");
    check_status(400, "GET / ICY/1.1\r\nHost: h\r\n\r\n");
}

TEST(target_forms)
{
    request_head_t r;
    CHECK_EQ_INT(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_STR(r.raw_path, "*");
    CHECK(r.query.p == NULL);
    CHECK_EQ_INT(parse("GET http://H.x/p?q HTTP/1.1\r\nHost: h.X\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_STR(r.raw_path, "/p");
    CHECK_EQ_STR(r.query, "q");
    CHECK_EQ_STR(r.host, "h.x");
    CHECK_EQ_INT(parse("GET HTTPS://h:8443?q HTTP/1.1\r\nHost: h:8443\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_STR(r.raw_path, "/");
    CHECK_EQ_STR(r.query, "q");
    CHECK_EQ_INT(r.port, 8443);
    CHECK_EQ_INT(parse("GET http://h HTTP/1.1\r\nHost: h:80\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_STR(r.raw_path, "/");
    CHECK_EQ_INT(parse("GET http://h/ HTTP/1.0\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_STR(r.host, "h");
    CHECK_EQ_INT(parse("GET /? HTTP/1.1\r\nHost: h\r\n\r\n", &r), HEAD_OK);
    CHECK(r.query.p != NULL && r.query.n == 0);
    CHECK_EQ_INT(parse("GET //x/../y%2f HTTP/1.1\r\nHost: h\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_STR(r.raw_path, "//x/../y%2f");
    request_end();
    check_status(400, "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET http://h:81/ HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET https://h/ HTTP/1.1\r\nHost: h:80\r\n\r\n");
    check_status(400, "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET http:/// HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET http://h/ HTTP/1.1\r\n\r\n");
    check_status(400, "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n");
    check_status(400, "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n");
}

TEST(hosts)
{
    static const struct {
        const char *text, *host;
        int port;
    } GOOD[] = {{"h", "h", 0},
                {"A-b.C_d~9:1", "a-b.c_d~9", 1},
                {"127.0.0.1:65535", "127.0.0.1", 65535},
                {"[::1]", "[::1]", 0},
                {"[2001:DB8::A]:80", "[2001:db8::a]", 80},
                {"h.x.", "h.x", 0}};
    static const char *const BAD[] = {"",
                                      "a b",
                                      "a,b",
                                      "a/b",
                                      "a?b",
                                      "a#b",
                                      "u@h",
                                      "a\\b",
                                      "a%41",
                                      "a*",
                                      "h:",
                                      "h:0",
                                      "h:65536",
                                      "h:000080",
                                      "h:+1",
                                      "h:8a",
                                      "h:80:80",
                                      ":80",
                                      "[::1",
                                      "::1",
                                      "[]",
                                      "[::g]",
                                      "[fe80::1%eth0]",
                                      "[::1]x",
                                      "[::1]:",
                                      ".h",
                                      "a..b",
                                      "h..",
                                      ".",
                                      "..",
                                      "\xc3\xa9",
                                      "h\x7f",
                                      "[127.0.0.1]"};
    char text[200];
    request_head_t r;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", GOOD[i].text);
        CHECK_EQ_INT(parse(text, &r), HEAD_OK);
        CHECK_EQ_STR(r.host, GOOD[i].host);
        CHECK_EQ_INT(r.port, GOOD[i].port);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", BAD[i]);
        check_status(400, text);
    }
    check_status(400, "GET / HTTP/1.1\r\n\r\n");
    check_status(400, "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n");
    check_status(400, "GET / HTTP/1.0\r\nHost: h\r\nhost: h\r\n\r\n");
    CHECK_EQ_INT(parse("GET / HTTP/1.0\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_INT(r.host.n, 0);
    request_end();
}

TEST(field_lines_refused)
{
    check_fields(0, "A: b\r\n");
    check_fields(400, "A: b\r\n folded\r\n");
    check_fields(400, "A: b\r\n\tfolded\r\n");
    check_fields(400, " A: b\r\n");
    check_fields(400, "A : b\r\n");
    check_fields(400, "A\t: b\r\n");
    check_fields(400, ": b\r\n");
    check_fields(400, "A\r\n");
    check_fields(400, "A b\r\n");
    check_fields(400, "A: b\n");
    check_fields(400, "A: b\nC: d\r\n");
    check_fields(400, "A: b\rC: d\r\n");
    check_fields(400, "A: b\r\r\n");
    check_fields(400, "A: \x01\r\n");
    check_fields(400, "A: \x7f\r\n");
    check_fields(400, "A: \x1b[0m\r\n");
    check_fields(400, "A\x80: b\r\n");
    check_fields(400, "A(: b\r\n");
    check_fields(400, "A\x01: b\r\n");
    check_fields(0, "A: \xc3\xa9\x80\xff\t~\r\n");
    request_head_t r;
    const char *why;
    str_t nul = STR("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n");
    CHECK_EQ_INT(request_head_parse(&r, &arena, nul.p, nul.n, &LIMITS, &why), 400);
    nul = STR("GET / HTTP/1.1\r\nHost: h\r\nA\0: bc\r\n\r\n");
    CHECK_EQ_INT(request_head_parse(&r, &arena, nul.p, nul.n, &LIMITS, &why), 400);
    request_end();
}

TEST(heads_cut_or_with_bare_line_ends_are_refused_whole)
{
    str_t whole = STR("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX: y\r\n\r\n");
    request_head_t r;
    const char *why;
    for (size_t n = 0; n < whole.n; n++) {
        char *p = tight_copy(str_make(whole.p, n));
        CHECK_EQ_INT(request_head_parse(&r, &arena, p, n, &LIMITS, &why), 400);
    }
    check_status(400, "GET / HTTP/1.1\nHost: h\n\n");
    check_status(400, "GET / HTTP/1.1\r\nHost: h\r\n\n");
    check_status(400, "GET / HTTP/1.1\r\nHost: h\n\r\n");
    check_status(400, "GET / HTTP/1.1\r\nHost: h\r\n\r\nX: y\r\n\r\n");
    request_end();
}

TEST(request_framing)
{
    check_fields(0, "Transfer-Encoding: chunked\r\n");
    check_fields(0, "transfer-encoding:CHUNKED \r\n");
    check_fields(400, "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n");
    check_fields(400, "Content-Length: 1\r\nTransfer-Encoding: identity\r\n");
    check_fields(400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n");
    check_fields(400, "Transfer-Encoding: chunked, chunked\r\n");
    check_fields(400, "Transfer-Encoding:\r\n");
    check_fields(501, "Transfer-Encoding: gzip\r\n");
    check_fields(501, "Transfer-Encoding: gzip, chunked\r\n");
    check_fields(501, "Transfer-Encoding: identity\r\n");
    check_fields(501, "Transfer-Encoding: xchunked\r\n");
    check_fields(501, "Transfer-Encoding: chunked;q=1\r\n");
    check_fields(501, "Transfer-Encoding: \"chunked\"\r\n");
    check_status(400, "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    check_fields(0, "Content-Length: 0\r\n");
    check_fields(0, "Content-Length: 9223372036854775807\r\n");
    check_fields(400, "Content-Length: 9223372036854775808\r\n");
    check_fields(400, "Content-Length: 18446744073709551615\r\n");
    check_fields(400, "Content-Length: 18446744073709551617\r\n");
    check_fields(400, "Content-Length: 1\r\nContent-Length: 1\r\n");
    check_fields(400, "Content-Length: 1\r\nContent-Length: 2\r\n");
    const char *bad[] = {"", "+1", "-1", "1,1", "1, 1", "1 1", "0x1", "1a", "1.0", "\xc2\xb9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[100];
        snprintf(line, sizeof line, "Content-Length: %s\r\n", bad[i]);
        check_fields(400, line);
    }
    request_head_t r;
    CHECK_EQ_INT(parse("POST / HTTP/1.1\r\nHost: h\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_INT(r.body, BODY_NONE);
    CHECK_EQ_INT(parse("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_INT(r.body, BODY_NONE);
    CHECK_EQ_INT(parse("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", &r),
                 HEAD_OK);
    CHECK_EQ_INT(r.body, BODY_CHUNKED);
    request_end();
}

static void check_keep_alive(bool want, const char *version, const char *connection)
{
    char text[200];
    request_head_t r;
    snprintf(text, sizeof text, "GET / HTTP/%s\r\nHost: h\r\n%s%s\r\n", version, connection,
             *connection ? "\r\n" : "");
    CHECK_EQ_INT(parse(text, &r), HEAD_OK);
    if (!CHECK_EQ_INT(r.keep_alive, want))
        TEST_NOTE("%s", text);
    request_end();
}

TEST(connection_options)
{
    check_keep_alive(true, "1.1", "");
    check_keep_alive(false, "1.0", "");
    check_keep_alive(false, "1.1", "Connection: close");
    check_keep_alive(false, "1.1", "Connection: X, CLOSE ,y");
    check_keep_alive(false, "1.1", "Connection: keep-alive\r\nConnection: close");
    check_keep_alive(true, "1.0", "Connection: Keep-Alive");
    check_keep_alive(false, "1.0", "Connection: keep-alive, close");
    check_keep_alive(true, "1.1", "Connection: closed");
    char lines[300] = "Connection: ";
    for (int i = 0; i < 65; i++)
        strcat(lines, "a,");
    strcat(lines, "\r\n");
    check_fields(400, lines);
    request_head_t r;
    CHECK_EQ_INT(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, "
                       "Upgrade\r\nUpgrade: websocket\r\n\r\n",
                       &r),
                 0);
    CHECK(r.upgrade);
    CHECK_EQ_INT(parse("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", &r), 0);
    CHECK(!r.upgrade);
    CHECK_EQ_INT(parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n", &r), 0);
    CHECK(!r.upgrade);
    request_end();
}

TEST(expectations)
{
    request_head_t r;
    check_fields(417, "Expect: 200-ok\r\n");
    check_fields(417, "Expect:\r\n");
    check_fields(417, "Expect: 100-continue\r\nExpect: x\r\n");
    CHECK_EQ_INT(parse("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", &r),
                 HEAD_OK);
    CHECK(!r.expect_continue);
    CHECK_EQ_INT(
        parse("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", &r),
        HEAD_OK);
    CHECK(!r.expect_continue);
    request_end();
}

TEST(names_with_an_underscore_are_dropped)
{
    request_head_t r;
    CHECK_EQ_INT(parse("GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 1\r\nContent_Length: "
                       "5\r\nok: 1\r\n\r\n",
                       &r),
                 0);
    CHECK(r.headers.v[1].removed && r.headers.v[2].removed && !r.headers.v[3].removed);
    CHECK_EQ_INT(r.body, BODY_NONE);
    request_end();
    check_fields(400, "a_b c: x\r\n");
}

TEST(limits)
{
    head_limits_t tight = {.head_max_bytes = 60, .target_max_bytes = 10, .fields_max = 2};
    request_head_t r;
    const char *why;
    const char *text = "GET /123456789 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    CHECK_EQ_INT(request_head_parse(&r, &arena, text, strlen(text), &tight, &why), HEAD_OK);
    text = "GET /1234567890 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    CHECK_EQ_INT(request_head_parse(&r, &arena, text, strlen(text), &tight, &why), 414);
    text = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n";
    CHECK_EQ_INT(request_head_parse(&r, &arena, text, strlen(text), &tight, &why), 431);
    text = "GET / HTTP/1.1\r\nHost: h\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n";
    CHECK_EQ_INT(request_head_parse(&r, &arena, text, strlen(text), &tight, &why), 431);
    CHECK_EQ_INT(head_overflow_status("GET /", 5, &tight), 431);
    CHECK_EQ_INT(head_overflow_status("GET /1234567890", 15, &tight), 414);
    CHECK_EQ_INT(head_overflow_status("GET /\r\nHost: 1234567890", 22, &tight), 431);
    request_end();
}

TEST(ends_of_heads_in_every_cut)
{
    static const struct {
        const char *text;
        size_t end;
    } CASES[] = {{"GET / HTTP/1.1\r\nHost: h\r\n\r\nbody", 27},
                 {"GET / HTTP/1.1\r\n\r\n", 18},
                 {"a\n\nb", 3},
                 {"a\n\r\nb", 4},
                 {"a\r\n\nb", 4},
                 {"a\r\n\r\r\n\r\nb", 8},
                 {"a\n\rb\n\n", 6},
                 {"a\r\nb\r\nc", 0},
                 {"\r\n\r\n", 4}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        size_t n = strlen(CASES[i].text);
        for (size_t step = 1; step <= n; step++) {
            size_t scanned = 0, end = 0, have = 0;
            while (!end && have < n) {
                have = have + step < n ? have + step : n;
                end = head_find_end(CASES[i].text, have, &scanned);
            }
            if (!CHECK_EQ_INT(end, CASES[i].end))
                TEST_NOTE("case %zu in pieces of %zu", i, step);
        }
    }
    CHECK_EQ_INT(head_skip_crlf("\r\nGET", 5), 2);
    CHECK_EQ_INT(head_skip_crlf("\r", 1), 0);
    CHECK_EQ_INT(head_skip_crlf("GET", 3), 0);
}

TEST(hop_by_hop_fields_are_stripped)
{
    request_head_t r;
    CHECK_EQ_INT(
        parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Int, keep-alive, Host, "
              "authorization, cookie, via\r\n"
              "connection: content-type,X-Forwarded-For,x-consumer-id,Cache-Control,apikey\r\n"
              "Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: "
              "h2c\r\n"
              "Proxy-Authorization: x\r\nProxy-Authenticate: x\r\nX-Int: 1\r\nx-int: 2\r\nVia: "
              "x\r\n"
              "Authorization: a\r\nCookie: c\r\nContent-Type: t\r\nX-Forwarded-For: "
              "f\r\nX-Consumer-ID: i\r\n"
              "Cache-Control: no\r\napikey: k\r\nX-Other: o\r\n\r\n",
              &r),
        HEAD_OK);
    headers_strip_hop_by_hop(&r.headers);
    const char *kept[] = {"Host",          "Authorization",   "Cookie",
                          "Content-Type",  "X-Forwarded-For", "X-Consumer-ID",
                          "Cache-Control", "apikey",          "X-Other"};
    size_t n = 0;
    for (uint32_t i = 0; i < r.headers.n; i++) {
        if (!r.headers.v[i].removed && CHECK(n < sizeof kept / sizeof kept[0]))
            CHECK_EQ_STR(r.headers.v[i].name, kept[n++]);
    }
    CHECK_EQ_INT(n, sizeof kept / sizeof kept[0]);
    request_end();
}

TEST(reasons)
{
    CHECK_EQ_STR(http_reason(200), "OK");
    CHECK_EQ_STR(http_reason(404), "Not Found");
    CHECK_EQ_STR(http_reason(499), "Client Closed Request");
    CHECK_EQ_STR(http_reason(799), "Unknown");
}

// Every case of llhttp's own suite: what we accept means the same to llhttp.
TEST(public_cases_agree_with_llhttp)
{
    cases_t c;
    str_t text;
    int accepted = 0, refused = 0;
    cases_open(&c, "spec/data/http/llhttp-cases.txt");
    while (cases_next(&c, 3, &text)) {
        size_t scanned = 0, n = head_find_end(text.p, text.n, &scanned);
        const char *why, *differs = NULL, *p = tight_copy(str_make(text.p, n));
        bool is_request = str_starts(c.field[0], STR("request"));
        request_head_t q;
        response_head_t r;
        int status = is_request
                         ? request_head_parse(&q, &arena, p, n, &LIMITS, &why)
                         : response_head_parse(&r, &arena, p, n, METHOD_GET, &LIMITS, &why);
        if (status == HEAD_OK)
            differs = is_request ? oracle_request_differs(&q, p, n)
                                 : oracle_response_differs(&r, p, n);
        accepted += status == HEAD_OK;
        refused += status != HEAD_OK;
        if (!CHECK(differs == NULL))
            TEST_NOTE("%.*s: %s", STR_FMT(c.field[2]), differs);
    }
    CHECK(accepted > 40 && refused > 60);
    if (accepted <= 40 || refused <= 60)
        TEST_NOTE("accepted %d, refused %d", accepted, refused);
    cases_close(&c);
    request_end();
}

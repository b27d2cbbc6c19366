// Response heads: what they mean by method and status, what is refused, with llhttp as second opinion. Request heads: test_head.c.
#include "http/head.h"

#include <llhttp.h>

#include "oracle.h"
#include "test.h"

static const head_limits_t LIMITS = {
    .head_max_bytes = 16384, .target_max_bytes = 8192, .fields_max = 100};

// A head parsed from a copy without a byte behind it; it lives until request_end.
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

static int parse_response(const char *text, http_method_t method, response_head_t *r)
{
    const char *why = NULL, *p = tight_copy(str_from(text));
    int status = response_head_parse(r, &arena, p, strlen(text), method, &LIMITS, &why);
    CHECK((status == HEAD_OK) == (why == NULL));
    const char *differs =
        status || method != METHOD_GET ? NULL : oracle_response_differs(r, p, strlen(text));
    if (!CHECK(differs == NULL))
        TEST_NOTE("llhttp differs in %s: %s", differs, text);
    return status;
}

TEST(a_usual_response)
{
    response_head_t r;
    CHECK_EQ_INT(
        parse_response("HTTP/1.1 200 All right\r\nContent-Length: 5\r\nX_y: \xe9\r\n\r\n",
                       METHOD_GET, &r),
        HEAD_OK);
    CHECK_EQ_INT(r.status, 200);
    CHECK_EQ_STR(r.reason, "All right");
    CHECK_EQ_INT(r.body, BODY_LENGTH);
    CHECK_EQ_INT(r.content_length, 5);
    CHECK(r.keep_alive && !r.headers.v[1].removed);
    CHECK_EQ_INT(parse_response("HTTP/1.1 404\r\n\r\n", METHOD_GET, &r), HEAD_OK);
    CHECK_EQ_STR(r.reason, "");
    CHECK_EQ_INT(r.body, BODY_TO_EOF);
    CHECK(!r.keep_alive);
    CHECK_EQ_INT(
        parse_response("HTTP/1.0 200 \r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
                       METHOD_GET, &r),
        HEAD_OK);
    CHECK(r.keep_alive);
    request_end();
}

TEST(response_framing_by_method_and_status)
{
    static const struct {
        const char *text;
        http_method_t method;
        body_kind_t body;
        uint64_t length;
    } CASES[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", METHOD_HEAD, BODY_NONE, 7},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, BODY_NONE,
         UINT64_MAX},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", METHOD_GET, BODY_CHUNKED,
         UINT64_MAX},
        {"HTTP/1.1 204 No Content\r\n\r\n", METHOD_GET, BODY_NONE, UINT64_MAX},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", METHOD_GET, BODY_NONE, 7},
        {"HTTP/1.1 100 Continue\r\n\r\n", METHOD_POST, BODY_NONE, UINT64_MAX},
        {"HTTP/1.1 103 Early Hints\r\n\r\n", METHOD_GET, BODY_NONE, UINT64_MAX},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", METHOD_GET, BODY_NONE, 0},
        {"HTTP/1.1 200 OK\r\n\r\n", METHOD_GET, BODY_TO_EOF, UINT64_MAX},
        {"HTTP/1.1 200 OK\r\n\r\n", METHOD_HEAD, BODY_NONE, UINT64_MAX},
        {"HTTP/1.1 200 OK\r\n\r\n", METHOD_CONNECT, BODY_NONE, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        response_head_t r;
        CHECK_EQ_INT(parse_response(CASES[i].text, CASES[i].method, &r), HEAD_OK);
        CHECK_EQ_INT(r.body, CASES[i].body);
        CHECK_EQ_INT(r.content_length, CASES[i].length);
        CHECK_EQ_INT(r.keep_alive, r.body != BODY_TO_EOF);
    }
    response_head_t r;
    arena_t a = {0};
    const char *why,
        *text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n";
    CHECK_EQ_INT(response_head_parse(&r, &a, text, strlen(text), METHOD_GET, &LIMITS, &why),
                 HEAD_OK);
    CHECK(!r.headers.v[0].removed && r.headers.v[1].removed);
    arena_dispose(&a);
    request_end();
}

TEST(responses_refused)
{
    const char *bad[] = {
        "JUNK\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 abc X\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\x01\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n\r\n",
        "\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        response_head_t r;
        if (!CHECK_EQ_INT(parse_response(bad[i], METHOD_GET, &r), HEAD_BAD))
            TEST_NOTE("%s", bad[i]);
    }
    str_t whole = STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\n");
    for (size_t n = 0; n < whole.n; n++) {
        response_head_t r;
        const char *why;
        CHECK_EQ_INT(response_head_parse(&r, &arena, tight_copy(str_make(whole.p, n)), n,
                                         METHOD_GET, &LIMITS, &why),
                     HEAD_BAD);
    }
    request_end();
}

static int parse_switch(const char *text, response_head_t *r)
{
    const char *why;
    return response_head_parse_switch(r, &arena, text, strlen(text), &LIMITS, &why);
}

TEST(a_101_is_an_answer_to_who_asked)
{
    response_head_t r;
    const char *good = "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    CHECK_EQ_INT(parse_switch(good, &r), HEAD_OK);
    CHECK_EQ_INT(r.status, 101);
    CHECK_EQ_INT(r.body, BODY_NONE);
    CHECK_EQ_INT(parse_response(good, METHOD_GET, &r), HEAD_BAD);
    CHECK_EQ_INT(parse_switch("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", &r), HEAD_BAD);
    CHECK_EQ_INT(parse_switch("HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", &r), HEAD_BAD);
    CHECK_EQ_INT(parse_switch("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", &r), HEAD_OK);
    CHECK_EQ_INT(r.content_length, 3);
    request_end();
}

// Heads. First byte: bit 0 request or response, bits 1-3 the response's method, the rest how
// arrival is cut. Oracles: every cut finds the same end; llhttp agrees with what is accepted;
// what would be forwarded parses to the same message again.
#include "http/head.h"

#include <llhttp.h>

#include "../unit/http/oracle.h"
#include "base/buf.h"

#include <stdio.h>

static const head_limits_t LIMITS = {
    .head_max_bytes = 16384, .target_max_bytes = 8192, .fields_max = 100};

static size_t find_end(const char *p, size_t n, size_t step)
{
    size_t scanned = 0, end = 0;
    for (size_t have = 0; !end && have < n;) {
        have = n - have < step ? n : have + step;
        end = head_find_end(p, have, &scanned);
    }
    return end;
}

static void write_fields(buf_t *b, const headers_t *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (!h->v[i].removed)
            buf_printf(b, "%.*s: %.*s\r\n", STR_FMT(h->v[i].name), STR_FMT(h->v[i].value));
    }
    buf_append(b, STR("\r\n"));
}

static void check_same_fields(const headers_t *before, const headers_t *after)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < before->n; i++) {
        if (before->v[i].removed)
            continue;
        ASSERT(at < after->n, "a field was lost");
        ASSERT(str_eq(before->v[i].name, after->v[at].name), "a field's name changed");
        ASSERT(str_eq(before->v[i].value, after->v[at].value), "a field's value changed");
        ASSERT(before->v[i].id == after->v[at].id, "a field's number changed");
        at++;
    }
    ASSERT(at == after->n, "a field appeared");
}

static void check_request(const char *p, size_t n)
{
    arena_t a = {0}, b = {0};
    request_head_t r, again;
    buf_t out = {0};
    const char *why = NULL;
    int status = request_head_parse(&r, &a, p, n, &LIMITS, &why);
    ASSERT(status == HEAD_OK || (why && status >= 400 && status <= 505),
           "a refusal without status or reason");
    if (status == HEAD_OK) {
        const char *differs = oracle_request_differs(&r, p, n);
        ASSERT(!differs || !fprintf(stderr, "llhttp differs in %s\n", differs),
               "llhttp differs");
        buf_printf(&out, "%.*s %.*s HTTP/1.%u\r\n", STR_FMT(r.method_name), STR_FMT(r.target),
                   r.minor);
        write_fields(&out, &r.headers);
        str_t text = buf_str(&out);
        ASSERT(request_head_parse(&again, &b, text.p, text.n, &LIMITS, &why) == HEAD_OK,
               "forwarded head refused");
        check_same_fields(&r.headers, &again.headers);
        ASSERT(r.body == again.body && r.content_length == again.content_length,
               "framing changed");
        ASSERT(str_eq(r.host, again.host) && r.port == again.port, "the authority changed");
        ASSERT(str_eq(r.raw_path, again.raw_path) && str_eq(r.query, again.query),
               "the target changed");
        ASSERT(r.body != BODY_TO_EOF, "a request that ends with the connection");
        headers_strip_hop_by_hop(&r.headers);
        ASSERT(!headers_find(&r.headers, HDR_CONNECTION, (str_t){0}, 0),
               "Connection would be forwarded");
        ASSERT(r.minor == 0 || headers_find(&r.headers, HDR_HOST, (str_t){0}, 0),
               "Host was nominated away");
    }
    buf_dispose(&out);
    arena_dispose(&a);
    arena_dispose(&b);
}

static void check_response(const char *p, size_t n, http_method_t method)
{
    arena_t a = {0}, b = {0};
    response_head_t r, again;
    buf_t out = {0};
    const char *why = NULL;
    int status = response_head_parse(&r, &a, p, n, method, &LIMITS, &why);
    ASSERT(status == HEAD_OK || (status == HEAD_BAD && why), "a refusal without reason");
    if (status == HEAD_OK) {
        const char *differs = method == METHOD_GET ? oracle_response_differs(&r, p, n) : NULL;
        ASSERT(!differs || !fprintf(stderr, "llhttp differs in %s\n", differs),
               "llhttp differs");
        ASSERT(r.status != 101 && r.status >= 100 && r.status <= 999,
               "a status that may not be forwarded");
        ASSERT(method != METHOD_HEAD || r.body == BODY_NONE, "a body for HEAD");
        ASSERT((r.status != 204 && r.status != 304 && r.status >= 200) || r.body == BODY_NONE,
               "a body for 204, 304, 1xx");
        buf_printf(&out, "HTTP/1.%u %u %.*s\r\n", r.minor, r.status, STR_FMT(r.reason));
        write_fields(&out, &r.headers);
        str_t text = buf_str(&out);
        head_limits_t wide = {0};
        ASSERT(response_head_parse(&again, &b, text.p, text.n, method, &wide, &why) == HEAD_OK,
               "forwarded head refused");
        check_same_fields(&r.headers, &again.headers);
        ASSERT(r.body == again.body && r.content_length == again.content_length,
               "framing changed");
    }
    buf_dispose(&out);
    arena_dispose(&a);
    arena_dispose(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned mode = data[0];
    const char *p = (const char *)data + 1;
    size_t n = size - 1, end = find_end(p, n, n);
    ASSERT(end == find_end(p, n, 1) && end == find_end(p, n, 1 + (mode >> 4)),
           "the cut changed where a head ends");
    char *head = malloc(end ? end : n); // no byte behind it
    memcpy(head, p, end ? end : n);
    if (mode & 1)
        check_response(head, end ? end : n, mode & 2 ? METHOD_HEAD : METHOD_GET);
    else
        check_request(head, end ? end : n);
    free(head);
    return 0;
}

// The response head parser (RFC 9112 4): status line and framing for the request's method. An
// upstream that can be read in two ways is refused, because the next response on its connection
// would be the attacker's.
#include "http/head.h"

#include "http/bytes.h"
#include "http/fields.h"

static int refuse(const char **why, const char *text)
{
    *why = text;
    return HEAD_BAD;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// "HTTP/1." ("0" or "1") SP 3DIGIT [SP reason] CRLF; *next is the first field line.
static int status_line(response_head_t *r, const char *p, const char *end, const char **next,
                       const char **why)
{
    const char *stop = scan_value(p, end);
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
        return refuse(why, "a status line that does not end in CRLF");
    str_t line = str_make(p, (size_t)(stop - p));
    if (line.n < 12 || !str_starts(line, STR("HTTP/1.")) || (p[7] != '0' && p[7] != '1') ||
        p[8] != ' ')
        return refuse(why, "no HTTP/1.0 or HTTP/1.1 status line");
    if (p[9] < '1' || p[9] > '9' || !is_digit(p[10]) || !is_digit(p[11]))
        return refuse(why, "a status that is not three digits");
    if (line.n > 12 && p[12] != ' ')
        return refuse(why, "a status that is not three digits");
    r->minor = (uint8_t)(p[7] - '0');
    r->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
    r->reason = str_from_at(line, 13);
    *next = stop + 2;
    return 0;
}

static bool is_bodiless(unsigned status, http_method_t method)
{
    return status < 200 || status == 204 || status == 304 || method == METHOD_HEAD ||
           (method == METHOD_CONNECT && status < 300);
}

static void keep_first_length(headers_t *h)
{
    bool seen = false;
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].id == HDR_CONTENT_LENGTH) {
            h->v[i].removed = seen;
            seen = true;
        }
    }
}

// RFC 9112 6.3 for responses.
static int framing(response_head_t *r, const field_facts_t *f, http_method_t method,
                   const char **why)
{
    if (f->n_coding && f->n_length)
        return refuse(why, "Transfer-Encoding and Content-Length");
    if (f->n_coding && r->minor == 0)
        return refuse(why, "Transfer-Encoding on HTTP/1.0");
    if (f->n_coding > 1 || (f->n_coding && !str_ieq(f->coding, STR("chunked"))))
        return refuse(why, "a Transfer-Encoding that is not chunked once");
    if (f->length_differs)
        return refuse(why, "two different Content-Lengths");
    r->content_length = UINT64_MAX;
    if (f->n_length && content_length_parse(f->length, &r->content_length) != 0)
        return refuse(why, "a Content-Length that is no number up to 2^63-1");
    if (f->n_length > 1)
        keep_first_length(&r->headers);
    if (is_bodiless(r->status, method) || (f->n_length && r->content_length == 0))
        r->body = BODY_NONE;
    else
        r->body = f->n_coding ? BODY_CHUNKED : f->n_length ? BODY_LENGTH : BODY_TO_EOF;
    return 0;
}

// `may_switch`: a 101 that names what it switches to is an answer.
static int parse(response_head_t *out, arena_t *a, str_t text, http_method_t method,
                 const head_limits_t *limits, bool may_switch, const char **why)
{
    const char *p = text.p;
    size_t n = text.n;
    response_head_t r = {0};
    field_facts_t facts = {0};
    const char *next, *end = fields_end(p, n);
    if (limits->head_max_bytes && n > limits->head_max_bytes)
        return refuse(why, "the head is too long");
    if (!end)
        return refuse(why, "a line that does not end in CRLF");
    if (status_line(&r, p, p + n, &next, why) != 0)
        return HEAD_BAD;
    if (next > end)
        return refuse(why, "a line that does not end in CRLF");
    if (r.status == 101 && !may_switch)
        return refuse(why, "a 101 that nobody asked for");
    if (fields_parse(&r.headers, a, next, end, limits->fields_max, false, &facts, why) != 0 ||
        framing(&r, &facts, method, why) != 0)
        return HEAD_BAD;
    if (r.status == 101 && !(facts.nominates_upgrade && facts.has_upgrade))
        return refuse(why, "a 101 that does not say to what");
    r.keep_alive = !facts.close && (r.minor == 1 || facts.keep_alive) && r.body != BODY_TO_EOF;
    *out = r;
    return HEAD_OK;
}

int response_head_parse(response_head_t *out, arena_t *a, const char *p, size_t n,
                        http_method_t method, const head_limits_t *limits, const char **why)
{
    return parse(out, a, str_make(p, n), method, limits, false, why);
}

int response_head_parse_switch(response_head_t *out, arena_t *a, const char *p, size_t n,
                               const head_limits_t *limits, const char **why)
{
    return parse(out, a, str_make(p, n), METHOD_GET, limits, true, why);
}

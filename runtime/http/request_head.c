// The request head parser (RFC 9112 3): request line, target form, authority, framing. Guard
// and parser in one: what it accepts has exactly one meaning. Field lines are parsed in
// fields.c.
#include "http/head.h"

#include "base/check.h"
#include "http/authority.h"
#include "http/bytes.h"
#include "http/fields.h"

typedef struct line {
    str_t method, target, version;
} line_t;

static int refuse(int status, const char **why, const char *text)
{
    *why = text;
    return status;
}

static http_method_t method_number(str_t name)
{
    static const struct {
        str_t name;
        http_method_t number;
    } KNOWN[] = {
        {{"GET", 3}, METHOD_GET},         {{"POST", 4}, METHOD_POST},
        {{"HEAD", 4}, METHOD_HEAD},       {{"PUT", 3}, METHOD_PUT},
        {{"DELETE", 6}, METHOD_DELETE},   {{"PATCH", 5}, METHOD_PATCH},
        {{"OPTIONS", 7}, METHOD_OPTIONS}, {{"CONNECT", 7}, METHOD_CONNECT},
        {{"TRACE", 5}, METHOD_TRACE},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (str_eq(name, KNOWN[i].name))
            return KNOWN[i].number;
    }
    return METHOD_OTHER;
}

// method SP target SP version CRLF; *next is the first field line.
static int line_split(const char *p, const char *end, line_t *line, const char **next,
                      const char **why)
{
    const char *stop = scan_line(p, end);
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
        return refuse(400, why, "a request line that does not end in CRLF");
    const char *space = scan_byte(p, stop, ' ');
    if (space == p || scan_class(p, space, B_TOKEN) != space)
        return refuse(400, why, "a method that is no token");
    if (space == stop)
        return refuse(400, why, "a request line without a target");
    const char *target = space + 1, *target_end = scan_byte(target, stop, ' ');
    if (target_end == target || target_end == stop)
        return refuse(400, why, "a request line without target and version");
    *line = (line_t){
        .method = {p, (size_t)(space - p)},
        .target = {target, (size_t)(target_end - target)},
        .version = {target_end + 1, (size_t)(stop - target_end - 1)},
    };
    *next = stop + 2;
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int version_parse(str_t version, uint8_t *minor, const char **why)
{
    if (version.n != 8 || !str_starts(version, STR("HTTP/")) || !is_digit(version.p[5]) ||
        version.p[6] != '.' || !is_digit(version.p[7]))
        return refuse(400, why, "a malformed HTTP version");
    if (version.p[5] != '1' || version.p[7] > '1')
        return refuse(505, why, "an HTTP version other than 1.0 and 1.1");
    *minor = (uint8_t)(version.p[7] - '0');
    return 0;
}

static void split_path(request_head_t *r, str_t path_and_query)
{
    ptrdiff_t mark = str_chr(path_and_query, '?');
    r->raw_path = path_and_query;
    if (mark >= 0) {
        r->raw_path.n = (size_t)mark;
        r->query = str_from_at(path_and_query, (size_t)mark + 1);
    }
    if (r->raw_path.n == 0)
        r->raw_path = STR("/");
}

static size_t scheme_length(str_t target)
{
    if (target.n >= 7 && str_ieq(str_make(target.p, 7), STR("http://")))
        return 7;
    return target.n >= 8 && str_ieq(str_make(target.p, 8), STR("https://")) ? 8 : 0;
}

// The four forms (RFC 9112 3.2). *authority is that of absolute-form, else empty; *scheme_port
// its default.
static int target_parse(request_head_t *r, str_t *authority, uint16_t *scheme_port,
                        const char **why)
{
    str_t target = r->target;
    if (scan_target(target.p, target.p + target.n) != target.p + target.n)
        return refuse(400, why, "a byte that may not stand in a request target");
    if (target.p[0] == '/') {
        split_path(r, target);
        return 0;
    }
    if (str_eq(target, STR("*"))) {
        r->raw_path = target;
        return r->method == METHOD_OPTIONS ? 0 : refuse(400, why, "target * without OPTIONS");
    }
    size_t skip = scheme_length(target);
    if (skip == 0)
        return refuse(400, why, "a request target in no known form");
    str_t rest = str_from_at(target, skip);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    *authority = str_make(rest.p, n);
    *scheme_port = skip == 7 ? 80 : 443;
    split_path(r, str_from_at(rest, n));
    return 0;
}

static str_t lower_copy(arena_t *a, str_t s)
{
    char *copy = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        copy[i] = ascii_lower(s.p[i]);
    copy[s.n] = '\0';
    return str_make(copy, s.n);
}

// Host and absolute-form must name one authority; a port left out is the scheme's.
static int authority_settle(request_head_t *r, arena_t *a, const field_facts_t *f,
                            str_t authority, uint16_t scheme_port, const char **why)
{
    str_t host = {0}, other = {0};
    uint16_t port = 0, other_port = 0;
    if (f->n_host > 1)
        return refuse(400, why, "two Host fields");
    if (f->n_host == 0 && r->minor == 1)
        return refuse(400, why, "no Host field");
    if (f->n_host && authority_parse(f->host, &host, &port, why) != 0)
        return 400;
    if (scheme_port && authority_parse(authority, &other, &other_port, why) != 0)
        return 400;
    if (scheme_port && f->n_host &&
        (!str_ieq(host, other) ||
         (port ? port : scheme_port) != (other_port ? other_port : scheme_port)))
        return refuse(400, why, "absolute-form with another authority than Host");
    r->host = scheme_port ? other : host;
    r->port = scheme_port ? other_port : port;
    if (r->host.n)
        r->host = lower_copy(a, r->host);
    return 0;
}

static int coding_status(str_t value, const char **why)
{
    unsigned chunked = 0, others = 0;
    for (str_t coding; str_list_next(&value, &coding);) {
        bool known = str_ieq(coding, STR("chunked"));
        chunked += known;
        others += !known;
    }
    if (others)
        return refuse(501, why, "a transfer coding other than chunked");
    return refuse(400, why, chunked ? "chunked applied twice" : "an empty Transfer-Encoding");
}

// RFC 9112 6.3 for requests. Whatever two readers could take differently is refused.
static int framing(request_head_t *r, const field_facts_t *f, const char **why)
{
    if (f->n_coding && f->n_length)
        return refuse(400, why, "Transfer-Encoding and Content-Length");
    if (f->n_coding && r->minor == 0)
        return refuse(400, why, "Transfer-Encoding on HTTP/1.0");
    if (f->n_coding > 1)
        return refuse(400, why, "two Transfer-Encoding fields");
    if (f->n_length > 1)
        return refuse(400, why, "two Content-Length fields");
    if (f->n_length && content_length_parse(f->length, &r->content_length) != 0)
        return refuse(400, why, "a Content-Length that is no number up to 2^63-1");
    if (f->n_coding && !str_ieq(f->coding, STR("chunked")))
        return coding_status(f->coding, why);
    r->body = f->n_coding ? BODY_CHUNKED : r->content_length ? BODY_LENGTH : BODY_NONE;
    return 0;
}

static int options(request_head_t *r, const field_facts_t *f, const char **why)
{
    if (f->expect_other)
        return refuse(417, why, "an Expect other than 100-continue");
    r->expect_continue = f->expect_continue && r->minor == 1 && r->body != BODY_NONE;
    r->keep_alive = !f->close && (r->minor == 1 || f->keep_alive);
    r->upgrade = f->nominates_upgrade && f->has_upgrade;
    return 0;
}

static int request_line(request_head_t *r, const line_t *line, const head_limits_t *limits,
                        const char **why)
{
    if (limits->target_max_bytes && line->target.n > limits->target_max_bytes)
        return refuse(414, why, "the request target is too long");
    r->method_name = line->method;
    r->method = method_number(line->method);
    r->target = line->target;
    int status = version_parse(line->version, &r->minor, why);
    if (status)
        return status;
    if (r->method == METHOD_CONNECT || r->method == METHOD_TRACE)
        return refuse(405, why, "CONNECT and TRACE are not served");
    return 0;
}

int request_head_parse(request_head_t *out, arena_t *a, const char *p, size_t n,
                       const head_limits_t *limits, const char **why)
{
    request_head_t r = {0};
    field_facts_t facts = {0};
    line_t line;
    str_t authority = {0};
    uint16_t scheme_port = 0;
    const char *next, *end = fields_end(p, n);
    int status = line_split(p, p + n, &line, &next, why);
    if (status || (status = request_line(&r, &line, limits, why)))
        return status;
    if (!end || next > end)
        return refuse(400, why, "a line that does not end in CRLF");
    if (limits->head_max_bytes && n > limits->head_max_bytes)
        return refuse(431, why, "the head is too long");
    if ((status = target_parse(&r, &authority, &scheme_port, why)))
        return status;
    status = fields_parse(&r.headers, a, next, end, limits->fields_max, true, &facts, why);
    if (status)
        return status == FIELDS_TOO_MANY ? 431 : 400;
    if ((status = authority_settle(&r, a, &facts, authority, scheme_port, why)) ||
        (status = framing(&r, &facts, why)) || (status = options(&r, &facts, why)))
        return status;
    *out = r;
    return HEAD_OK;
}

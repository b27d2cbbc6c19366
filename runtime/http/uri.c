// The one path normaliser, the query walker and the strict URL splitter. What routing matched
// is byte for byte what the upstream gets; nothing here decodes a reserved byte.
#include "http/uri.h"

#include "base/check.h"
#include "http/authority.h"
#include "http/bytes.h"

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -1;
}

// The byte of the triplet at p, or -1.
static int triplet(const char *p, const char *end)
{
    if (end - p < 3 || p[0] != '%')
        return -1;
    int high = hex_digit(p[1]), low = hex_digit(p[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

// Bytes that only an overlong UTF-8 form begins with: a decoder behind us might make '.' or '/'
// of them.
static bool is_overlong(int lead, int next)
{
    return ((lead == 0xc0 || lead == 0xc1) && next >= 0x80 && next <= 0xbf) ||
           (lead == 0xe0 && next >= 0x80 && next < 0xa0) ||
           (lead == 0xf0 && next >= 0x80 && next < 0x90);
}

// True when every byte may stay and no segment needs work.
static bool is_normal(str_t raw)
{
    const char *end = raw.p + raw.n;
    for (const char *p = raw.p; p < end; p++) {
        if (!byte_is(*p, B_PATH))
            return false;
        if (*p == '/' && p + 1 < end && (p[1] == '/' || p[1] == '.'))
            return false;
    }
    return true;
}

// Writes one byte or triplet from p to out in its normal form and steps over both. 0, or -1
// with *why.
static int put(const char **p, const char *end, char **out, const char **why)
{
    if (**p != '%') {
        if (!byte_is(**p, B_PATH))
            return refuse(why, "a byte that may not stand in a path");
        *(*out)++ = *(*p)++;
        return 0;
    }
    int byte = triplet(*p, end);
    if (byte < 0)
        return refuse(why, "a bad percent-triplet in the path");
    if (byte == '/' || byte == '\\' || byte == 0)
        return refuse(why, "%2f, %5c or %00 in the path");
    if (is_overlong(byte, triplet(*p + 3, end)))
        return refuse(why, "overlong UTF-8 in the path");
    if (byte_is((char)byte, B_UNRESERVED)) {
        *(*out)++ = (char)byte;
    } else {
        const char *digits = "0123456789ABCDEF";
        *(*out)++ = '%';
        *(*out)++ = digits[byte >> 4];
        *(*out)++ = digits[byte & 15];
    }
    *p += 3;
    return 0;
}

// 0: an ordinary segment; 1: "."; 2: "..". Parameters do not make it ordinary ("..;x" is ".."
// to servlet containers).
static int dots(str_t segment)
{
    ptrdiff_t params = str_chr(segment, ';');
    if (params >= 0)
        segment.n = (size_t)params;
    if (str_eq(segment, STR("..")))
        return 2;
    return str_eq(segment, STR("."));
}

static char *parent(const char *start, char *at)
{
    ASSERT(at > start && at[-1] == '/', "a segment begins after a slash");
    if (at - 1 == start)
        return at;
    at--;
    while (at[-1] != '/')
        at--;
    return at;
}

// One segment at a time: written, looked at, kept or taken back. `at` always stands after a
// '/'.
static int rebuild(char *out, str_t raw, size_t *out_n, const char **why)
{
    const char *p = raw.p + 1, *end = raw.p + raw.n;
    char *at = out;
    *at++ = '/';
    while (p < end) {
        char *segment = at;
        while (p < end && *p != '/') {
            if (put(&p, end, &at, why) != 0)
                return -1;
        }
        int kind = dots(str_make(segment, (size_t)(at - segment)));
        if (kind)
            at = kind == 2 ? parent(out, segment) : segment;
        if (p < end && at[-1] != '/')
            *at++ = '/';
        p += p < end;
    }
    *out_n = (size_t)(at - out);
    return 0;
}

int uri_normalize_path(arena_t *a, str_t raw, str_t *out, const char **why)
{
    size_t n;
    if (raw.n == 0 || raw.p[0] != '/') {
        if (!str_eq(raw, STR("*")))
            return refuse(why, "a path that does not begin with /");
        *out = raw;
        return 0;
    }
    if (is_normal(raw)) {
        *out = raw;
        return 0;
    }
    char *copy = arena_alloc(a, raw.n + 1);
    if (rebuild(copy, raw, &n, why) != 0)
        return -1;
    ASSERT(n <= raw.n, "a normal path is never longer");
    copy[n] = '\0';
    *out = str_eq(str_make(copy, n), raw) ? raw : str_make(copy, n);
    return 0;
}

size_t uri_unescape(char *out, str_t s)
{
    const char *p = s.p, *end = s.p + s.n;
    char *at = out;
    while (p < end) {
        int byte = triplet(p, end);
        *at++ = byte < 0 ? *p : (char)byte;
        p += byte < 0 ? 1 : 3;
    }
    return (size_t)(at - out);
}

bool query_next(str_t *rest, str_t *name, str_t *value, bool *bare)
{
    while (rest->n) {
        ptrdiff_t amp = str_chr(*rest, '&');
        str_t pair = amp < 0 ? *rest : str_make(rest->p, (size_t)amp);
        *rest = str_from_at(*rest, amp < 0 ? rest->n : (size_t)amp + 1);
        if (pair.n == 0)
            continue;
        ptrdiff_t mark = str_chr(pair, '=');
        *bare = mark < 0;
        *name = mark < 0 ? pair : str_make(pair.p, (size_t)mark);
        *value = str_from_at(pair, mark < 0 ? pair.n : (size_t)mark + 1);
        return true;
    }
    return false;
}

// Compares an escaped name (triplets, '+' for space) with a plain one.
static bool names_equal(str_t escaped, str_t plain)
{
    const char *p = escaped.p, *end = escaped.p + escaped.n;
    size_t i = 0;
    while (p < end && i < plain.n) {
        int byte = triplet(p, end);
        char c = byte >= 0 ? (char)byte : *p == '+' ? ' ' : *p;
        if (c != plain.p[i++])
            return false;
        p += byte < 0 ? 1 : 3;
    }
    return p == end && i == plain.n;
}

bool query_get(str_t query, str_t name, str_t *value, bool *bare)
{
    str_t key, found;
    bool without;
    while (query_next(&query, &key, &found, &without)) {
        if (!names_equal(key, name))
            continue;
        *value = found;
        if (bare)
            *bare = without;
        return true;
    }
    return false;
}

static bool scheme_parse(str_t text, url_t *u, size_t *skip)
{
    ptrdiff_t colon = str_find(text, STR("://"));
    if (colon < 0)
        return false;
    u->scheme = str_make(text.p, (size_t)colon);
    *skip = (size_t)colon + 3;
    u->port = str_ieq(u->scheme, STR("http")) ? 80 : str_ieq(u->scheme, STR("https")) ? 443 : 0;
    return u->port != 0;
}

int url_parse(str_t text, url_t *out)
{
    url_t u = {0};
    size_t skip, n = 0;
    uint16_t port;
    const char *why;
    if (text.n == 0 || scan_target(text.p, text.p + text.n) != text.p + text.n ||
        !scheme_parse(text, &u, &skip))
        return -1;
    str_t rest = str_from_at(text, skip);
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    if (authority_parse(str_make(rest.p, n), &u.host, &port, &why) != 0)
        return -1;
    u.port = port ? port : u.port;
    u.path = str_from_at(rest, n);
    ptrdiff_t mark = str_chr(u.path, '?');
    if (mark >= 0) {
        u.query = str_from_at(u.path, (size_t)mark + 1);
        u.path.n = (size_t)mark;
    }
    *out = u;
    return 0;
}

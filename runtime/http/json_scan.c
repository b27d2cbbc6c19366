// One loop, no recursion: the stack is a bit for each open container. Runs of plain text are
// skipped sixteen bytes at a time, strings with more in them by json_blocks.c; everything else
// costs one look at one byte.
#include "http/json_scan.h"

#include "http/bytes.h"

enum { DEPTH_MAX = 128 };

typedef struct nest {
    unsigned depth;
    uint64_t is_object[DEPTH_MAX / 64];
} nest_t;

static bool fail(json_scan_t *s, const char *why)
{
    s->why = why;
    return false;
}

void json_skip_space(json_scan_t *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static bool is_continuation(const char *p)
{
    return ((unsigned char)*p & 0xc0) == 0x80;
}

// Steps over one UTF-8 sequence (RFC 3629); p[0] >= 0x80.
static bool scan_utf8(json_scan_t *s)
{
    const unsigned char *p = (const unsigned char *)s->at;
    size_t left = (size_t)(s->end - s->at);
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return fail(s, "bytes that are not UTF-8");
    for (size_t i = 1; i < n; i++) {
        if (!is_continuation(s->at + i))
            return fail(s, "bytes that are not UTF-8");
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return fail(s, "bytes that are not UTF-8");
    s->at += n;
    return true;
}

static bool is_short_escape(char c)
{
    return c == 'n' || c == '"' || c == '\\' || c == '/' || c == 't' || c == 'r' || c == 'b' ||
           c == 'f';
}

static bool scan_escape(json_scan_t *s)
{
    const char *p = s->at + 1;
    if (p < s->end && is_short_escape(*p)) {
        s->at += 2;
        return true;
    }
    if (s->end - p < 5 || *p != 'u' || scan_class(p + 1, p + 5, B_HEX) != p + 5)
        return fail(s, "a bad escape in a string");
    s->at += 6;
    return true;
}

static bool scan_wide(json_scan_t *s)
{
    while (s->at < s->end && (unsigned char)*s->at >= 0x80) {
        if (!scan_utf8(s))
            return false;
    }
    return true;
}

// From the first byte that is not plain text to the closing quote.
static bool scan_mixed(json_scan_t *s, bool *escaped)
{
    s->at = json_skip_blocks(s->at, s->end, escaped);
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            *escaped = true;
            if (!scan_escape(s))
                return false;
        } else if ((unsigned char)*s->at < 0x20) {
            return fail(s, "a control byte in a string");
        } else if (!scan_wide(s)) {
            return false;
        }
        s->at = scan_json_text(s->at, s->end);
    }
    return true;
}

bool json_scan_string(json_scan_t *s, str_t *raw, bool *escaped)
{
    const char *start = ++s->at;
    *escaped = false;
    s->at = scan_json_text(s->at, s->end);
    if (s->at < s->end && *s->at != '"' && !scan_mixed(s, escaped))
        return false;
    if (s->at == s->end)
        return fail(s, "a string without end");
    *raw = str_make(start, (size_t)(s->at - start));
    s->at++;
    return true;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool digits(json_scan_t *s)
{
    const char *start = s->at;
    s->at = skip_digits(s->at, s->end);
    return s->at > start || fail(s, "a malformed number");
}

static bool scan_number(json_scan_t *s)
{
    s->at += *s->at == '-';
    if (s->at < s->end && *s->at == '0')
        s->at++;
    else if (!digits(s))
        return false;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!digits(s))
            return false;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        s->at += s->at < s->end && (*s->at == '+' || *s->at == '-');
        return digits(s);
    }
    return true;
}

static bool scan_word(json_scan_t *s, str_t word)
{
    if (!str_starts(str_make(s->at, (size_t)(s->end - s->at)), word))
        return fail(s, "no JSON value");
    s->at += word.n;
    return true;
}

static bool scan_scalar(json_scan_t *s)
{
    str_t raw;
    bool escaped;
    switch (*s->at) {
    case '"':
        return json_scan_string(s, &raw, &escaped);
    case 't':
        return scan_word(s, STR("true"));
    case 'f':
        return scan_word(s, STR("false"));
    case 'n':
        return scan_word(s, STR("null"));
    default:
        break;
    }
    if (*s->at != '-' && (*s->at < '0' || *s->at > '9'))
        return fail(s, "no JSON value");
    return scan_number(s);
}

bool json_scan_char(json_scan_t *s, char c)
{
    json_skip_space(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

bool json_scan_key(json_scan_t *s, str_t *key, bool *escaped)
{
    json_skip_space(s);
    if (s->at == s->end || *s->at != '"')
        return fail(s, "no member name where one must be");
    if (!json_scan_string(s, key, escaped))
        return false;
    if (!json_scan_char(s, ':'))
        return fail(s, "no colon after a member name");
    json_skip_space(s);
    return true;
}

static bool top_is_object(const nest_t *n)
{
    unsigned i = n->depth - 1;
    return n->is_object[i / 64] >> (i % 64) & 1;
}

static bool push(json_scan_t *s, nest_t *n, bool is_object)
{
    unsigned i = n->depth;
    if (i + s->outer >= DEPTH_MAX)
        return fail(s, "nested deeper than 128");
    uint64_t bit = (uint64_t)1 << (i % 64);
    n->is_object[i / 64] = is_object ? n->is_object[i / 64] | bit : n->is_object[i / 64] & ~bit;
    n->depth++;
    return true;
}

static bool next_item(json_scan_t *s, const nest_t *n)
{
    str_t key;
    bool escaped;
    return !top_is_object(n) || json_scan_key(s, &key, &escaped);
}

// A scalar, an empty container, or the opening of a container up to its first value (*opened).
static bool begin_value(json_scan_t *s, nest_t *n, bool *opened)
{
    *opened = false;
    json_skip_space(s);
    if (s->at == s->end)
        return fail(s, "the text ends where a value must be");
    char c = *s->at;
    if (c != '{' && c != '[')
        return scan_scalar(s);
    s->at++;
    if (!push(s, n, c == '{'))
        return false;
    if (json_scan_char(s, c == '{' ? '}' : ']')) {
        n->depth--;
        return true;
    }
    *opened = true;
    return next_item(s, n);
}

// After a value: closes the containers that end here, or steps to the next value of the
// innermost one.
static bool end_value(json_scan_t *s, nest_t *n, uint32_t *count)
{
    while (n->depth) {
        if (n->depth == 1)
            (*count)++;
        if (json_scan_char(s, ','))
            return next_item(s, n);
        if (!json_scan_char(s, top_is_object(n) ? '}' : ']'))
            return fail(s, "neither a comma nor the closing bracket");
        n->depth--;
    }
    return true;
}

bool json_scan_value(json_scan_t *s, uint32_t *count)
{
    nest_t nest = {0};
    bool opened;
    *count = 0;
    do {
        if (!begin_value(s, &nest, &opened))
            return false;
        if (!opened && !end_value(s, &nest, count))
            return false;
    } while (nest.depth);
    return true;
}

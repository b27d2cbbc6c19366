// Strings and numbers of JSON as values: unescaping, comparing escaped keys, doubles.
#include "http/json_scan.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/bytes.h"

static size_t put_utf8(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

static uint32_t hex4(const char *p)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (uint32_t)hex_digit(p[i]);
    return value;
}

static bool is_low_surrogate(const char *p, const char *end)
{
    return end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (hex4(p + 2) & 0xfc00) == 0xdc00;
}

// \uXXXX at *p, with the low half behind a high one; a half alone is U+FFFD.
static uint32_t decode_u(const char **p, const char *end)
{
    uint32_t c = hex4(*p + 2);
    *p += 6;
    if ((c & 0xf800) != 0xd800)
        return c;
    if ((c & 0xfc00) == 0xdc00 || !is_low_surrogate(*p, end))
        return 0xfffd;
    c = 0x10000 + ((c & 0x3ff) << 10 | (hex4(*p + 2) & 0x3ff));
    *p += 6;
    return c;
}

size_t json_decode(const char **p, const char *end, char out[4])
{
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    if (**p != '\\') {
        out[0] = *(*p)++;
        return 1;
    }
    ASSERT(end - *p >= 2, "a raw string was not scanned before");
    if ((*p)[1] == 'u') {
        ASSERT(end - *p >= 6, "a raw string was not scanned before");
        return put_utf8(decode_u(p, end), out);
    }
    const char *at = strchr(FROM, (*p)[1]);
    out[0] = at ? TO[at - FROM] : (*p)[1];
    *p += 2;
    return 1;
}

bool json_key_equal(str_t raw, bool escaped, str_t name)
{
    if (!escaped)
        return str_eq(raw, name);
    const char *p = raw.p, *end = raw.p + raw.n;
    size_t at = 0;
    while (p < end) {
        char piece[4];
        size_t n = json_decode(&p, end, piece);
        if (n > name.n - at || memcmp(piece, name.p + at, n) != 0)
            return false;
        at += n;
    }
    return at == name.n;
}

int json_string(str_t value, arena_t *a, str_t *out)
{
    json_scan_t s = {.at = value.p, .end = value.p + value.n};
    str_t raw;
    bool escaped;
    if (value.n == 0 || value.p[0] != '"' || !json_scan_string(&s, &raw, &escaped) ||
        s.at != s.end)
        return -1;
    if (!escaped) {
        *out = arena_dup(a, raw);
        return 0;
    }
    char *copy = arena_alloc(a, raw.n + 1), *at = copy;
    for (const char *p = raw.p, *end = raw.p + raw.n; p < end;) {
        const char *plain = scan_byte(p, end, '\\');
        memcpy(at, p, (size_t)(plain - p));
        at += plain - p;
        p = plain;
        if (p < end) {
            char piece[4];
            size_t n = json_decode(&p, end, piece);
            memcpy(at, piece, n);
            at += n;
        }
    }
    ASSERT((size_t)(at - copy) <= raw.n, "unescaping made a string longer");
    *at = '\0';
    *out = str_make(copy, (size_t)(at - copy));
    return 0;
}

// Up to 15 digits and no exponent: exact in one division, and that is nearly every number there
// is.
static bool short_number(str_t text, double *out)
{
    static const double POWERS[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = text.p[0] == '-', point = false;
    uint64_t value = 0;
    unsigned fraction = 0;
    if (text.n > 16)
        return false;
    for (size_t i = negative; i < text.n; i++) {
        if (text.p[i] == '.') {
            point = true;
            continue;
        }
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.p[i] - '0');
        fraction += point;
    }
    if (value > (uint64_t)1 << 53 || fraction > 15)
        return false;
    double d = (double)value / POWERS[fraction];
    *out = negative ? -d : d;
    return true;
}

// strtod wants a NUL. Its result is refused when it stopped early: a plugin may have changed
// the decimal point.
static int long_number(str_t text, double *out)
{
    char small[64], *copy = small, *stop;
    if (text.n >= sizeof small && !(copy = mem_try_alloc(text.n + 1)))
        return -1;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    double value = strtod(copy, &stop);
    bool whole = stop == copy + text.n;
    if (copy != small)
        free(copy);
    if (!whole || !isfinite(value))
        return -1;
    *out = value;
    return 0;
}

int json_number(str_t value, double *out)
{
    json_scan_t s = {.at = value.p, .end = value.p + value.n};
    uint32_t count;
    if (json_value_type(value) != JSON_NUMBER || !json_scan_value(&s, &count) || s.at != s.end)
        return -1;
    return short_number(value, out) ? 0 : long_number(value, out);
}

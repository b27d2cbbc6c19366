// The growable buffer. Grows by doubling; an emptied buffer starts again at its front.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void buf_dispose(buf_t *b)
{
    free(b->p);
    *b = (buf_t){0};
}

static int grow(buf_t *b, size_t more)
{
    if (b->head && b->cap - b->n >= more) {
        memmove(b->p, b->p + b->head, b->n);
        b->head = 0;
        return 0;
    }
    size_t need;
    if (__builtin_add_overflow(b->head + b->n, more, &need) || need > SIZE_MAX / 2)
        return -1;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need)
        cap *= 2;
    char *p = mem_try_realloc(b->p, cap);
    if (!p)
        return -1;
    b->p = p;
    b->cap = cap;
    return 0;
}

char *buf_reserve(buf_t *b, size_t n)
{
    if (b->cap - b->head - b->n < n)
        ASSERT(grow(b, n) == 0, "out of memory");
    return b->p + b->head + b->n;
}

int buf_try_append(buf_t *b, str_t s)
{
    if (b->cap - b->head - b->n < s.n && grow(b, s.n) != 0)
        return -1;
    if (s.n)
        memcpy(b->p + b->head + b->n, s.p, s.n);
    b->n += s.n;
    return 0;
}

void buf_append(buf_t *b, str_t s)
{
    ASSERT(buf_try_append(b, s) == 0, "out of memory");
}

void buf_putc(buf_t *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->n++;
}

void buf_printf(buf_t *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0, "a format of ours is wrong");
    vsnprintf(buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

// Length of the valid UTF-8 sequence at p (RFC 3629), or 0.
static size_t utf8_len(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (len == 0 || p[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
               (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : len;
}

static void append_escaped(buf_t *b, unsigned char c)
{
    static const char *const SHORT[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f",
        ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\"};
    if (c < sizeof SHORT / sizeof SHORT[0] && SHORT[c])
        buf_append(b, str_from(SHORT[c]));
    else
        buf_printf(b, "\\u%04x", c);
}

// Characters that end lines or steer terminals somewhere, though JSON allows them: C1 controls, U+2028, U+2029.
static void append_wide(buf_t *b, const unsigned char *p, size_t len)
{
    bool c1 = len == 2 && p[0] == 0xc2 && p[1] < 0xa0;
    bool separator = len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
    if (c1 || separator)
        buf_printf(b, "\\u%04x", c1 ? p[1] : 0x2028u + (p[2] - 0xa8u));
    else
        buf_append(b, len ? str_make((const char *)p, len) : STR("\xef\xbf\xbd"));
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

// How many bytes at p[0..n) stand in a JSON string as they are.
static size_t plain_run(const unsigned char *p, size_t n)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                   _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
        odd = _mm_or_si128(
            odd, _mm_cmplt_epi8(v, _mm_set1_epi8(0x20))); // bytes over 0x7f are negative
        int mask = _mm_movemask_epi8(odd);
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (i < n && is_plain(p[i]))
        i++;
    return i;
}

void buf_append_json(buf_t *b, str_t s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0, start = 0;; i++) {
        i += plain_run(p + i, s.n - i);
        buf_append(b, str_make(s.p + start, i - start));
        if (i >= s.n)
            return;
        size_t len = utf8_len(p + i, s.n - i);
        if (p[i] < 0x80)
            append_escaped(b, p[i]);
        else
            append_wide(b, p + i, len);
        i += len ? len - 1 : 0;
        start = i + 1;
    }
}

void buf_consume(buf_t *b, size_t n)
{
    ASSERT(n <= b->n, "consuming more than the buffer holds");
    b->head += n;
    b->n -= n;
    if (b->n == 0)
        b->head = 0;
}

void buf_clear(buf_t *b)
{
    b->head = b->n = 0;
}

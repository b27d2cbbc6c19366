// Byte classes of HTTP and the scans over them that set the speed of every parser in this room.
// Not for other rooms. A scan never reads outside [p, end); at `end` it gives `end`.
// With SSE2 sixteen bytes a step, without it one: both find the same byte.
#pragma once

#include <stdint.h>

#include "base/str.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    B_TOKEN = 1,       // tchar (RFC 9110 5.6.2)
    B_NAME = 2,        // tchar but '_'
    B_VALUE = 4,       // field value: HTAB, SP, VCHAR, obs-text
    B_TARGET = 8,      // request target: VCHAR but '#'
    B_HOST = 16,       // reg-name without sub-delims and triplets: ALPHA DIGIT - . _ ~
    B_PATH = 32,       // pchar without triplets, and '/' (RFC 3986 3.3)
    B_UNRESERVED = 64, // RFC 3986 2.3
    B_HEX = 128,
};

extern const uint8_t byte_class[256];

static inline bool byte_is(char c, unsigned classes)
{
    return (byte_class[(unsigned char)c] & classes) != 0;
}

// First byte that is in none of `classes`.
static inline const char *scan_class(const char *p, const char *end, unsigned classes)
{
    while (p < end && byte_is(*p, classes))
        p++;
    return p;
}

// 0..15, or -1.
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

#if defined(__SSE2__)
// MASK computes from `v`, sixteen bytes, a mask of those looked for.
#define SCAN_BLOCKS(p, end, MASK)                                                              \
    for (; (end) - (p) >= 16; (p) += 16) {                                                     \
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p));                       \
        unsigned found = (unsigned)_mm_movemask_epi8(MASK);                                    \
        if (found)                                                                             \
            return (p) + __builtin_ctz(found);                                                 \
    }
#define IS_BYTE(c) _mm_cmpeq_epi8(v, _mm_set1_epi8(c))
#define IS_BELOW_SPACE _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v)
#else
#define SCAN_BLOCKS(p, end, MASK)
#endif

// First byte that may not stand in a field value: the CR at its end, usually.
static inline const char *scan_value(const char *p, const char *end)
{
    SCAN_BLOCKS(p, end,
                _mm_or_si128(_mm_andnot_si128(IS_BYTE('\t'), IS_BELOW_SPACE), IS_BYTE(0x7f)))
    return scan_class(p, end, B_VALUE);
}

// Is this only letters, digits and '-', as nearly all field names are? False: look closer. Reads up to 15 bytes behind the name, but
// never at `end`.
static inline bool is_usual_name(str_t name, const char *end)
{
#if defined(__SSE2__)
    for (size_t at = 0; at < name.n; at += 16) {
        const char *p = name.p + at;
        if (end - p < 16)
            return false;
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(low, _mm_set1_epi8('a' - 1)),
                                       _mm_cmplt_epi8(low, _mm_set1_epi8('z' + 1)));
        __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)),
                                      _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1)));
        __m128i usual = _mm_or_si128(_mm_or_si128(letter, digit), IS_BYTE('-'));
        unsigned odd = ~(unsigned)_mm_movemask_epi8(usual) & 0xffffu;
        if (odd && (size_t)__builtin_ctz(odd) < name.n - at)
            return false;
    }
    return name.n > 0;
#else
    (void)name;
    (void)end;
    return false;
#endif
}

// First byte that may not stand in a request target.
static inline const char *scan_target(const char *p, const char *end)
{
    SCAN_BLOCKS(p, end,
                _mm_or_si128(_mm_or_si128(IS_BYTE('#'), IS_BYTE(0x7f)),
                             _mm_cmplt_epi8(v, _mm_set1_epi8(0x21))))
    return scan_class(p, end, B_TARGET);
}

static inline const char *scan_byte(const char *p, const char *end, char c)
{
    SCAN_BLOCKS(p, end, IS_BYTE(c))
    while (p < end && *p != c)
        p++;
    return p;
}

// First CR or LF.
static inline const char *scan_line(const char *p, const char *end)
{
    SCAN_BLOCKS(p, end, _mm_or_si128(IS_BYTE('\r'), IS_BYTE('\n')))
    while (p < end && *p != '\r' && *p != '\n')
        p++;
    return p;
}

// First byte that is not printable ASCII, or is `"` or `\`: where plain text inside a JSON
// string stops.
static inline const char *scan_json_text(const char *p, const char *end)
{
    SCAN_BLOCKS(p, end,
                _mm_or_si128(_mm_or_si128(IS_BYTE('"'), IS_BYTE('\\')),
                             _mm_or_si128(IS_BELOW_SPACE, v)))
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

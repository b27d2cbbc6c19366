// The skimmer: strings are skipped 16 bytes at a time, containers by their brackets.
#include "http/json_skim.h"

#include "base/check.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

#if defined(__SSE2__)
// Mask of the bytes of 16 at p that are one of two.
static inline unsigned either_of(const char *p, char a, char b)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit =
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(a)), _mm_cmpeq_epi8(v, _mm_set1_epi8(b)));
    return (unsigned)_mm_movemask_epi8(hit);
}

// Mask of the bytes of 16 at p that are a quote or a bracket: | 0x20 makes [ and { one, ] and } one.
static inline unsigned structure_of(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i folded = _mm_or_si128(v, _mm_set1_epi8(0x20));
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')),
                               _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

// p is behind the opening quote. Behind the closing one, or NULL.
static const char *skip_string(const char *p, const char *end)
{
    for (;;) {
#if defined(__SSE2__)
        unsigned hit = 0;
        while (end - p >= 16 && (hit = either_of(p, '"', '\\')) == 0)
            p += 16;
        if (hit)
            p += __builtin_ctz(hit);
#endif
        while (p < end && *p != '"' && *p != '\\')
            p++;
        if (p >= end)
            return NULL;
        if (*p == '"')
            return p + 1;
        p += 2;
    }
}

static inline bool is_structure(char c)
{
    char folded = (char)(c | 0x20);
    return c == '"' || folded == '{' || folded == '}';
}

// p is at the opening bracket. Behind the matching one, or NULL.
static const char *skip_container(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
#if defined(__SSE2__)
        unsigned hit = 0;
        while (end - p >= 16 && (hit = structure_of(p)) == 0)
            p += 16;
        if (hit)
            p += __builtin_ctz(hit);
#endif
        while (p < end && !is_structure(*p))
            p++;
        if (p >= end)
            return NULL;
        char c = *p++;
        if (c == '"') {
            p = skip_string(p, end);
            if (!p)
                return NULL;
        } else if ((c | 0x20) == '{') {
            depth++;
        } else if (--depth == 0) {
            return p;
        }
    }
    return NULL;
}

static const char *skip_value(const char *p, const char *end)
{
    if (p >= end)
        return NULL;
    if (*p == '"')
        return skip_string(p + 1, end);
    if (*p == '{' || *p == '[')
        return skip_container(p, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && !is_space(*p))
        p++;
    return p;
}

static void take(str_t key, str_t value, const str_t *names, str_t *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(key, names[i]))
            values[i] = value;
    }
}

// One member at p. Behind it, or NULL.
static const char *skim_member(const char *p, const char *end, const str_t *names,
                               str_t *values, unsigned n)
{
    if (p >= end || *p != '"')
        return NULL;
    const char *key = p + 1;
    p = skip_string(key, end);
    if (!p)
        return NULL;
    str_t name = str_make(key, (size_t)(p - 1 - key));
    p = skip_space(p, end);
    if (p >= end || *p != ':')
        return NULL;
    const char *value = skip_space(p + 1, end);
    p = skip_value(value, end);
    if (p)
        take(name, str_make(value, (size_t)(p - value)), names, values, n);
    return p;
}

int json_skim(str_t text, const str_t *names, str_t *values, unsigned n)
{
    ASSERT(n <= 16, "a few names at a time");
    for (unsigned i = 0; i < n; i++)
        values[i] = str_make(NULL, 0);
    const char *p = skip_space(text.p, text.p + text.n), *end = text.p + text.n;
    if (p >= end || *p != '{')
        return -1;
    p = skip_space(p + 1, end);
    if (p < end && *p == '}')
        return 0;
    for (;;) {
        p = skim_member(p, end, names, values, n);
        if (!p)
            return -1;
        p = skip_space(p, end);
        if (p < end && *p == '}')
            return 0;
        if (p >= end || *p != ',')
            return -1;
        p = skip_space(p + 1, end);
    }
}

// Long strings at 64 bytes a step, where the processor has AVX2: which bytes are escaped comes from
// the carry of one addition over the mask of backslashes, UTF-8 is checked by three table look-ups
// on neighbouring bytes. Not here: what is wrong and where, json_scan.c finds that byte by byte.
// Invariant: nothing is stepped over that is not valid, and it stops between two characters.
#include "http/json_scan.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "base/check.h"
#include "http/bytes.h"

#define AVX2 __attribute__((target("avx2,bmi")))
#define BOTH_16(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

enum { BLOCK = 64 };

// What the bytes before a block leave open.
typedef struct state {
    __m256i before;   // the 32 bytes before it
    uint64_t tail;    // of the last three of them: those that are not ASCII
    uint64_t escape;  // 1: the last one is a backslash that escapes the next byte
    const char *unit; // the last \uXXXX begun; its digits may reach past the end of its block
    bool escaped;     // there were escapes
} state_t;

typedef struct block {
    __m256i lo, hi;
    uint64_t quotes, backslashes, controls, wide;
} block_t;

AVX2 static inline uint64_t mask_of(__m256i lo, __m256i hi)
{
    return (uint32_t)_mm256_movemask_epi8(lo) | (uint64_t)(uint32_t)_mm256_movemask_epi8(hi)
                                                    << 32;
}

AVX2 static inline uint64_t bytes_equal(const block_t *b, char c)
{
    __m256i v = _mm256_set1_epi8(c);
    return mask_of(_mm256_cmpeq_epi8(b->lo, v), _mm256_cmpeq_epi8(b->hi, v));
}

AVX2 static inline block_t load(const char *p)
{
    block_t b;
    b.lo = _mm256_loadu_si256((const __m256i *)(const void *)p);
    b.hi = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    __m256i top = _mm256_set1_epi8(0x1f);
    b.quotes = bytes_equal(&b, '"');
    b.backslashes = bytes_equal(&b, '\\');
    b.controls = mask_of(_mm256_cmpeq_epi8(_mm256_min_epu8(b.lo, top), b.lo),
                         _mm256_cmpeq_epi8(_mm256_min_epu8(b.hi, top), b.hi));
    b.wide = mask_of(b.lo, b.hi);
    return b;
}

// The bytes that stand behind an escaping backslash. A run of backslashes that begins at an odd
// place carries, when added to, one place past its end; by that the parity of its length shows.
static inline uint64_t escaped_bytes(uint64_t backslashes, uint64_t *escape)
{
    const uint64_t even = 0x5555555555555555;
    uint64_t run = backslashes & ~*escape;
    uint64_t behind = run << 1 | *escape;
    uint64_t odd_starts = run & ~even & ~behind;
    unsigned long long sum;
    *escape = __builtin_uaddll_overflow(odd_starts, run, &sum);
    return (even ^ (uint64_t)sum << 1) & behind;
}

// A bit for each high nibble that goes with a low one: 0x2_ 1, 0x5_ 2, 0x6_ 4, 0x7_ 8.
AVX2 static inline __m256i not_escapes(__m256i v)
{
    const __m256i by_low = BOTH_16(0, 0, 13, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
    const __m256i by_high = BOTH_16(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
    __m256i is =
        _mm256_and_si256(_mm256_shuffle_epi8(by_low, v), _mm256_shuffle_epi8(by_high, high));
    return _mm256_cmpeq_epi8(is, _mm256_setzero_si256());
}

static bool is_unit(const char *u, const char *end)
{
    return end - u > 4 && scan_class(u + 1, u + 5, B_HEX) == u + 5;
}

// Whether the bytes of mask `escaped` in the block at p may stand behind a backslash.
AVX2 static inline bool escapes_hold(const block_t *b, uint64_t escaped, const char *p,
                                     const char *end, const char **unit)
{
    if (escaped & mask_of(not_escapes(b->lo), not_escapes(b->hi)))
        return false;
    uint64_t units = escaped & bytes_equal(b, 'u');
    for (; units; units &= units - 1) {
        const char *u = p + __builtin_ctzll(units);
        if (!is_unit(u, end))
            return false;
        *unit = u - 1;
    }
    return true;
}

// After Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte" (2020): each
// bit is a way in which two neighbouring bytes can be wrong, and is left when the first one's
// nibbles and the second one's high nibble all allow it. The highest bit is two continuation bytes,
// which are right exactly where a longer sequence needs them.
enum {
    TOO_SHORT = 1,
    TOO_LONG = 2,
    OVERLONG_3 = 4,
    TOO_LARGE = 8,
    SURROGATE = 16,
    OVERLONG_2 = 32,
    OVERLONG_4 = 64,
    LARGER = 64, // than f4, where OVERLONG_4 cannot be
    CONTINUED = 128,
    ANY_LOW = TOO_SHORT | TOO_LONG | CONTINUED,
    ABOVE_F4 = ANY_LOW | TOO_LARGE | LARGER,
    SECOND = TOO_LONG | OVERLONG_2 | CONTINUED,
};

// Not zero where v, behind `before`, is wrong; no later than one byte past a broken sequence.
AVX2 static inline __m256i utf8_errors(__m256i v, __m256i before)
{
#define B(x) (char)(x)
    const __m256i first_high =
        BOTH_16(TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
                B(CONTINUED), B(CONTINUED), B(CONTINUED), B(CONTINUED), TOO_SHORT | OVERLONG_2,
                TOO_SHORT, TOO_SHORT | OVERLONG_3 | SURROGATE,
                TOO_SHORT | TOO_LARGE | LARGER | OVERLONG_4);
    const __m256i first_low =
        BOTH_16(B(ANY_LOW | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), B(ANY_LOW | OVERLONG_2),
                B(ANY_LOW), B(ANY_LOW), B(ANY_LOW | TOO_LARGE), B(ABOVE_F4), B(ABOVE_F4),
                B(ABOVE_F4), B(ABOVE_F4), B(ABOVE_F4), B(ABOVE_F4), B(ABOVE_F4), B(ABOVE_F4),
                B(ABOVE_F4 | SURROGATE), B(ABOVE_F4), B(ABOVE_F4));
    const __m256i second_high =
        BOTH_16(TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
                TOO_SHORT, B(SECOND | OVERLONG_3 | LARGER | OVERLONG_4),
                B(SECOND | OVERLONG_3 | TOO_LARGE), B(SECOND | SURROGATE | TOO_LARGE),
                B(SECOND | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT);
#undef B
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    __m256i joint = _mm256_permute2x128_si256(before, v, 0x21);
    __m256i back1 = _mm256_alignr_epi8(v, joint, 15);
    __m256i back2 = _mm256_alignr_epi8(v, joint, 14);
    __m256i back3 = _mm256_alignr_epi8(v, joint, 13);
    __m256i high1 = _mm256_and_si256(_mm256_srli_epi16(back1, 4), nibble);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    __m256i wrong = _mm256_and_si256(
        _mm256_and_si256(_mm256_shuffle_epi8(first_high, high1),
                         _mm256_shuffle_epi8(first_low, _mm256_and_si256(back1, nibble))),
        _mm256_shuffle_epi8(second_high, high));
    __m256i third = _mm256_subs_epu8(back2, _mm256_set1_epi8(0xe0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(back3, _mm256_set1_epi8(0xf0 - 0x80));
    __m256i needed =
        _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(needed, wrong);
}

AVX2 static inline uint64_t utf8_wrong(const block_t *b, __m256i before)
{
    const __m256i zero = _mm256_setzero_si256();
    return ~mask_of(_mm256_cmpeq_epi8(utf8_errors(b->lo, before), zero),
                    _mm256_cmpeq_epi8(utf8_errors(b->hi, b->lo), zero));
}

// The beginning of what crosses p, a border between blocks; or p.
static const char *whole_before(const state_t *s, const char *start, const char *p)
{
    if (s->escape)
        return p - 1;
    if (s->unit && s->unit + 6 > p)
        return s->unit;
    for (int k = 1; k <= 3 && p - k >= start && p[-k] & 0x80; k++) {
        unsigned char c = (unsigned char)p[-k];
        int n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (n > 1)
            return n > k ? p - k : p;
    }
    return p;
}

// One block at p. False when it is to be looked at byte by byte; *close: the string's end, or NULL.
AVX2 static inline bool step(state_t *s, const char *p, const char *end, const char **close)
{
    block_t b = load(p);
    state_t next = {.before = b.hi, .tail = b.wide >> 61, .escape = s->escape, .unit = s->unit};
    uint64_t escaped = escaped_bytes(b.backslashes, &next.escape);
    uint64_t quotes = b.quotes & ~escaped;
    uint64_t inside =
        quotes ^ (quotes - 1); // up to and with the closing quote; all without one
    escaped &= inside;
    if (b.controls & inside)
        return false;
    if (escaped && !escapes_hold(&b, escaped, p, end, &next.unit))
        return false;
    if ((b.wide | s->tail) && utf8_wrong(&b, s->before) & inside)
        return false;
    next.escaped = s->escaped || (b.backslashes & inside);
    *close = quotes ? p + __builtin_ctzll(quotes) : NULL;
    *s = next;
    return true;
}

AVX2 static const char *skip_blocks(const char *start, const char *end, bool *escaped)
{
    state_t s = {.before = _mm256_setzero_si256()};
    const char *p = start, *close = NULL;
    while (end - p >= BLOCK && !close && step(&s, p, end, &close))
        p += BLOCK;
    *escaped |= s.escaped;
    const char *at = close ? close : whole_before(&s, start, p);
    ASSERT(at >= start && at <= end, "blocks stay inside the text");
    return at;
}

const char *json_skip_blocks(const char *p, const char *end, bool *escaped)
{
    return end - p >= BLOCK && __builtin_cpu_supports("avx2") ? skip_blocks(p, end, escaped)
                                                              : p;
}

#else

const char *json_skip_blocks(const char *p, const char *end, bool *escaped)
{
    (void)end, (void)escaped;
    return p;
}

#endif

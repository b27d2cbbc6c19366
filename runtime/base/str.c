// Slice helpers too long to be inline. No allocation here.
#include "base/str.h"

#include "base/check.h"

bool str_ieq(str_t a, str_t b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    }
    return true;
}

ptrdiff_t str_chr(str_t s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

ptrdiff_t str_find(str_t s, str_t needle)
{
    if (needle.n == 0)
        return 0;
    const char *at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return at ? at - s.p : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

str_t str_trim(str_t s)
{
    while (s.n && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

int str_to_u64(str_t s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.n == 0)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -1;
    }
    *out = value;
    return 0;
}

bool str_list_next(str_t *rest, str_t *item)
{
    while (rest->n) {
        ptrdiff_t comma = str_chr(*rest, ',');
        size_t n = comma < 0 ? rest->n : (size_t)comma;
        *item = str_trim(str_make(rest->p, n));
        *rest = str_from_at(*rest, comma < 0 ? n : n + 1);
        if (item->n)
            return true;
    }
    return false;
}

static uint64_t load64(const char *p, size_t n)
{
    uint64_t v = 0;
    ASSERT(n <= sizeof v, "a hash word has at most 8 bytes");
    memcpy(&v, p, n);
    return v;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t str_hash(str_t s, uint64_t seed)
{
    const uint64_t k0 = 0xa0761d6478bd642fULL, k1 = 0xe7037ed1a0b428dbULL;
    uint64_t h = seed ^ k0;
    size_t n = s.n;
    const char *p = s.p;
    for (; n > 16; p += 16, n -= 16)
        h = fold(load64(p, 8) ^ k1, load64(p + 8, 8) ^ h);
    uint64_t a = n > 8 ? load64(p, 8) : load64(p, n);
    uint64_t b = n > 8 ? load64(p + 8, n - 8) : 0;
    return fold(k1 ^ s.n, fold(a ^ k1, b ^ h));
}

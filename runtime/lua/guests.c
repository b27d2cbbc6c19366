// Symbols of nginx that libraries written for OpenResty look up through the FFI (resty.string, resty.jit-uuid, ...).
// Names and behaviour are nginx's. Nothing of ours calls them.
#include <stddef.h>
#include <stdint.h>

unsigned char *ngx_hex_dump(unsigned char *dst, const unsigned char *src, size_t n);
intptr_t ngx_atoi(const unsigned char *line, size_t n);
intptr_t ngx_hextoi(const unsigned char *line, size_t n);

// Lower-case hex of src; the byte after it.
unsigned char *ngx_hex_dump(unsigned char *dst, const unsigned char *src, size_t n)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *dst++ = (unsigned char)DIGITS[src[i] >> 4];
        *dst++ = (unsigned char)DIGITS[src[i] & 15];
    }
    return dst;
}

static int digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char low = c | 0x20;
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

// A number without sign, or -1 (empty, other bytes, too large).
static intptr_t parse(const unsigned char *line, size_t n, int base)
{
    intptr_t value = 0;
    if (n == 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int d = digit(line[i]);
        if (d < 0 || d >= base || value > (INTPTR_MAX - d) / base)
            return -1;
        value = value * base + d;
    }
    return value;
}

intptr_t ngx_atoi(const unsigned char *line, size_t n)
{
    return parse(line, n, 10);
}

intptr_t ngx_hextoi(const unsigned char *line, size_t n)
{
    return parse(line, n, 16);
}

// Parsing, printing and matching of socket addresses. No name lookup (io/dns.h).
#include "io/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"

// A slice as a C string; false when it does not fit or holds a NUL.
static bool to_cstr(str_t s, char *out, size_t cap)
{
    if (s.n == 0 || s.n >= cap || memchr(s.p, 0, s.n))
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

static int parse_unix(str_t path, addr_t *out)
{
    addr_t a = {.un.sun_family = AF_UNIX};
    if (!to_cstr(path, a.un.sun_path, sizeof a.un.sun_path))
        return ERR_INVALID;
    *out = a;
    return 0;
}

static int parse_port(str_t text, uint16_t *out)
{
    uint64_t port;
    if (text.n > 5 || str_to_u64(text, &port) != 0 || port > UINT16_MAX)
        return ERR_INVALID;
    *out = (uint16_t)port;
    return 0;
}

int addr_from_ip(str_t ip, uint16_t port, addr_t *out)
{
    char text[INET6_ADDRSTRLEN + 1];
    bool brackets = ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']';
    addr_t a = {.in6.sin6_family = AF_INET6};
    if (brackets)
        ip = str_make(ip.p + 1, ip.n - 2);
    if (!to_cstr(ip, text, sizeof text))
        return ERR_INVALID;
    if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
        a.in6.sin6_port = htons(port);
        *out = a;
        return 0;
    }
    a = (addr_t){.in.sin_family = AF_INET};
    if (brackets || inet_pton(AF_INET, text, &a.in.sin_addr) != 1)
        return ERR_INVALID;
    a.in.sin_port = htons(port);
    *out = a;
    return 0;
}

int addr_parse(str_t text, addr_t *out)
{
    uint16_t port;
    if (str_starts(text, STR("unix:")))
        return parse_unix(str_from_at(text, 5), out);
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || parse_port(str_from_at(text, colon), &port) != 0)
        return ERR_INVALID;
    str_t ip = str_make(text.p, colon - 1);
    if (ip.p[0] != '[' && str_chr(ip, ':') >= 0)
        return ERR_INVALID; // "::1:80" could mean two things
    return addr_from_ip(ip, port, out);
}

// Dotted decimal by hand: every request writes two, and inet_ntop goes through printf.
static size_t ip4_text(const void *address, char *out)
{
    const uint8_t *octets = address;
    char *at = out;
    for (int i = 0; i < 4; i++) {
        unsigned v = octets[i];
        if (v >= 100)
            *at++ = (char)('0' + v / 100);
        if (v >= 10)
            *at++ = (char)('0' + v / 10 % 10);
        *at++ = (char)('0' + v % 10);
        *at++ = i < 3 ? '.' : '\0';
    }
    return (size_t)(at - out) - 1;
}

size_t addr_ip_text(const addr_t *a, char *out, size_t cap)
{
    ASSERT(cap >= 64, "an address has room for its text");
    const char *text = NULL;
    if (a->sa.sa_family == AF_INET)
        return ip4_text(&a->in.sin_addr, out);
    if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
        return ip4_text(&a->in6.sin6_addr.s6_addr[12], out);
    if (a->sa.sa_family == AF_INET6)
        text = inet_ntop(AF_INET6, &a->in6.sin6_addr, out, (socklen_t)cap);
    if (!text)
        memcpy(out, "unix:", sizeof "unix:");
    return strlen(out);
}

uint16_t addr_port(const addr_t *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohs(a->in.sin_port);
    return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

void addr_set_port(addr_t *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons(port);
}

bool addr_equal(const addr_t *a, const addr_t *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    switch (a->sa.sa_family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port &&
               a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port &&
               a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
    case AF_UNIX:
        return strncmp(a->un.sun_path, b->un.sun_path, sizeof a->un.sun_path) == 0;
    default:
        return true; // two unset addresses
    }
}

size_t addr_len(const addr_t *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return sizeof a->in;
    case AF_INET6:
        return sizeof a->in6;
    case AF_UNIX:
        return offsetof(struct sockaddr_un, sun_path) + strlen(a->un.sun_path) + 1;
    default:
        return 0;
    }
}

// The 16 bytes of an address (IPv4 mapped); false for unix.
static bool address_bytes(const addr_t *a, uint8_t out[16])
{
    if (a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->in6.sin6_addr, 16);
        return true;
    }
    if (a->sa.sa_family != AF_INET)
        return false;
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    memcpy(out + 12, &a->in.sin_addr, 4);
    return true;
}

// Compares the first `bits` bits.
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

int cidr_parse(str_t text, cidr_t *out)
{
    cidr_t c = {.any_unix = str_eq(text, STR("unix:"))};
    ptrdiff_t slash = str_chr(text, '/');
    str_t ip = slash < 0 ? text : str_make(text.p, (size_t)slash);
    addr_t a;
    uint64_t bits = 128;
    if (c.any_unix) {
        *out = c;
        return 0;
    }
    if (addr_from_ip(ip, 0, &a) != 0 || !address_bytes(&a, c.bytes))
        return ERR_INVALID;
    unsigned base = a.sa.sa_family == AF_INET ? 96 : 0;
    if (slash >= 0) {
        str_t digits = str_from_at(text, (size_t)slash + 1);
        if (digits.n > 3 || str_to_u64(digits, &bits) != 0 || bits > 128 - base)
            return ERR_INVALID;
        bits += base;
    }
    c.bits = (uint8_t)bits;
    *out = c;
    return 0;
}

bool cidr_match(const cidr_t *c, const addr_t *a)
{
    uint8_t bytes[16];
    if (c->any_unix)
        return a->sa.sa_family == AF_UNIX;
    return address_bytes(a, bytes) && same_prefix(c->bytes, bytes, c->bits);
}

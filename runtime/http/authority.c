// One parser for every authority, so that routing, upstreams and URLs cannot see two different
// hosts.
#include "http/authority.h"

#include <arpa/inet.h>

#include "http/bytes.h"

static int refuse(const char **why, const char *text)
{
    *why = text;
    return -1;
}

static bool v6_valid(str_t text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.n >= sizeof copy || memchr(text.p, '\0', text.n))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

// Length of the host at the front of `text`, 0 when it is none.
static size_t host_length(str_t text)
{
    if (text.n == 0)
        return 0;
    if (text.p[0] == '[') {
        ptrdiff_t close = str_chr(text, ']');
        return close > 0 && v6_valid(str_make(text.p + 1, (size_t)close - 1))
                   ? (size_t)close + 1
                   : 0;
    }
    return (size_t)(scan_class(text.p, text.p + text.n, B_HOST) - text.p);
}

static bool labels_valid(str_t host)
{
    char before = '.';
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '.' && before == '.')
            return false;
        before = host.p[i];
    }
    return true;
}

static int port_parse(str_t text, uint16_t *port)
{
    uint64_t value;
    if (text.n > 5 || str_to_u64(text, &value) != 0 || value == 0 || value > UINT16_MAX)
        return -1;
    *port = (uint16_t)value;
    return 0;
}

int authority_parse(str_t text, str_t *host, uint16_t *port, const char **why)
{
    str_t name = str_make(text.p, host_length(text));
    str_t rest = str_from_at(text, name.n);
    uint16_t number = 0;
    if (name.n == 0)
        return refuse(why, "no host, or a byte that may not stand in one");
    if (rest.n && rest.p[0] != ':')
        return refuse(why, "a byte that may not stand in a host");
    if (rest.n && port_parse(str_from_at(rest, 1), &number) != 0)
        return refuse(why, "a port that is not 1 to 65535");
    if (!labels_valid(name))
        return refuse(why, "an empty label in a host");
    if (name.p[name.n - 1] == '.')
        name.n--;
    *host = name;
    *port = number;
    return 0;
}

// The client's address and what trusted proxies said of it. X-Forwarded-For is read from the right: the first address that is not
// trusted is the client.
#include "core/client.h"

#include "base/check.h"
#include "core/conn.h"
#include "core/worker.h"

static bool is_trusted(const worker_t *w, const addr_t *a)
{
    for (unsigned i = 0; i < w->n_trusted; i++) {
        if (cidr_match(&w->trusted[i], a))
            return true;
    }
    return false;
}

// An address as it stands in X-Forwarded-For: an IP, maybe with a port.
static bool parse_hop(str_t text, addr_t *out)
{
    return addr_from_ip(text, 0, out) == 0 || addr_parse(text, out) == 0;
}

static void walk_forwarded_for(const request_t *r, addr_t *client)
{
    str_t list = headers_get(&r->head.headers, HDR_X_FORWARDED_FOR);
    while (list.n) {
        ptrdiff_t comma = -1;
        for (size_t i = list.n; i > 0 && comma < 0; i--) {
            if (list.p[i - 1] == ',')
                comma = (ptrdiff_t)i - 1;
        }
        addr_t hop;
        if (!parse_hop(str_trim(str_from_at(list, (size_t)(comma + 1))), &hop))
            return;
        *client = hop;
        if (comma < 0 || !is_trusted(r->worker, &hop))
            return;
        list.n = (size_t)comma;
    }
}

static void read_forwarded(request_t *r, addr_t *client)
{
    const headers_t *h = &r->head.headers;
    uint64_t port;
    walk_forwarded_for(r, client);
    addr_t real;
    str_t real_ip = headers_get(h, HDR_X_REAL_IP);
    if (!headers_get(h, HDR_X_FORWARDED_FOR).n && real_ip.n && parse_hop(real_ip, &real))
        *client = real;
    r->forwarded_proto = headers_get(h, HDR_X_FORWARDED_PROTO);
    r->forwarded_host = headers_get(h, HDR_X_FORWARDED_HOST);
    r->forwarded_path = headers_get(h, HDR_X_FORWARDED_PATH);
    if (str_to_u64(headers_get(h, HDR_X_FORWARDED_PORT), &port) == 0 && port <= 65535)
        r->forwarded_port = (uint16_t)port;
    ptrdiff_t colon = str_chr(r->forwarded_host, ':');
    if (colon > 0 && r->forwarded_host.p[0] != '[')
        r->forwarded_host.n = (size_t)colon;
}

// The address as 16 bytes, IPv4 mapped; zeros for unix sockets.
static void addr_bytes(const addr_t *a, uint8_t out[16])
{
    memset(out, 0, 16);
    if (a->sa.sa_family == AF_INET) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &a->in.sin_addr, 4);
    } else if (a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->in6.sin6_addr, 16);
    }
}

void client_identify(request_t *r)
{
    const addr_t *peer = sock_peer(r->conn->sock);
    addr_t client = *peer;
    r->trusted = r->worker->n_trusted && is_trusted(r->worker, peer);
    if (r->trusted)
        read_forwarded(r, &client);
    char text[64];
    size_t n = addr_ip_text(&client, text, sizeof text);
    ASSERT(n < sizeof r->client_ip, "an address fits its text");
    memcpy(r->client_ip, text, n); // the rest is zeros
    addr_bytes(&client, r->client_bytes);
    r->client_port = addr_port(&client);
}

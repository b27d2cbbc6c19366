// What goes upstream: the request head, re-serialised from the parsed form, and the body. Hop-by-hop lines stay here;
// framing is decided anew from what is known of the body.
#include "base/check.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/exchange_impl.h"
#include "core/wire.h"

enum { SLICES_MAX = 60 };

bool exchange_streams_body(const request_t *r)
{
    bool here =
        r->body.mode == BODY_HELD || r->body.mode == BODY_COLLECT; // a reader may have given up
    return r->body.kind != BODY_NONE && !r->new_body.p && !r->doc && here && !r->body.complete;
}

str_t exchange_chosen_host(const request_t *r)
{
    const upstream_request_t *up = &r->up;
    if (up->host_header.n)
        return up->host_header;
    if (r->route && r->route->preserve_host && !up->set) {
        str_t sent = headers_get(&r->head.headers, HDR_HOST);
        if (sent.n)
            return sent;
    }
    if (up->balancer && up->balancer->host_header.n)
        return up->balancer->host_header;
    return STR("");
}

// The authority to send as Host.
static str_t host_value(const exchange_t *x)
{
    request_t *r = x->r;
    const upstream_request_t *up = &r->up;
    str_t chosen = exchange_chosen_host(r);
    if (chosen.n)
        return chosen;
    bool standard = x->port == (up->https ? 443 : 80);
    if (standard)
        return x->name;
    char digits[WIRE_NUMBER_MAX];
    str_t port = wire_number(digits, x->port);
    char *text = arena_alloc(&r->arena, x->name.n + 1 + port.n);
    memcpy(text, x->name.p, x->name.n);
    text[x->name.n] = ':';
    memcpy(text + x->name.n + 1, port.p, port.n);
    return str_make(text, x->name.n + 1 + port.n);
}

// Lines of the client that are replaced by the gateway's own.
static bool is_replaced(uint16_t id)
{
    switch (id) {
    case HDR_HOST:
    case HDR_CONTENT_LENGTH:
    case HDR_EXPECT:
    case HDR_X_FORWARDED_FOR:
    case HDR_X_FORWARDED_HOST:
    case HDR_X_FORWARDED_PATH:
    case HDR_X_FORWARDED_PORT:
    case HDR_X_FORWARDED_PREFIX:
    case HDR_X_FORWARDED_PROTO:
    case HDR_X_REAL_IP:
    case HDR_X_KONG_REQUEST_ID:
        return true;
    default:
        return false;
    }
}

static void put_forwarded_for(wire_t *w, const request_t *r)
{
    char peer[64];
    size_t n = addr_ip_text(sock_peer(r->conn->sock), peer, sizeof peer);
    str_t before = headers_get(&r->head.headers, HDR_X_FORWARDED_FOR);
    wire_put(w, STR("X-Forwarded-For: "));
    if (before.n) {
        wire_put(w, before);
        wire_put(w, STR(", "));
    }
    wire_put(w, str_make(peer, n));
    wire_put(w, STR("\r\n"));
}

static void put_forwarded(wire_t *w, const request_t *r)
{
    bool tls = r->conn->tls;
    str_t proto = r->forwarded_proto.n ? r->forwarded_proto : tls ? STR("https") : STR("http");
    str_t host = r->forwarded_host.n ? r->forwarded_host : r->head.host;
    str_t path = r->forwarded_path.n ? r->forwarded_path : r->head.raw_path;
    put_forwarded_for(w, r);
    wire_line(w, hdr_name(HDR_X_FORWARDED_PROTO), proto);
    wire_line(w, hdr_name(HDR_X_FORWARDED_HOST), host);
    wire_number_line(w, hdr_name(HDR_X_FORWARDED_PORT),
                     r->forwarded_port ? r->forwarded_port : r->conn->port);
    wire_line(w, hdr_name(HDR_X_FORWARDED_PATH), path);
    if (r->route && r->route->strip_path && r->prefix > 1)
        wire_line(w, hdr_name(HDR_X_FORWARDED_PREFIX), str_make(r->path.p, r->prefix));
    wire_line(w, hdr_name(HDR_X_REAL_IP), str_from(r->client_ip));
    wire_line(w, hdr_name(HDR_X_KONG_REQUEST_ID), str_make(r->id, 32));
    wire_put(w, STR("Via: 1.1 moongate/" MOONGATE_VERSION "\r\n"));
}

static size_t room_for(const request_t *r, str_t host)
{
    const upstream_request_t *up = &r->up;
    size_t n = 1024 + up->method.n + up->path.n + up->query.n + host.n + r->forwarded_host.n +
               r->forwarded_path.n + r->head.raw_path.n + r->path.n + r->head.host.n +
               r->forwarded_proto.n;
    for (uint32_t i = 0; i < r->head.headers.n; i++)
        n += r->head.headers.v[i].name.n + r->head.headers.v[i].value.n + 4;
    return n;
}

static void put_client_lines(wire_t *w, const headers_t *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const header_t *line = &h->v[i];
        if (!line->removed && !is_replaced(line->id) && !hdr_is_hop_by_hop(line->id))
            wire_line(w, line->name, line->value);
    }
}

static bool expects_length(http_method_t m)
{
    return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

// `known`: the body's length is `length`, else it streams by `body`'s own framing.
static void put_framing(wire_t *w, exchange_t *x, bool known, size_t length)
{
    const request_t *r = x->r;
    x->chunked_up = false;
    if (known) {
        if (length || expects_length(r->head.method) || r->body.kind != BODY_NONE)
            wire_number_line(w, hdr_name(HDR_CONTENT_LENGTH), length);
    } else if (r->body.kind == BODY_LENGTH) {
        wire_number_line(w, hdr_name(HDR_CONTENT_LENGTH), r->head.content_length);
    } else {
        wire_put(w, STR("Transfer-Encoding: chunked\r\n"));
        x->chunked_up = true;
    }
}

bool exchange_asks_for_websocket(const request_t *r)
{
    str_t to = headers_get(&r->head.headers, HDR_UPGRADE);
    return r->head.minor >= 1 && str_eq(r->up.method, STR("GET")) &&
           r->head.method == METHOD_GET && r->body.kind == BODY_NONE && !r->new_body.p &&
           !r->doc && str_ieq(to, STR("websocket"));
}

// Most heads are written from the stack: the socket copies what the kernel does not take.
typedef struct head_room {
    char text[3072];
} head_room_t;

static str_t head_text(exchange_t *x, head_room_t *stack, bool known, size_t length)
{
    request_t *r = x->r;
    upstream_request_t *up = &r->up;
    str_t host = host_value(x);
    headers_strip_hop_by_hop(&r->head.headers);
    size_t room = room_for(r, host);
    bool fits = room <= sizeof stack->text;
    char *text = fits ? stack->text : arena_alloc(&r->arena, room);
    wire_t w = {.p = text, .end = text + room};
    wire_put(&w, up->method);
    wire_put(&w, STR(" "));
    wire_put(&w, up->path.n ? up->path : STR("/"));
    if (up->query.p) {
        wire_put(&w, STR("?"));
        wire_put(&w, up->query);
    }
    wire_put(&w, STR(" HTTP/1.1\r\n"));
    wire_line(&w, hdr_name(HDR_HOST), host);
    put_client_lines(&w, &r->head.headers);
    put_forwarded(&w, r);
    wire_put(&w, x->websocket ? STR("Connection: Upgrade\r\nUpgrade: websocket\r\n")
                              : STR("Connection: keep-alive\r\n"));
    put_framing(&w, x, known, length);
    wire_put(&w, STR("\r\n"));
    ASSERT(w.p <= w.end, "a head fits what was counted for it");
    return str_make(text, (size_t)(w.p - text));
}

// Writes head and body slices, at most SLICES_MAX a call.
static int write_all(sock_t *s, const str_t *iov, uint32_t n)
{
    int err = 0;
    for (uint32_t at = 0; at < n && err == 0; at += SLICES_MAX) {
        uint32_t take = n - at < SLICES_MAX ? n - at : SLICES_MAX;
        err = sock_write(s, iov + at, take);
    }
    return err;
}

static int write_document(exchange_t *x, head_room_t *stack)
{
    request_t *r = x->r;
    uint32_t max = json_doc_max_slices(r->doc);
    str_t *iov = arena_alloc(&r->arena, (max + 1) * sizeof *iov);
    size_t total;
    uint32_t n = json_doc_slices(r->doc, iov + 1, &total);
    ASSERT(n <= max, "a document has at most its slices");
    iov[0] = head_text(x, stack, true, total);
    return write_all(x->u->sock, iov, n + 1);
}

int exchange_write_request(exchange_t *x)
{
    request_t *r = x->r;
    head_room_t stack __attribute__((uninitialized));
    if (r->doc && !r->new_body.p)
        return write_document(x, &stack);
    if (exchange_streams_body(r)) {
        str_t head = head_text(x, &stack, false, 0);
        return sock_write(x->u->sock, &head, 1);
    }
    str_t body = r->new_body.p ? r->new_body : buf_str(&r->body.data);
    str_t iov[2] = {head_text(x, &stack, true, body.n), body};
    return write_all(x->u->sock, iov, body.n ? 2 : 1);
}

int exchange_write_body(exchange_t *x, str_t data, bool last)
{
    if (!x->chunked_up)
        return data.n ? sock_write(x->u->sock, &data, 1) : 0;
    char line[24];
    str_t iov[4];
    unsigned n = 0;
    if (data.n) {
        iov[n++] = str_make(line, chunk_size_line(line, data.n));
        iov[n++] = data;
        iov[n++] = STR("\r\n");
    }
    if (last)
        iov[n++] = STR("0\r\n\r\n");
    return n ? sock_write(x->u->sock, iov, n) : 0;
}

bool exchange_request_sent(const exchange_t *x)
{
    return !x->streamed || x->r->body.complete;
}

// The FFI functions about the request and its field lines (abi.h). Not the JSON document (abi_json.c), nor whose it is (abi_identity.c).
// Invariant: no function here runs Lua, waits or raises.
#include "lua/bridge.h"

#include "base/clock.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/field_name.h"
#include "core/respond.h"

mg_state_t *mg_state(void)
{
    return &bridge_self()->state;
}

// ---- text ----

static str_t ip_text(request_t *r, const addr_t *a)
{
    char text[64];
    size_t n = addr_ip_text(a, text, sizeof text);
    return arena_dup(&r->arena, str_make(text, n));
}

static str_t peer_ip(request_t *r)
{
    return r->conn ? ip_text(r, sock_peer(r->conn->sock)) : str_from(r->client_ip);
}

static str_t server_ip(request_t *r)
{
    return r->conn ? ip_text(r, sock_local(r->conn->sock)) : STR("");
}

static str_t route_prefix(const request_t *r)
{
    bool stripped = r->route && r->route->strip_path && r->prefix > 0;
    return stripped ? str_make(r->path.p, r->prefix) : str_make(NULL, 0);
}

static str_t none_if_empty(str_t s)
{
    return s.n ? s : str_make(NULL, 0);
}

// What is known of a client before its first request.
static int32_t hello_str(hello_t *h, int32_t which, mg_str_t *out)
{
    bool peer = which == MG_PEER_IP || which == MG_CLIENT_IP;
    if (!h || (!peer && which != MG_SERVER_ADDR))
        return MG_NO_REQUEST;
    const addr_t *a = peer ? sock_peer(h->sock) : sock_local(h->sock);
    out->p = h->ip;
    out->n = addr_ip_text(a, h->ip, sizeof h->ip);
    return MG_OK;
}

static int32_t hello_num(const hello_t *h, int32_t which, double *out)
{
    bool peer = which == MG_PEER_PORT || which == MG_CLIENT_PORT;
    if (!h || (!peer && which != MG_PORT && which != MG_SERVER_PORT))
        return MG_NO_REQUEST;
    *out = addr_port(peer ? sock_peer(h->sock) : sock_local(h->sock));
    return MG_OK;
}

int32_t mg_request_str(int32_t which, mg_str_t *out)
{
    request_t *r = current_request();
    if (!r)
        return hello_str(current_hello(), which, out);
    str_t s = str_make(NULL, 0);
    switch (which) {
    case MG_METHOD:
        s = r->method;
        break;
    case MG_PATH:
        s = r->path.p ? r->path : r->head.raw_path;
        break;
    case MG_RAW_PATH:
        s = r->head.raw_path;
        break;
    case MG_QUERY:
        s = r->head.query;
        break;
    case MG_TARGET:
        s = r->head.target;
        break;
    case MG_SCHEME:
        s = r->conn && r->conn->tls ? STR("https") : STR("http");
        break;
    case MG_HOST:
        s = r->head.host;
        break;
    case MG_ID:
        s = str_make(r->id, 32);
        break;
    case MG_CLIENT_IP:
        s = str_from(r->client_ip);
        break;
    case MG_PEER_IP:
        s = peer_ip(r);
        break;
    case MG_FORWARDED_PROTO:
        s = none_if_empty(r->forwarded_proto);
        break;
    case MG_FORWARDED_HOST:
        s = none_if_empty(r->forwarded_host);
        break;
    case MG_FORWARDED_PATH:
        s = none_if_empty(r->forwarded_path);
        break;
    case MG_PREFIX:
        s = route_prefix(r);
        break;
    case MG_SERVER_ADDR:
        s = server_ip(r);
        break;
    case MG_EXIT_REASON:
        s = none_if_empty(r->exit_reason);
        break;
    case MG_UP_METHOD:
        s = r->up.method;
        break;
    case MG_UP_PATH:
        s = r->up.path;
        break;
    case MG_UP_QUERY:
        s = r->up.query;
        break;
    case MG_UP_HOST:
        s = none_if_empty(r->up.host);
        break;
    case MG_UP_HOST_HEADER:
        s = none_if_empty(r->up.host_header);
        break;
    case MG_LOG_FIELDS:
        s = none_if_empty(r->log_fields);
        break;
    default:
        return MG_INVALID;
    }
    if (!s.p)
        return MG_ABSENT;
    out->p = s.p;
    out->n = s.n;
    return MG_OK;
}

// ---- numbers ----

// Milliseconds between two moments, either of them 0 when it has not come: -1.
static double span_ms(uint64_t from_us, uint64_t to_us)
{
    return from_us && to_us >= from_us ? (double)(to_us - from_us) / 1000.0 : -1;
}

static double latency(const request_t *r, int32_t which)
{
    uint64_t end = r->end_us ? r->end_us : clock_mono_us();
    double total = span_ms(r->start_us, end);
    double upstream = span_ms(r->upstream_start_us, r->upstream_head_us);
    double receive =
        span_ms(r->upstream_head_us, r->upstream_end_us ? r->upstream_end_us : end);
    switch (which) {
    case MG_LATENCY_UPSTREAM:
        return upstream;
    case MG_LATENCY_REQUEST:
        return total;
    case MG_LATENCY_RECEIVE:
        return receive;
    default:
        break;
    }
    double gateway = total - (upstream > 0 ? upstream : 0) - (receive > 0 ? receive : 0);
    return gateway > 0 ? gateway : 0;
}

uint64_t body_size(request_t *r)
{
    if (r->new_body.p)
        return r->new_body.n;
    if (!r->doc || r->doc->n_edits == 0)
        return r->body.received;
    size_t total;
    json_doc_slices(r->doc, arena_alloc(&r->arena, json_doc_max_slices(r->doc) * sizeof(str_t)),
                    &total);
    return total;
}

static double content_length(const request_t *r)
{
    return r->head.body == BODY_LENGTH ? (double)r->head.content_length
           : r->head.body == BODY_NONE ? 0
                                       : -1;
}

static double nonzero(double v)
{
    return v != 0 ? v : -1;
}

int32_t mg_request_num(int32_t which, double *out)
{
    request_t *r = current_request();
    if (!r)
        return hello_num(current_hello(), which, out);
    double v = -1;
    switch (which) {
    case MG_PORT:
    case MG_SERVER_PORT:
        v = r->conn ? r->conn->port : -1;
        break;
    case MG_MINOR:
        v = r->head.minor;
        break;
    case MG_CLIENT_PORT:
        v = r->client_port;
        break;
    case MG_PEER_PORT:
        v = r->conn ? addr_port(sock_peer(r->conn->sock)) : -1;
        break;
    case MG_TRUSTED:
        v = r->trusted;
        break;
    case MG_FORWARDED_PORT:
        v = nonzero(r->forwarded_port);
        break;
    case MG_START_TIME:
        v = (double)r->start_wall_us / 1e6;
        break;
    case MG_STATUS:
        v = nonzero(r->status);
        break;
    case MG_UPSTREAM_STATUS:
        v = nonzero(r->upstream_status);
        break;
    case MG_HEAD_SENT:
        v = r->head_sent;
        break;
    case MG_SOURCE:
        v = r->source;
        break;
    case MG_CONSUMER:
        v = r->consumer;
        break;
    case MG_CREDENTIAL:
        v = r->credential;
        break;
    case MG_ROUTE:
        v = r->route ? (double)r->route->index : -1;
        break;
    case MG_SERVICE:
        v = r->service ? (double)r->service->index : -1;
        break;
    case MG_BODY_SIZE:
        v = (double)body_size(r);
        break;
    case MG_BODY_COMPLETE:
        v = r->body.complete;
        break;
    case MG_BYTES_IN:
        v = (double)r->received_bytes;
        break;
    case MG_BYTES_OUT:
        v = (double)r->sent_bytes;
        break;
    case MG_LATENCY_GATEWAY:
    case MG_LATENCY_UPSTREAM:
    case MG_LATENCY_REQUEST:
    case MG_LATENCY_RECEIVE:
        v = latency(r, which);
        break;
    case MG_BUFFERING:
        v = r->buffering;
        break;
    case MG_CONTENT_LENGTH:
        v = content_length(r);
        break;
    case MG_UP_PORT:
        v = nonzero(r->up.port);
        break;
    case MG_UP_HTTPS:
        v = r->up.https;
        break;
    case MG_CONNECTION_REQUESTS:
        v = r->conn ? (double)r->conn->served : -1;
        break;
    case MG_ABORTED:
        v = r->aborted;
        break;
    case MG_FIRST_BYTE:
        v = span_ms(r->start_us, r->first_byte_us);
        break;
    case MG_HEADER_COUNT:
        v = r->head.headers.n;
        break;
    case MG_WHOLE:
        v = !r->cut && !r->failed_mid_body && !r->out_failed && !r->aborted;
        break;
    default:
        return MG_INVALID;
    }
    if (v < 0)
        return MG_ABSENT;
    *out = v;
    return MG_OK;
}

// ---- field lines ----

// The response's lines, with what plugins recorded for them applied once there is a response.
static headers_t *response_headers(request_t *r)
{
    const uint32_t later = PHASE_RESPONSE | PHASE_HEADER_FILTER | PHASE_BODY_FILTER | PHASE_LOG;
    if (r->ops && !r->head_sent && bridge_self()->state.phase & later)
        respond_apply_ops(r);
    return &r->headers;
}

static headers_t *side_of(request_t *r, int32_t side)
{
    return side == MG_FROM_CLIENT ? &r->head.headers
           : side == MG_RESPONSE  ? response_headers(r)
                                  : &r->upstream_headers;
}

// The last recorded change to a name while there is no response yet: true when it says what the value is.
static bool recorded(const request_t *r, str_t name, str_t *value)
{
    bool found = false;
    for (const header_op_t *op = r->ops; op; op = op->next) {
        if (op->only_on_200 || !str_ieq(op->name, name))
            continue;
        found = true;
        *value = op->kind == HOP_REMOVE ? str_make(NULL, 0) : op->value;
    }
    return found;
}

int32_t mg_header_get(int32_t side, const char *name, uint64_t name_n, mg_str_t *out)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    str_t key = str_make(name, name_n), value = str_make(NULL, 0);
    headers_t *h = side_of(r, side);
    if (side != MG_RESPONSE || !r->ops || !recorded(r, key, &value)) {
        const header_t *line = headers_find(h, hdr_lookup(key), key, 0);
        value = line ? line->value : value;
        if (line && !value.p)
            value = STR("");
    }
    if (!value.p)
        return MG_ABSENT;
    out->p = value.p;
    out->n = value.n;
    return MG_OK;
}

int32_t mg_header_count(int32_t side, const char *name, uint64_t name_n)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    const headers_t *h = side_of(r, side);
    str_t key = str_make(name, name_n);
    hdr_id_t id = hdr_lookup(key);
    int32_t n = 0;
    const header_t *line = headers_find(h, id, key, 0);
    for (; line; line = headers_find(h, id, key, (uint32_t)(line - h->v) + 1))
        n++;
    return n;
}

int32_t mg_header_next(int32_t side, uint32_t *at, mg_str_t *name, mg_str_t *value)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    const headers_t *h = side_of(r, side);
    while (*at < h->n && h->v[*at].removed)
        (*at)++;
    if (*at >= h->n)
        return MG_ABSENT;
    const header_t *line = &h->v[(*at)++];
    name->p = line->name.p;
    name->n = line->name.n;
    value->p = line->value.p ? line->value.p : "";
    value->n = line->value.n;
    return MG_OK;
}

int32_t mg_header_recorded(uint32_t at, int32_t *change, mg_str_t *name, mg_str_t *value)
{
    static const int32_t CHANGES[] = {
        [HOP_SET] = MG_CHANGE_SET, [HOP_ADD] = MG_CHANGE_ADD, [HOP_REMOVE] = MG_CHANGE_REMOVE};
    const request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    for (const header_op_t *op = r->ops; op; op = op->next) {
        if (op->only_on_200 || at-- > 0)
            continue;
        *change = CHANGES[op->kind];
        *name = (mg_str_t){.p = op->name.p, .n = op->name.n};
        *value = (mg_str_t){.p = op->value.p ? op->value.p : "", .n = op->value.n};
        return MG_OK;
    }
    return MG_ABSENT;
}

static int32_t code_of(int rc)
{
    return rc == 0 ? MG_OK : rc == ERR_INVALID ? MG_INVALID : MG_SENT;
}

// Changes the client's lines (copied); Host is also what routing and the upstream see.
static int32_t change_client(request_t *r, bool replace, str_t name, str_t value)
{
    hdr_id_t id;
    str_t kept_name;
    if (!header_value_valid(value) || field_name_take(&r->arena, name, &kept_name, &id) != 0)
        return MG_INVALID;
    str_t kept_value = arena_dup(&r->arena, value);
    if (id != HDR_OTHER)
        kept_name = hdr_name(id);
    if (replace)
        headers_set(&r->head.headers, &r->arena, id, kept_name, kept_value);
    else
        headers_add(&r->head.headers, &r->arena, id, kept_name, kept_value);
    if (id == HDR_HOST)
        r->up.host_header = kept_value;
    return MG_OK;
}

int32_t mg_header_set(int32_t side, const char *name, uint64_t name_n, const char *value,
                      uint64_t value_n)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    str_t n = str_make(name, name_n), v = str_make(value, value_n);
    if (side == MG_FROM_CLIENT)
        return change_client(r, true, n, v);
    return code_of(respond_header_set(r, n, v));
}

int32_t mg_header_set_number(int32_t side, const char *name, uint64_t name_n, double value)
{
    char text[24];
    size_t at = sizeof text;
    if (!(value >= -9007199254740992.0 && value <= 9007199254740992.0))
        return MG_INVALID;
    uint64_t left = (uint64_t)(value < 0 ? -value : value);
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value <= -1)
        text[--at] = '-';
    return mg_header_set(side, name, name_n, text + at, sizeof text - at);
}

int32_t mg_header_add(int32_t side, const char *name, uint64_t name_n, const char *value,
                      uint64_t value_n)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    str_t n = str_make(name, name_n), v = str_make(value, value_n);
    if (side == MG_FROM_CLIENT)
        return change_client(r, false, n, v);
    return code_of(respond_header_add(r, n, v));
}

int32_t mg_header_remove(int32_t side, const char *name, uint64_t name_n)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    str_t n = str_make(name, name_n);
    if (side == MG_FROM_CLIENT) {
        headers_remove(&r->head.headers, hdr_lookup(n), n);
        return MG_OK;
    }
    return code_of(respond_header_remove(r, n));
}

int32_t mg_header_on_success(const char *name, uint64_t name_n, const char *value,
                             uint64_t value_n)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    return code_of(
        respond_header_on_success(r, str_make(name, name_n), str_make(value, value_n)));
}

// ---- state ----

int32_t mg_status_set(uint32_t status)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    if (r->head_sent)
        return MG_SENT;
    if (status < 100 || status > 599)
        return MG_INVALID;
    r->status = (uint16_t)status;
    return MG_OK;
}

double mg_generation(void)
{
    const generation_t *g = current_generation();
    return g ? (double)g->number : 0;
}

int32_t mg_credential_find(const char *kind, uint64_t kind_n, const char *key, uint64_t key_n,
                           uint32_t *credential, uint32_t *consumer)
{
    const generation_t *g = current_generation();
    const credential_t *c =
        g ? credential_find(g, str_make(kind, kind_n), str_make(key, key_n)) : NULL;
    if (!c)
        return MG_ABSENT;
    *credential = (uint32_t)(c - g->credentials);
    *consumer = c->consumer;
    return MG_OK;
}

int32_t mg_want(uint32_t phase)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    if (r->head_sent && phase != PHASE_LOG)
        return MG_SENT;
    r->phases |= phase;
    if (phase == PHASE_RESPONSE)
        r->buffering = true;
    if (phase == PHASE_BODY_FILTER)
        r->length_known = false;
    return MG_OK;
}

void mg_slot_used(void)
{
    task_t *t = bridge_self()->task;
    if (t)
        t->slot_used = true;
}

// The log record of a request, written in one pass. Not where it goes (access_log.c, the log plugins).
// Invariant: no value of a secret field leaves through here; every function leaves valid JSON behind.
#include "core/record.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "core/conn.h"
#include "core/redact.h"
#include "http/uri.h"
#include "io/hello.h"
#include "io/sock.h"

enum { QUERY_ARGS_MAX = 100 };

// ---- JSON members ----

// `"name":` behind a comma unless it is the first member.
static void put_name(buf_t *b, const char *name)
{
    ASSERT(b->n > 0, "a member stands inside an object");
    if (b->p[b->head + b->n - 1] != '{')
        buf_putc(b, ',');
    buf_putc(b, '"');
    buf_append(b, str_from(name));
    buf_append(b, STR("\":"));
}

static void put_string(buf_t *b, str_t value)
{
    buf_putc(b, '"');
    buf_append_json(b, value);
    buf_putc(b, '"');
}

static void put_str(buf_t *b, const char *name, str_t value)
{
    put_name(b, name);
    put_string(b, value);
}

static void put_int(buf_t *b, const char *name, int64_t value)
{
    char text[24];
    bool negative = value < 0;
    uint64_t left = negative ? 0 - (uint64_t)value : (uint64_t)value;
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (negative)
        text[--at] = '-';
    put_name(b, name);
    buf_append(b, str_make(text + at, sizeof text - at));
}

static void put_json(buf_t *b, const char *name, str_t raw)
{
    if (raw.n == 0)
        return;
    put_name(b, name);
    buf_append(b, raw);
}

// ---- header fields ----

static bool same_name(const header_t *a, const header_t *b)
{
    return a->id == b->id && a->name.n == b->name.n &&
           (a->id != HDR_OTHER || str_ieq(a->name, b->name));
}

static bool seen_before(const headers_t *h, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (!h->v[j].removed && same_name(&h->v[j], &h->v[i]))
            return true;
    }
    return false;
}

static uint32_t next_same(const headers_t *h, uint32_t i)
{
    uint32_t j = i + 1;
    while (j < h->n && (h->v[j].removed || !same_name(&h->v[j], &h->v[i])))
        j++;
    return j;
}

static void put_field_name(buf_t *b, str_t name)
{
    if (b->p[b->head + b->n - 1] != '{')
        buf_putc(b, ',');
    buf_putc(b, '"');
    char *to = buf_reserve(b, name.n);
    for (size_t i = 0; i < name.n; i++)
        to[i] = ascii_lower(name.p[i]);
    buf_commit(b, name.n);
    buf_append(b, STR("\":"));
}

// A name's lines as one string, or as an array when there are several.
static void put_field(buf_t *b, const headers_t *h, uint32_t i, const redact_t *secrets)
{
    put_field_name(b, h->v[i].name);
    if (redact_field(secrets, h->v[i].id, h->v[i].name)) {
        put_string(b, REDACTED);
        return;
    }
    uint32_t j = next_same(h, i);
    bool many = j < h->n;
    if (many)
        buf_putc(b, '[');
    put_string(b, h->v[i].value);
    for (; j < h->n; j = next_same(h, j)) {
        buf_putc(b, ',');
        put_string(b, h->v[j].value);
    }
    if (many)
        buf_putc(b, ']');
}

static void put_headers(buf_t *b, const headers_t *h, const redact_t *secrets)
{
    put_name(b, "headers");
    buf_putc(b, '{');
    for (uint32_t i = 0; i < h->n; i++) {
        if (!h->v[i].removed && !seen_before(h, i))
            put_field(b, h, i, secrets);
    }
    buf_putc(b, '}');
}

// ---- query ----

typedef struct query_arg {
    str_t name, value;
    bool bare, done;
} query_arg_t;

// Decoded as a form: '+' is a space. The result is in `a`.
static str_t decode(arena_t *a, str_t s)
{
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] == '+' ? ' ' : s.p[i];
    return str_make(p, uri_unescape(p, str_make(p, s.n)));
}

static void put_arg_value(buf_t *b, const query_arg_t *q, const redact_t *secrets)
{
    if (redact_argument(secrets, q->name))
        put_string(b, REDACTED);
    else if (q->bare)
        buf_append(b, STR("true"));
    else
        put_string(b, q->value);
}

static void put_arg(buf_t *b, query_arg_t *args, unsigned i, unsigned n,
                    const redact_t *secrets)
{
    unsigned same = 0;
    for (unsigned j = i; j < n; j++)
        same += str_eq(args[j].name, args[i].name);
    if (b->p[b->head + b->n - 1] != '{')
        buf_putc(b, ',');
    put_string(b, args[i].name);
    buf_putc(b, ':');
    if (same > 1)
        buf_putc(b, '[');
    for (unsigned j = i, put = 0; j < n; j++) {
        if (!str_eq(args[j].name, args[i].name))
            continue;
        if (put++)
            buf_putc(b, ',');
        put_arg_value(b, &args[j], secrets);
        args[j].done = true;
    }
    if (same > 1)
        buf_putc(b, ']');
}

static void put_query(buf_t *b, arena_t *a, str_t query, const redact_t *secrets)
{
    query_arg_t args[QUERY_ARGS_MAX];
    unsigned n = 0;
    str_t name, value;
    bool bare;
    while (n < QUERY_ARGS_MAX && query_next(&query, &name, &value, &bare))
        args[n++] =
            (query_arg_t){.name = decode(a, name), .value = decode(a, value), .bare = bare};
    put_name(b, "querystring");
    buf_putc(b, '{');
    for (unsigned i = 0; i < n; i++) {
        if (!args[i].done)
            put_arg(b, args, i, n, secrets);
    }
    buf_putc(b, '}');
}

// ---- the parts ----

static void put_tls(buf_t *b, const request_t *r)
{
    if (!r->conn || !r->conn->tls)
        return;
    put_name(b, "tls");
    buf_putc(b, '{');
    put_str(b, "version", str_from(sock_tls_version(r->conn->sock)));
    put_str(b, "cipher", str_from(sock_tls_cipher(r->conn->sock)));
    bool told = r->client_verify.n > 0;
    put_str(b, "client_verify",
            told ? r->client_verify : str_from(sock_client_verdict(r->conn->sock)));
    buf_putc(b, '}');
}

// The target as sent, in origin form, without secrets. Borrowed or in the request's arena.
static str_t safe_uri(request_t *r, const redact_t *secrets)
{
    return redact_query(secrets, &r->arena, r->head.raw_path, r->head.query);
}

static void put_url(buf_t *b, const request_t *r, str_t uri)
{
    bool tls = r->conn && r->conn->tls;
    unsigned port = r->head.port ? r->head.port : r->conn ? r->conn->port : 0;
    put_name(b, "url");
    buf_append(b, tls ? STR("\"https://") : STR("\"http://"));
    buf_append_json(b, r->head.host);
    if (port)
        buf_printf(b, ":%u", port);
    buf_append_json(b, uri);
    buf_putc(b, '"');
}

static void put_request(buf_t *b, request_t *r, const redact_t *secrets)
{
    str_t uri = safe_uri(r, secrets);
    put_name(b, "request");
    buf_putc(b, '{');
    put_str(b, "id", str_from(r->id));
    put_str(b, "uri", uri);
    put_url(b, r, uri);
    put_query(b, &r->arena, r->head.query, secrets);
    put_str(b, "method", r->method);
    put_headers(b, &r->head.headers, secrets);
    put_int(b, "size", (int64_t)r->received_bytes);
    put_tls(b, r);
    buf_putc(b, '}');
}

static void put_response(buf_t *b, const request_t *r, const redact_t *secrets)
{
    put_name(b, "response");
    buf_putc(b, '{');
    put_int(b, "status", r->status);
    put_headers(b, &r->headers, secrets);
    put_int(b, "size", (int64_t)r->sent_bytes);
    buf_putc(b, '}');
}

// Milliseconds between two moments; `none` when one of them was not reached.
static int64_t span_ms(uint64_t from_us, uint64_t to_us, int64_t none)
{
    return from_us && to_us >= from_us ? (int64_t)((to_us - from_us) / 1000) : none;
}

static void put_latencies(buf_t *b, const request_t *r)
{
    uint64_t until = r->upstream_start_us ? r->upstream_start_us
                     : r->first_byte_us   ? r->first_byte_us
                                          : r->end_us;
    uint64_t received = r->upstream_end_us ? r->upstream_end_us : r->end_us;
    put_name(b, "latencies");
    buf_putc(b, '{');
    put_int(b, "kong", span_ms(r->start_us, until, 0));
    put_int(b, "proxy", span_ms(r->upstream_start_us, r->upstream_head_us, -1));
    put_int(b, "request", span_ms(r->start_us, r->end_us, 0));
    put_int(b, "receive", r->upstream_head_us ? span_ms(r->upstream_head_us, received, 0) : 0);
    buf_putc(b, '}');
}

static void put_try(buf_t *b, const try_record_t *t)
{
    if (b->p[b->head + b->n - 1] != '[')
        buf_putc(b, ',');
    buf_putc(b, '{');
    put_int(b, "balancer_start", (int64_t)(t->at_us / 1000));
    put_int(b, "balancer_start_ns", (int64_t)(t->at_us * 1000));
    put_int(b, "balancer_latency", t->connect_us / 1000);
    put_int(b, "balancer_latency_ns", (int64_t)t->connect_us * 1000);
    put_str(b, "ip", t->ip);
    put_int(b, "port", t->port);
    if (t->err) {
        put_str(b, "state", STR("failed"));
        put_str(b, "reason", str_from(err_text(t->err)));
    }
    buf_putc(b, '}');
}

// Oldest first; the list has the newest first, and is as short as the number of retries.
static void put_tries(buf_t *b, const request_t *r)
{
    put_name(b, "tries");
    buf_putc(b, '[');
    for (uint32_t left = r->n_tries; left > 0; left--) {
        const try_record_t *t = r->tries;
        for (uint32_t i = 1; i < left && t; i++)
            t = t->next;
        if (t)
            put_try(b, t);
    }
    buf_putc(b, ']');
}

// The index behind `"member":` in an entity's text, which refers to another entity: where it begins and ends. False: none there.
// A text between quotes cannot look like it, since its quotes are escaped.
static bool find_link(str_t json, str_t member, size_t *from, size_t *to)
{
    ptrdiff_t at = str_find(json, member);
    size_t i = at < 0 ? json.n : (size_t)at + member.n;
    *from = i;
    while (i < json.n && json.p[i] >= '0' && json.p[i] <= '9')
        i++;
    *to = i;
    return i > *from;
}

// An entity whose reference to a service is written as Kong does, {"id": ...}.
static void put_route(buf_t *b, const route_t *route)
{
    size_t from, to;
    if (!route->service || !find_link(route->json, STR("\"service\":"), &from, &to)) {
        put_json(b, "route", route->json);
        return;
    }
    put_name(b, "route");
    buf_append(b, str_make(route->json.p, from));
    buf_putc(b, '{');
    put_str(b, "id", route->service->id);
    buf_putc(b, '}');
    buf_append(b, str_from_at(route->json, to));
}

static void put_entities(buf_t *b, const request_t *r)
{
    if (r->route)
        put_route(b, r->route);
    if (r->service)
        put_json(b, "service", r->service->json);
    ASSERT(r->consumer < (int32_t)r->gen->n_consumers &&
               r->credential < (int32_t)r->gen->n_credentials,
           "indices are of this generation");
    const consumer_t *consumer = r->consumer >= 0 ? &r->gen->consumers[r->consumer] : NULL;
    if (consumer)
        put_json(b, "consumer", consumer->json);
    if (r->credential < 0)
        return;
    put_name(b, "authenticated_entity");
    buf_putc(b, '{');
    put_str(b, "id", r->gen->credentials[r->credential].id);
    if (consumer)
        put_str(b, "consumer_id", consumer->id);
    buf_putc(b, '}');
}

static void put_upstream(buf_t *b, request_t *r, const redact_t *secrets)
{
    char status[8] = "";
    if (r->upstream_status)
        snprintf(status, sizeof status, "%u", (unsigned)r->upstream_status);
    bool sent = r->upstream_start_us != 0;
    put_str(b, "upstream_uri",
            sent ? redact_query(secrets, &r->arena, r->up.path, r->up.query) : STR(""));
    put_str(b, "upstream_status", str_from(status));
}

static str_t source_name(response_source_t source)
{
    return source == SOURCE_SERVICE ? STR("upstream") : STR("kong");
}

// ---- the whole ----

static void put_own(buf_t *b, request_t *r, const redact_t *secrets)
{
    put_request(b, r, secrets);
    put_upstream(b, r, secrets);
    put_response(b, r, secrets);
    put_latencies(b, r);
    put_tries(b, r);
    put_entities(b, r);
    put_str(b, "client_ip", str_from(r->client_ip));
    put_int(b, "started_at", (int64_t)(r->start_wall_us / 1000));
    put_str(b, "source", source_name(r->source));
    put_str(b, "workspace", STR("default"));
    put_str(b, "workspace_name", STR("default"));
    if (r->exit_reason.n)
        put_str(b, "exit_reason", r->exit_reason);
    if (r->ai)
        record_ai(b, r);
}

// The document as its edits leave it, in the arena.
static str_t edited(const json_doc_t *doc, arena_t *a)
{
    str_t *slices = arena_alloc(a, json_doc_max_slices(doc) * sizeof *slices);
    size_t total, at = 0;
    uint32_t n = json_doc_slices(doc, slices, &total);
    char *text = arena_alloc(a, total + 1);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(text + at, slices[i].p, slices[i].n);
        at += slices[i].n;
    }
    ASSERT(at == total, "the slices are as long together as they say");
    return str_make(text, total);
}

typedef enum edit_mode { EDIT_SET, EDIT_ADD, EDIT_REPLACE } edit_mode_t;

enum { PATH_DEPTH_MAX = 32 };

// `object` with the member at a dotted path set (removed by null), objects made on the way. In the arena, or object itself.
static str_t with_path(arena_t *a, str_t object, str_t path, edit_mode_t mode, str_t value,
                       unsigned depth)
{
    json_doc_t doc;
    json_error_t err;
    str_t rest = {0}, name = path, inner = STR("{}");
    ptrdiff_t dot = str_chr(path, '.');
    bool nested = dot >= 0;
    if (nested) {
        name = str_make(path.p, (size_t)dot);
        rest = str_from_at(path, (size_t)dot + 1);
    }
    if (depth == PATH_DEPTH_MAX || json_doc_open(&doc, a, object, &err) != 0)
        return object;
    const json_member_t *member = json_doc_find(&doc, name);
    bool removes = json_value_type(value) == JSON_NULL;
    bool missing = nested ? !member || member->type != JSON_OBJECT : !member;
    if ((missing && (removes || mode == EDIT_REPLACE)) ||
        (!nested && !missing && mode == EDIT_ADD))
        return object;
    if (nested && !missing)
        inner = member->value;
    if (nested)
        json_doc_set(&doc, a, name, with_path(a, inner, rest, mode, value, depth + 1));
    else if (removes)
        json_doc_remove(&doc, a, name);
    else
        json_doc_set(&doc, a, name, value);
    return edited(&doc, a);
}

static bool is_path(str_t key)
{
    return key.n && (key.p[0] == '+' || key.p[0] == '~' || memchr(key.p, '.', key.n));
}

// Replaces or appends the plugins' members. Those are few, so a second pass costs only the requests that have them.
static void put_merged(buf_t *out, const buf_t *own, request_t *r)
{
    json_doc_t doc;
    json_member_t *members;
    json_error_t err;
    uint32_t n;
    if (json_doc_open(&doc, &r->arena, buf_str(own), &err) != 0 ||
        json_object(r->log_fields, &r->arena, &members, &n, &err) != 0) {
        buf_append(out, buf_str(own));
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!is_path(members[i].key))
            json_doc_set(&doc, &r->arena, members[i].key, members[i].value);
    }
    str_t text = edited(&doc, &r->arena);
    for (uint32_t i = 0; i < n; i++) {
        str_t key = members[i].key;
        if (!is_path(key))
            continue;
        edit_mode_t mode = key.p[0] == '+'   ? EDIT_ADD
                           : key.p[0] == '~' ? EDIT_REPLACE
                                             : EDIT_SET;
        text = with_path(&r->arena, text, mode == EDIT_SET ? key : str_from_at(key, 1), mode,
                         members[i].value, 0);
    }
    buf_append(out, text);
}

void record_write(buf_t *out, request_t *r)
{
    const redact_t *secrets = redact_of(r->gen);
    if (r->log_fields.n == 0) {
        buf_putc(out, '{');
        put_own(out, r, secrets);
        buf_putc(out, '}');
        return;
    }
    buf_t own = {0};
    buf_putc(&own, '{');
    put_own(&own, r, secrets);
    buf_putc(&own, '}');
    put_merged(out, &own, r);
    buf_dispose(&own);
}

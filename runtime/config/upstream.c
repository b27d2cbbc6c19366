// Reads an Upstream from the loader's document; see upstream.h. Defaults are the schema's (lualib/config/entities.lua):
// they stand here for documents that leave a member out.
#include "config/upstream.h"

#include "base/check.h"
#include "config/decode.h"
#include "http/header.h"
#include "http/json.h"

#include <stdio.h>

#define COUNT(rows) (unsigned)(sizeof(rows) / sizeof *(rows))

// ---- small parts ----

// The index of a name among `names`, which stand in the order of their enum; -1.
static int choice_of(str_t name, const char *const *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(name, str_from(names[i])))
            return (int)i;
    }
    return -1;
}

static int read_choice(decoder_t *d, const char *field, str_t name, const char *const *names,
                       unsigned n, int *out)
{
    if (name.n == 0)
        return 0;
    int at = choice_of(name, names, n);
    if (at < 0)
        return decoder_fail(d, "%s: '%.*s' is not known", field, STR_FMT(name));
    *out = at;
    return 0;
}

static int read_statuses(decoder_t *d, str_t array, status_set_t *out)
{
    str_t rest = array, element;
    status_set_t set = {0};
    if (array.n == 0 || json_value_type(array) == JSON_NULL)
        return 0;
    while (json_next(&rest, &element)) {
        double status;
        if (json_number(element, &status) != 0 || !(status >= 100 && status <= 999))
            return decoder_fail(d, "http_statuses: %.*s is not a status", STR_FMT(element));
        set.bits[(unsigned)status / 64] |= 1ull << ((unsigned)status % 64);
    }
    *out = set;
    return 0;
}

// A set of the `count` statuses of `list`.
static status_set_t statuses(const uint16_t *list, unsigned count)
{
    status_set_t set = {0};
    for (unsigned i = 0; i < count; i++)
        set.bits[list[i] / 64] |= 1ull << (list[i] % 64);
    return set;
}

static uint32_t ms_of(double seconds)
{
    return seconds <= 0 ? 0 : seconds < 0.001 ? 1 : (uint32_t)(seconds * 1000);
}

// ---- the lines of a probe ----

static size_t line_text(char *out, str_t name, str_t value)
{
    if (out) {
        memcpy(out, name.p, name.n);
        memcpy(out + name.n, ": ", 2);
        memcpy(out + name.n + 2, value.p, value.n);
        memcpy(out + name.n + 2 + value.n, "\r\n", 2);
    }
    return name.n + value.n + 4;
}

// Writes the lines of {"name": ["value", ...]} to out (NULL: counts); *n becomes their length.
static int put_lines(decoder_t *d, const json_member_t *members, uint32_t count, char *out,
                     size_t *n)
{
    *n = 0;
    for (uint32_t i = 0; i < count; i++) {
        strs_t values = {0};
        if (decode_strings(d, members[i].value, &values) != 0)
            return -1;
        for (uint32_t k = 0; k < values.n; k++) {
            if (!header_name_valid(members[i].key) || !header_value_valid(values.v[k]))
                return decoder_fail(d, "headers: '%.*s' cannot be sent as a header",
                                    STR_FMT(members[i].key));
            *n += line_text(out ? out + *n : NULL, members[i].key, values.v[k]);
        }
    }
    return 0;
}

static int read_lines(decoder_t *d, str_t object, str_t *out)
{
    json_member_t *members;
    json_error_t err;
    uint32_t count;
    size_t n;
    if (object.n == 0 || json_value_type(object) != JSON_OBJECT)
        return 0;
    if (json_object(object, d->scratch, &members, &count, &err) != 0)
        return decoder_fail(d, "headers: %s", err.why);
    if (put_lines(d, members, count, NULL, &n) != 0)
        return -1;
    char *text = arena_alloc(d->keep, n + 1);
    int rc = put_lines(d, members, count, text, &n);
    ASSERT(rc == 0, "what could be counted can be written");
    *out = str_make(text, n);
    return 0;
}

// ---- checks ----

typedef struct side_json {
    double interval;
    uint32_t successes, http_failures, tcp_failures, timeouts;
    str_t http_statuses;
} side_json_t;

static const field_row_t side_rows[] = {
    {"interval", FIELD_NUMBER, offsetof(side_json_t, interval)},
    {"successes", FIELD_U32, offsetof(side_json_t, successes)},
    {"http_failures", FIELD_U32, offsetof(side_json_t, http_failures)},
    {"tcp_failures", FIELD_U32, offsetof(side_json_t, tcp_failures)},
    {"timeouts", FIELD_U32, offsetof(side_json_t, timeouts)},
    {"http_statuses", FIELD_RAW, offsetof(side_json_t, http_statuses)},
};

typedef struct checks_json {
    str_t type, http_path, https_sni, headers, healthy, unhealthy;
    double timeout;
    uint32_t concurrency;
    bool https_verify_certificate;
} checks_json_t;

static const field_row_t checks_rows[] = {
    {"type", FIELD_STR, offsetof(checks_json_t, type)},
    {"timeout", FIELD_NUMBER, offsetof(checks_json_t, timeout)},
    {"concurrency", FIELD_U32, offsetof(checks_json_t, concurrency)},
    {"http_path", FIELD_STR, offsetof(checks_json_t, http_path)},
    {"https_sni", FIELD_STR, offsetof(checks_json_t, https_sni)},
    {"https_verify_certificate", FIELD_BOOL, offsetof(checks_json_t, https_verify_certificate)},
    {"headers", FIELD_RAW, offsetof(checks_json_t, headers)},
    {"healthy", FIELD_RAW, offsetof(checks_json_t, healthy)},
    {"unhealthy", FIELD_RAW, offsetof(checks_json_t, unhealthy)},
};

static uint8_t limit_of(uint32_t n)
{
    return n < UINT8_MAX ? (uint8_t)n : UINT8_MAX;
}

// One of "healthy" and "unhealthy"; absent: nothing is counted.
static int read_side(decoder_t *d, str_t json, side_json_t *side, status_set_t *statuses)
{
    if (json.n == 0)
        return 0;
    if (decode_object(d, json, side_rows, COUNT(side_rows), side) != 0)
        return -1;
    return read_statuses(d, side->http_statuses, statuses);
}

static int read_sides(decoder_t *d, const checks_json_t *c, side_json_t sides[2],
                      health_limits_t *limits, status_set_t *good, status_set_t *bad)
{
    if (read_side(d, c->healthy, &sides[0], good) != 0 ||
        read_side(d, c->unhealthy, &sides[1], bad) != 0)
        return -1;
    *limits = (health_limits_t){.successes = limit_of(sides[0].successes),
                                .http_failures = limit_of(sides[1].http_failures),
                                .tcp_failures = limit_of(sides[1].tcp_failures),
                                .timeouts = limit_of(sides[1].timeouts)};
    return 0;
}

static const char *const TYPES[] = {"tcp", "http", "https", "grpc", "grpcs"};

// gRPC answers carry HTTP statuses too; the schema refuses to probe with it.
static int read_type(decoder_t *d, str_t name, check_type_t *out)
{
    int type = CHECK_HTTP;
    if (read_choice(d, "type", name, TYPES, COUNT(TYPES), &type) != 0)
        return -1;
    *out = type > CHECK_HTTPS ? CHECK_HTTP : (check_type_t)type;
    return 0;
}

static int read_active(decoder_t *d, str_t json, active_checks_t *a)
{
    static const uint16_t GOOD[] = {200, 302}, BAD[] = {429, 404, 500, 501, 502, 503, 504, 505};
    checks_json_t c = {.timeout = 1,
                       .concurrency = 10,
                       .http_path = STR("/"),
                       .https_verify_certificate = true};
    side_json_t sides[2] = {0};
    a->good = statuses(GOOD, COUNT(GOOD));
    a->bad = statuses(BAD, COUNT(BAD));
    if ((json.n && decode_object(d, json, checks_rows, COUNT(checks_rows), &c) != 0) ||
        read_type(d, c.type, &a->type) != 0 || read_lines(d, c.headers, &a->lines) != 0 ||
        read_sides(d, &c, sides, &a->limits, &a->good, &a->bad) != 0)
        return -1;
    a->timeout_ms = ms_of(c.timeout) ? ms_of(c.timeout) : 1000;
    a->concurrency = c.concurrency ? c.concurrency : 1;
    a->path = c.http_path;
    a->sni = c.https_sni;
    a->verify = c.https_verify_certificate;
    a->healthy_ms = ms_of(sides[0].interval);
    a->unhealthy_ms = ms_of(sides[1].interval);
    return 0;
}

static int read_passive(decoder_t *d, str_t json, passive_checks_t *p)
{
    static const uint16_t GOOD[] = {200, 201, 202, 203, 204, 205, 206, 207, 208, 226,
                                    300, 301, 302, 303, 304, 305, 306, 307, 308},
                          BAD[] = {429, 500, 503};
    checks_json_t c = {0};
    side_json_t sides[2] = {0};
    p->good = statuses(GOOD, COUNT(GOOD));
    p->bad = statuses(BAD, COUNT(BAD));
    if ((json.n && decode_object(d, json, checks_rows, COUNT(checks_rows), &c) != 0) ||
        read_type(d, c.type, &p->type) != 0)
        return -1;
    return read_sides(d, &c, sides, &p->limits, &p->good, &p->bad);
}

typedef struct health_json {
    double threshold;
    str_t active, passive;
} health_json_t;

static const field_row_t health_rows[] = {
    {"threshold", FIELD_NUMBER, offsetof(health_json_t, threshold)},
    {"active", FIELD_RAW, offsetof(health_json_t, active)},
    {"passive", FIELD_RAW, offsetof(health_json_t, passive)},
};

static int read_health(decoder_t *d, str_t json, upstream_t *u)
{
    health_json_t h = {0};
    if (json.n && decode_object(d, json, health_rows, COUNT(health_rows), &h) != 0)
        return -1;
    u->threshold = h.threshold;
    if (read_active(d, h.active, &u->active) != 0)
        return -1;
    return read_passive(d, h.passive, &u->passive);
}

// ---- targets ----

static const field_row_t target_rows[] = {
    {"id", FIELD_STR, offsetof(target_t, id)},
    {"host", FIELD_LOWER, offsetof(target_t, host)},
    {"port", FIELD_U16, offsetof(target_t, port)},
    {"weight", FIELD_U32, offsetof(target_t, weight)},
    {"failover", FIELD_BOOL, offsetof(target_t, failover)},
};

static int read_targets(decoder_t *d, str_t array, upstream_t *u)
{
    str_t rest = array, element;
    uint32_t n = 0;
    while (json_next(&rest, &element))
        n++;
    u->targets = n ? arena_alloc(d->keep, n * sizeof *u->targets) : NULL;
    rest = array;
    while (json_next(&rest, &element)) {
        ASSERT(u->n_targets < n, "an array has as many elements the second time");
        target_t *t = &u->targets[u->n_targets++];
        *t = (target_t){.port = 8000, .weight = 100, .json = element};
        if (decode_object(d, element, target_rows, COUNT(target_rows), t) != 0 ||
            t->host.n == 0)
            return decoder_fail(d, "target %u is not {host, port, weight}", u->n_targets);
        u->total_weight += t->weight;
    }
    return 0;
}

// ---- the Upstream ----

typedef struct upstream_json {
    upstream_t upstream;
    str_t algorithm, hash_on, hash_fallback, targets, healthchecks;
    str_t on_header, on_cookie, on_query_arg, on_uri_capture;
    str_t fallback_header, fallback_query_arg, fallback_uri_capture;
} upstream_json_t;

static const field_row_t upstream_rows[] = {
    {"id", FIELD_STR, offsetof(upstream_json_t, upstream.id)},
    {"name", FIELD_LOWER, offsetof(upstream_json_t, upstream.name)},
    {"host_header", FIELD_STR, offsetof(upstream_json_t, upstream.host_header)},
    {"algorithm", FIELD_STR, offsetof(upstream_json_t, algorithm)},
    {"slots", FIELD_U32, offsetof(upstream_json_t, upstream.slots)},
    {"hash_on", FIELD_STR, offsetof(upstream_json_t, hash_on)},
    {"hash_fallback", FIELD_STR, offsetof(upstream_json_t, hash_fallback)},
    {"hash_on_header", FIELD_STR, offsetof(upstream_json_t, on_header)},
    {"hash_on_cookie", FIELD_STR, offsetof(upstream_json_t, on_cookie)},
    {"hash_on_cookie_path", FIELD_STR, offsetof(upstream_json_t, upstream.cookie_path)},
    {"hash_on_query_arg", FIELD_STR, offsetof(upstream_json_t, on_query_arg)},
    {"hash_on_uri_capture", FIELD_STR, offsetof(upstream_json_t, on_uri_capture)},
    {"hash_fallback_header", FIELD_STR, offsetof(upstream_json_t, fallback_header)},
    {"hash_fallback_query_arg", FIELD_STR, offsetof(upstream_json_t, fallback_query_arg)},
    {"hash_fallback_uri_capture", FIELD_STR, offsetof(upstream_json_t, fallback_uri_capture)},
    {"sticky_sessions_cookie", FIELD_STR, offsetof(upstream_json_t, upstream.sticky_cookie)},
    {"sticky_sessions_cookie_path", FIELD_STR,
     offsetof(upstream_json_t, upstream.sticky_cookie_path)},
    {"use_srv_name", FIELD_BOOL, offsetof(upstream_json_t, upstream.use_srv_name)},
    {"client_certificate", FIELD_INDEX, offsetof(upstream_json_t, upstream.client_certificate)},
    {"targets", FIELD_RAW, offsetof(upstream_json_t, targets)},
    {"healthchecks", FIELD_RAW, offsetof(upstream_json_t, healthchecks)},
};

static const char *const ALGORITHMS[] = {"round-robin", "consistent-hashing",
                                         "least-connections", "latency", "sticky-sessions"};
static const char *const SOURCES[] = {"none",   "consumer", "ip",        "header",
                                      "cookie", "path",     "query_arg", "uri_capture"};

static str_t name_of(int source, str_t header, str_t cookie, str_t arg, str_t capture)
{
    switch ((hash_source_t)source) {
    case HASH_HEADER:
        return header;
    case HASH_COOKIE:
        return cookie;
    case HASH_QUERY_ARG:
        return arg;
    case HASH_URI_CAPTURE:
        return capture;
    case HASH_NONE:
    case HASH_CONSUMER:
    case HASH_IP:
    case HASH_PATH:
        return STR("");
    }
    UNREACHABLE("a source of hashes");
}

static int read_balancing(decoder_t *d, upstream_json_t *j)
{
    int algorithm = BALANCE_ROUND_ROBIN, on = HASH_NONE, fallback = HASH_NONE;
    upstream_t *u = &j->upstream;
    if (read_choice(d, "algorithm", j->algorithm, ALGORITHMS, COUNT(ALGORITHMS), &algorithm) ||
        read_choice(d, "hash_on", j->hash_on, SOURCES, COUNT(SOURCES), &on) ||
        read_choice(d, "hash_fallback", j->hash_fallback, SOURCES, COUNT(SOURCES), &fallback))
        return -1;
    u->algorithm = (balance_algorithm_t)algorithm;
    if (on != HASH_NONE && u->algorithm == BALANCE_ROUND_ROBIN)
        u->algorithm =
            BALANCE_CONSISTENT_HASHING; // who says what to hash means hashing, as in Kong
    u->cookie = j->on_cookie;
    u->hash_on = (hash_on_t){(hash_source_t)on, name_of(on, j->on_header, j->on_cookie,
                                                        j->on_query_arg, j->on_uri_capture)};
    u->hash_fallback = (hash_on_t){(hash_source_t)fallback,
                                   name_of(fallback, j->fallback_header, j->on_cookie,
                                           j->fallback_query_arg, j->fallback_uri_capture)};
    return 0;
}

int upstream_read(str_t json, arena_t *keep, upstream_t *out, char *why, size_t why_cap)
{
    arena_t scratch;
    decoder_t d = {.keep = keep, .scratch = &scratch, .why = why, .why_cap = why_cap};
    upstream_json_t u = {.upstream = {.client_certificate = -1,
                                      .slots = 10000,
                                      .cookie_path = STR("/"),
                                      .sticky_cookie_path = STR("/"),
                                      .json = json},
                         .targets = STR("[]")};
    arena_init(&scratch);
    int rc = decode_object(&d, json, upstream_rows, COUNT(upstream_rows), &u);
    if (rc == 0)
        rc = read_balancing(&d, &u);
    if (rc == 0)
        rc = read_health(&d, u.healthchecks, &u.upstream);
    if (rc == 0)
        rc = read_targets(&d, u.targets, &u.upstream);
    arena_dispose(&scratch);
    if (rc == 0)
        *out = u.upstream;
    return rc;
}

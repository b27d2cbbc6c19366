// An Upstream as configured: its targets, how one of them is chosen, how their health is judged.
// Not what becomes of it at run time (core/balancer.h). Invariant: read once, never changed.
#pragma once

#include "base/arena.h"

typedef enum balance_algorithm {
    BALANCE_ROUND_ROBIN,
    BALANCE_CONSISTENT_HASHING,
    BALANCE_LEAST_CONNECTIONS,
    BALANCE_LATENCY,
    BALANCE_STICKY_SESSIONS,
} balance_algorithm_t;

typedef enum hash_source {
    HASH_NONE,
    HASH_CONSUMER,
    HASH_IP,
    HASH_HEADER,
    HASH_COOKIE,
    HASH_PATH,
    HASH_QUERY_ARG,
    HASH_URI_CAPTURE,
} hash_source_t;

// What of a request decides where it goes.
typedef struct hash_on {
    hash_source_t source;
    str_t name; // of the header, cookie, argument or capture; empty for the others
} hash_on_t;

typedef enum check_type { CHECK_TCP, CHECK_HTTP, CHECK_HTTPS } check_type_t;

// A set of HTTP statuses (below 1000).
typedef struct status_set {
    uint64_t bits[16];
} status_set_t;

static inline bool status_in(const status_set_t *s, unsigned status)
{
    return status < 1000 && (s->bits[status / 64] >> (status % 64) & 1);
}

// How many in a row change a target's state; 0: such reports are not counted.
typedef struct health_limits {
    uint8_t successes, http_failures, tcp_failures, timeouts;
} health_limits_t;

typedef struct active_checks {
    check_type_t type;
    uint32_t timeout_ms, concurrency;
    uint32_t healthy_ms, unhealthy_ms; // between probes of targets in that state; 0: none
    str_t path, sni;
    bool verify;
    str_t lines; // field lines to send, each ended by CRLF
    health_limits_t limits;
    status_set_t good, bad;
} active_checks_t;

typedef struct passive_checks {
    check_type_t type; // CHECK_TCP: statuses are not looked at
    health_limits_t limits;
    status_set_t good, bad;
} passive_checks_t;

typedef struct target {
    str_t id;   // "" when the document gives none
    str_t host; // name or IP literal
    uint16_t port;
    uint32_t weight;
    bool failover; // used only while no other target can be
    str_t json;
} target_t;

typedef struct upstream {
    uint32_t index;
    str_t id, name, host_header;
    balance_algorithm_t algorithm;
    uint32_t slots;
    hash_on_t hash_on, hash_fallback;
    str_t cookie, cookie_path;               // of hash_on or hash_fallback "cookie"
    str_t sticky_cookie, sticky_cookie_path; // of sticky-sessions
    bool use_srv_name;          // Host and TLS go by the name that a SRV record gave
    int32_t client_certificate; // index into certificates, -1 none
    double threshold;           // per cent of the weight that must be healthy; 0: any
    active_checks_t active;
    passive_checks_t passive;
    target_t *targets;
    uint32_t n_targets;
    uint64_t total_weight;
    str_t json;
} upstream_t;

// Whether probes are sent, and whether the outcome of requests is counted.
static inline bool upstream_probes(const upstream_t *u)
{
    return u->active.healthy_ms || u->active.unhealthy_ms;
}

static inline bool upstream_watches(const upstream_t *u)
{
    const health_limits_t *l = &u->passive.limits;
    return l->http_failures || l->tcp_failures || l->timeouts;
}

// Reads one element of the document's "upstreams" (raw JSON, borrowed as long as *out) into `keep`. 0, or -1 with text in `why`.
int upstream_read(str_t json, arena_t *keep, upstream_t *out, char *why, size_t why_cap);

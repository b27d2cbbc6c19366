// Finds the route of a request: Kong's traditional_compatible matching and priorities. Built once with its generation, read-only after.
// 10,000 routes match in under 2 us. Protocols do not take part: a route for https only is found by http, with wrong_protocol set.
// Regexes are PCRE2 with match limits. A request whose best rule gave up at a limit has no route (a lesser rule must not
// get what a better one might have refused); that is reported in the log, at most once a second.
#pragma once

#include "config/generation.h"

typedef struct router router_t;

enum { CAPTURES_MAX = 16 };

typedef struct route_input {
    str_t method;  // as sent
    str_t host;    // lower-case, no port
    uint16_t port; // of the authority, or the listener's
    str_t path;    // normalised
    bool tls;
    str_t sni;
    const headers_t *headers;
    const void *source, *destination; // 16-byte IPv6 (v4-mapped) addresses, NULL: unknown
    uint16_t source_port, destination_port;
} route_input_t;

typedef struct route_match {
    const route_t *route; // NULL: no route
    bool gave_up;         // no route because a regex hit its limit
    bool
        wrong_protocol; // route matched but for its protocols (http asked, https wanted): answer https_redirect_status_code
    size_t prefix; // bytes of path that the route's path matched (strip_path takes them away)
    uint32_t n_captures; // regex captures, [0] is the whole match; unset ones have p == NULL
    str_t captures[CAPTURES_MAX];      // borrowed from the path
    str_t capture_names[CAPTURES_MAX]; // borrowed from the generation; empty for unnamed
} route_match_t;

// One thread at a time (the worker's): matching uses memory of the router's. A host without bytes matches only routes without hosts.
void router_match(const router_t *r, const route_input_t *in, route_match_t *out);

// The upstream path: service path + request path with or without the matched prefix. Result in `a` or borrowed.
str_t router_upstream_path(arena_t *a, const route_t *route, str_t service_path, str_t path,
                           size_t prefix);

// 0, or -1 with why: does this regex compile as a route path? For the loader.
int router_check_regex(str_t regex, char *why, size_t why_cap);

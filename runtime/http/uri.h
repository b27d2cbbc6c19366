// One path normaliser for routing, plugins, logs and the upstream (RFC 3986 6.2.2), and query
// helpers.
#pragma once

#include "base/arena.h"
#include "base/str.h"

// Normalises an origin-form path: percent-triplets of unreserved bytes decoded, the others
// upper-cased, dot segments resolved (also written %2e, and with ";params" on them), duplicate
// slashes merged. Refused (-1, *why set; answer 400): raw bytes outside of RFC 3986's path set
// ('\\', '#', controls, non-ASCII... ), "%2f" "%5c" "%00", bad triplets, overlong UTF-8, a path
// that does not begin with "/". "*" is returned as it is. The result is `raw` itself when
// nothing changes (the usual case), else in `a`.
int uri_normalize_path(arena_t *a, str_t raw, str_t *out, const char **why);

// Percent-decodes ('+' stays). In place safe: out may be s.p. The length. Bad triplets stay as
// they are.
size_t uri_unescape(char *out, str_t s);

// First value of a query argument, still escaped; false when absent. `name` is plain and
// compared with the unescaped names ("%61" is "a", "+" a space). `bare` (may be NULL) tells "a"
// from "a=". Borrowed from query.
bool query_get(str_t query, str_t name, str_t *value, bool *bare);

// Iterates name[=value] pairs, still escaped: advances *rest; false at the end. Empty pairs are
// skipped. Borrowed.
bool query_next(str_t *rest, str_t *name, str_t *value, bool *bare);

// Absolute http(s) URL split strictly: scheme, host ([v6] keeps brackets), port (80/443 by
// scheme), path ("" if absent), query (p == NULL if absent). 0, or -1 (other scheme, userinfo,
// fragment, bad host or port, bytes outside of ASCII).
typedef struct url {
    str_t scheme, host, path, query;
    uint16_t port;
} url_t;
int url_parse(str_t text, url_t *out);

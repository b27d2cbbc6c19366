// Decodes what a route matches; see rule.h.
#include "config/rule.h"

#include "base/check.h"
#include "http/json.h"

#include <arpa/inet.h>
#include <stdio.h>

typedef struct rule_json {
    route_rule_t rule;
    str_t headers, sources, destinations;
} rule_json_t;

typedef struct net_json {
    str_t ip;
    uint16_t port;
} net_json_t;

static const field_row_t rule_rows[] = {
    {"methods", FIELD_STRS, offsetof(rule_json_t, rule.methods)},
    {"hosts", FIELD_STRS, offsetof(rule_json_t, rule.hosts)},
    {"paths", FIELD_STRS, offsetof(rule_json_t, rule.paths)},
    {"snis", FIELD_STRS, offsetof(rule_json_t, rule.snis)},
    {"regex_priority", FIELD_U32, offsetof(rule_json_t, rule.regex_priority)},
    {"headers", FIELD_RAW, offsetof(rule_json_t, headers)},
    {"sources", FIELD_RAW, offsetof(rule_json_t, sources)},
    {"destinations", FIELD_RAW, offsetof(rule_json_t, destinations)},
};

static const field_row_t net_rows[] = {
    {"ip", FIELD_STR, offsetof(net_json_t, ip)},
    {"port", FIELD_U16, offsetof(net_json_t, port)},
};

enum {
    N_RULE_ROWS = sizeof rule_rows / sizeof *rule_rows,
    N_NET_ROWS = sizeof net_rows / sizeof *net_rows
};

static void lower_all(arena_t *a, strs_t *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        list->v[i] = lower_dup(a, list->v[i]);
}

static void drop_trailing_dots(strs_t *snis)
{
    for (uint32_t i = 0; i < snis->n; i++) {
        if (snis->v[i].n > 1 && str_ends(snis->v[i], STR(".")))
            snis->v[i].n--;
    }
}

static int read_headers(decoder_t *d, str_t object, route_rule_t *rule)
{
    json_member_t *members;
    uint32_t n;
    json_error_t err;
    if (object.n == 0)
        return 0;
    if (json_object(object, d->scratch, &members, &n, &err) != 0)
        return decoder_fail(d, "headers: %s", err.why);
    if (n == 0)
        return 0;
    rule->headers = arena_alloc(d->keep, n * sizeof *rule->headers);
    for (uint32_t i = 0; i < n; i++) {
        header_rule_t *h = &rule->headers[i];
        *h = (header_rule_t){.name = lower_dup(d->keep, members[i].key)};
        if (decode_strings(d, members[i].value, &h->values) != 0)
            return -1;
    }
    rule->n_headers = n;
    return 0;
}

static void mask_address(net_rule_t *net)
{
    ASSERT(net->bits <= 128, "an address has 128 bits");
    for (unsigned byte = 0; byte < sizeof net->address.s6_addr; byte++) {
        unsigned first = byte * 8;
        unsigned kept = net->bits <= first ? 0 : net->bits - first;
        if (kept < 8)
            net->address.s6_addr[byte] &= (uint8_t)(0xff00u >> kept);
    }
}

int net_parse(str_t text, net_rule_t *out)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;
    uint64_t bits = UINT64_MAX;
    ptrdiff_t slash = str_chr(text, '/');
    str_t address = slash < 0 ? text : str_make(text.p, (size_t)slash);
    if (address.n >= sizeof copy)
        return -1;
    snprintf(copy, sizeof copy, "%.*s", STR_FMT(address));
    bool is_v4 = inet_pton(AF_INET, copy, &v4) == 1;
    unsigned width = is_v4 ? 32 : 128;
    if (!is_v4 && inet_pton(AF_INET6, copy, &out->address) != 1)
        return -1;
    if (slash >= 0 &&
        (str_to_u64(str_from_at(text, (size_t)slash + 1), &bits) != 0 || bits > width))
        return -1;
    if (is_v4) {
        out->address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
        memcpy(&out->address.s6_addr[12], &v4, sizeof v4);
    }
    out->bits = (uint8_t)(128 - width + (slash < 0 ? width : (unsigned)bits));
    mask_address(out);
    return 0;
}

static int read_net(decoder_t *d, str_t object, net_rule_t *net)
{
    net_json_t json = {0};
    *net = (net_rule_t){0};
    if (decode_object(d, object, net_rows, N_NET_ROWS, &json) != 0)
        return -1;
    net->port = json.port;
    net->any_address = json.ip.n == 0;
    if (net->any_address || net_parse(json.ip, net) == 0)
        return 0;
    return decoder_fail(d, "not an address or CIDR: %.*s", STR_FMT(json.ip));
}

static int read_nets(decoder_t *d, str_t array, net_rules_t *out)
{
    str_t rest = array, element;
    uint32_t n = 0;
    if (array.n == 0)
        return 0;
    while (json_next(&rest, &element))
        n++;
    if (n == 0)
        return 0;
    out->v = arena_alloc(d->keep, n * sizeof *out->v);
    rest = array;
    while (json_next(&rest, &element)) {
        ASSERT(out->n < n, "an array has as many elements the second time");
        if (read_net(d, element, &out->v[out->n++]) != 0)
            return -1;
    }
    return 0;
}

int rule_read(decoder_t *d, str_t route, route_rule_t *out)
{
    rule_json_t json = {0};
    if (decode_object(d, route, rule_rows, N_RULE_ROWS, &json) != 0 ||
        read_headers(d, json.headers, &json.rule) != 0 ||
        read_nets(d, json.sources, &json.rule.sources) != 0 ||
        read_nets(d, json.destinations, &json.rule.destinations) != 0)
        return -1;
    lower_all(d->keep, &json.rule.hosts);
    lower_all(d->keep, &json.rule.snis);
    drop_trailing_dots(&json.rule.snis);
    *out = json.rule;
    return 0;
}

// What one route asks of a request, decoded from the document: the input of the router's build.
// Not the matching itself (router.c). Everything here lives in the generation's arena.
#pragma once

#include "config/decode.h"

#include <netinet/in.h>

typedef struct header_rule {
    str_t name;    // lower case
    strs_t values; // any of them; "~*" in front: a regex, without regard to case
} header_rule_t;

// An entry of sources or destinations.
typedef struct net_rule {
    struct in6_addr address; // v4 as v4-mapped, host bits cleared
    uint8_t bits;            // of the prefix, in terms of the mapped address
    bool any_address;
    uint16_t port; // 0: any
} net_rule_t;

typedef struct net_rules {
    net_rule_t *v;
    uint32_t n;
} net_rules_t;

typedef struct route_rule {
    strs_t methods, hosts, paths, snis; // hosts and snis in lower case
    header_rule_t *headers;
    uint32_t n_headers;
    net_rules_t sources, destinations;
    uint32_t regex_priority;
} route_rule_t;

// "10.0.0.0/8", "::1": fills address and bits; host bits are cleared. 0, or -1 when it is neither address nor CIDR.
int net_parse(str_t text, net_rule_t *out);

// Decodes the matching fields of a route's JSON object. 0, or -1 with d->why set.
int rule_read(decoder_t *d, str_t route, route_rule_t *out);

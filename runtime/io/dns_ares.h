// c-ares on the loop: its sockets watched, its timeouts kept. Knows nothing of caching.
// Room-internal.
#pragma once

#include "io/dns.h"

typedef struct dns_net dns_net_t;

// An answer: 0 and n records (taken, dns_records_free) with their least TTL, or ERR_DNS_*. May
// come inside dns_net_ask.
typedef void (*dns_net_fn)(void *arg, int err, dns_record_t *records, unsigned n,
                           uint64_t ttl_ms);

dns_net_t *dns_net_create(loop_t *l, const dns_opts_t *o);
// Calls back everything that was asked, with ERR_ABORTED, and closes.
void dns_net_destroy(dns_net_t *t);
void dns_net_ask(dns_net_t *t, const char *name, dns_type_t type, dns_net_fn fn, void *arg);

// The table of known names: bounded, least recently used goes first. Room-internal; time is the
// caller's.
#pragma once

#include "base/list.h"
#include "io/dns.h"

enum { DNS_NAMES_MAX = 1024, DNS_BUCKETS = 512, DNS_RECORDS_MAX = 256 };

typedef struct dns_entry {
    list_t lru;
    struct dns_entry *next; // in its bucket
    char *name;             // owned, lower case
    dns_type_t type;
    dns_record_t *records; // owned, with their targets; NULL: no answer is known
    unsigned n;
    uint64_t expires_ms; // of records
    uint64_t retry_ms;   // until then a failure is remembered and no server asked
    int err;             // that failure
    dns_t *dns;
    io_defer_t ask; // puts the question
    list_t waiting; // dns_query_t, for the answer under way
    bool asking;
    unsigned pins; // queries that will read it, the one under way included: it stays
} dns_entry_t;

typedef struct dns_cache {
    dns_entry_t *buckets[DNS_BUCKETS];
    list_t lru; // newest first
    unsigned n;
    uint64_t seed;
} dns_cache_t;

void dns_cache_init(dns_cache_t *c, uint64_t seed);
void dns_cache_dispose(dns_cache_t *c); // no entry may be pinned
// Borrowed until the next dns_cache_add, or longer while pinned. NULL: not there.
dns_entry_t *dns_cache_find(dns_cache_t *c, str_t name, dns_type_t type);
dns_entry_t *dns_cache_add(dns_cache_t *c, str_t name, dns_type_t type);
void dns_records_free(dns_record_t *records, unsigned n);

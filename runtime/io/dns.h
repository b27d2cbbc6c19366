// Names -> addresses through c-ares, off the loop's way: answers kept for their TTL, failures
// briefly, stale answers served while a refresh fails. One resolver a loop.
#pragma once

#include "io/addr.h"
#include "io/loop.h"

typedef struct dns dns_t;
typedef struct dns_query dns_query_t;

typedef struct dns_opts {
    str_t servers;        // "10.0.0.2:53,..." ; empty: the system's (/etc/resolv.conf)
    unsigned timeout_ms;  // a try; 0: 2000
    unsigned tries;       // 0: 3
    unsigned negative_ms; // how long a failure is remembered; 0: 1000
    unsigned stale_ms; // how long an expired answer may serve while a refresh fails; 0: 30000
    unsigned min_ttl_ms, max_ttl_ms; // bounds on TTLs; max 0: none. TTL 0 means: use once
} dns_opts_t;

typedef enum dns_type { DNS_ADDR, DNS_SRV } dns_type_t; // ADDR: A and AAAA together

typedef struct dns_record {
    addr_t addr;  // DNS_ADDR, port 0
    str_t target; // DNS_SRV
    uint16_t port, priority, weight;
} dns_record_t;

typedef struct dns_answer {
    const dns_record_t *records; // borrowed until the callback returns
    unsigned n;
    unsigned ttl_ms; // left
    bool stale;
} dns_answer_t;

// The loop's resolver (sock_connect uses it); created on first use with default options unless
// dns_configure came first.
dns_t *dns_of(loop_t *l);
// Sets options, now or again (what is known stays known, questions under way are put to the new
// servers).
void dns_configure(loop_t *l, const dns_opts_t *o);

// Looks up; done exactly once unless cancelled, never inside this call. err 0 with n >= 1, or
// ERR_DNS_NAME / ERR_DNS_FAIL. /etc/hosts and "localhost" are honoured.
dns_query_t *dns_lookup(dns_t *d, str_t name, dns_type_t type,
                        void (*done)(void *arg, int err, const dns_answer_t *a), void *arg);
void dns_cancel(dns_query_t *q);

// Whether a name is answered without asking anybody: an IP literal, localhost, a line of /etc/hosts.
bool dns_is_local(dns_t *d, str_t name);

// A cached answer right now (0; borrowed until the next call on d), ERR_* for a remembered
// failure, or 1: not known, ask dns_lookup.
int dns_cached(dns_t *d, str_t name, dns_type_t type, dns_answer_t *out);

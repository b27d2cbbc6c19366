// SRV replies with their TTL, which c-ares' own parser leaves out. Pure; room-internal.
#pragma once

#include "io/dns.h"

// Reads a DNS reply: at most `max` records into `out` (each target returned owned, free((char
// *)target.p)), sorted by priority, their number into *n and the least TTL into *ttl_s. 0,
// ERR_DNS_NAME (none in it) or ERR_DNS_FAIL (garbage).
int dns_parse_srv(const unsigned char *reply, size_t len, dns_record_t *out, unsigned max,
                  unsigned *n, unsigned *ttl_s);

// Socket addresses as values: IPv4, IPv6, unix path.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/un.h>

#include "base/str.h"

typedef union addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
} addr_t;

// "127.0.0.1:80", "[::1]:80", "0.0.0.0:8000", "unix:/path". Numeric only. 0 or ERR_INVALID.
int addr_parse(str_t text, addr_t *out);
// An IP literal without port ("::1", "[::1]", "10.0.0.1") and a port. 0 or ERR_INVALID (a
// name).
int addr_from_ip(str_t ip, uint16_t port, addr_t *out);
// Text of the IP ("unix:" for unix sockets) into out (at least 64 bytes); the length.
size_t addr_ip_text(const addr_t *a, char *out, size_t cap);
uint16_t addr_port(const addr_t *a);
void addr_set_port(addr_t *a, uint16_t port); // nothing for unix sockets
bool addr_equal(const addr_t *a, const addr_t *b);
size_t addr_len(const addr_t *a); // sockaddr length

// CIDR blocks ("10.0.0.0/8", "::1", "unix:" for all unix peers): parse once, match often.
typedef struct cidr {
    uint8_t bytes[16];
    uint8_t bits; // of 128; IPv4 is mapped (bits + 96)
    bool any_unix;
} cidr_t;
int cidr_parse(str_t text, cidr_t *out);
bool cidr_match(const cidr_t *c, const addr_t *a);

// Who the client is: the peer, or what a trusted proxy says (X-Forwarded-*, X-Real-IP), by trusted_ips.
#pragma once

#include "core/request.h"

// Fills r->client, client_ip, trusted and the forwarded_* fields.
void client_identify(request_t *r);

// The address as 16 bytes, IPv4 mapped; zeros for unix sockets.
void client_addr_bytes(const addr_t *a, uint8_t out[16]);

// Who the client is: the peer, or what a trusted proxy says (X-Forwarded-*, X-Real-IP), by trusted_ips.
#pragma once

#include "core/request.h"

// Fills r->client_*, trusted and the forwarded_* fields.
void client_identify(request_t *r);

// One request's exchange with an upstream: pick a target, take a pooled or new connection, send, read the response, pass it on.
#pragma once

#include "core/request.h"

// Starts proxying r as r->up says. Everything that follows ends in respond_*.
void exchange_start(request_t *r);
// Gives up: closes the upstream connection at once. Harmless without an exchange.
void exchange_cancel(request_t *r);
// The response comes from elsewhere after all (a plugin, an error): the upstream connection is closed, the request goes on.
// As exchange_cancel, but counted as the gateway's decision.
void exchange_detach(request_t *r);
// More request body has come (BODY_STREAM) / it is complete.
void exchange_on_body(request_t *r, str_t data, bool last);
// The client's queue is empty again: read on.
void exchange_on_client_drain(request_t *r);

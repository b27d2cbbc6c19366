// What a request is sent to: fills r->up from its service, and picks targets of an Upstream (weighted round robin).
// Not: connections (pool.h).
#pragma once

#include "core/request.h"

// Fills r->up from the route's service; leaves it empty without one. Called once the route is known.
void upstreams_prepare(request_t *r);

// A target to try: host (name or IP) and port. `tried` are the tries so far, so that each goes elsewhere while there are others.
// 0, or -1: no target has weight ("failure to get a peer from the ring-balancer").
int upstreams_pick(request_t *r, str_t *host, uint16_t *port);

// Makes r->up.host the Upstream of that name. 0, or -1 when there is none.
int upstreams_select(request_t *r, str_t name);

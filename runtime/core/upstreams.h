// What a request is sent to: fills r->up from its service, and picks targets of an Upstream.
// Not: how one is chosen (balancer.h), connections (pool.h).
#pragma once

#include "core/balancer.h"
#include "core/request.h"

// Fills r->up from the route's service; leaves it empty without one. Called once the route is known.
void upstreams_prepare(request_t *r);

// Where a try goes.
typedef struct upstream_pick {
    str_t host; // to connect to: name or IP literal
    uint16_t port;
    str_t name;   // for Host and TLS: the target as configured
    peer_t *peer; // NULL: no Upstream's
} upstream_pick_t;

// A target to try, another one for each try while there are others. 0 and *out (borrowed: hold the peer); 1: names are still being
// resolved (upstreams_wait); -1: none can be used ("failure to get a peer from the ring-balancer").
int upstreams_pick(request_t *r, upstream_pick_t *out);
// Calls w->fn once it is worth picking again; balancer_unwait takes it back.
void upstreams_wait(request_t *r, balancer_waiter_t *w);

// Makes r->up.host the Upstream of that name. 0, or -1 when there is none.
int upstreams_select(request_t *r, str_t name);

// The generation is about to be used by w: its Upstreams get their balancers, those of the generation before as far as it has them.
void upstreams_install(worker_t *w, generation_t *g);
// The balancer of an Upstream of `g`, which was installed; borrowed, lives with the generation.
balancer_t *upstreams_balancer(generation_t *g, const upstream_t *u);

// The health of Upstreams' targets for people and programs: as JSON, as metrics, and set by hand. Asked of this worker; what it says of
// health is what all workers say. Not how health is judged (passive.h, prober.h, health.h).
#pragma once

#include "base/buf.h"
#include "core/worker.h"

// The Upstream of w->gen with that name or id, or NULL.
const upstream_t *upstream_health_find(const worker_t *w, str_t name_or_id);

// Appends {"data": [target, ...], "next": null, "node_id": ...} with Kong's members. `u` is of w->gen.
void upstream_health_json(worker_t *w, const upstream_t *u, buf_t *out);
// The same for the Upstream as a whole (Kong's ?balancer_health=1): {"data": {...}, "node_id": ...}.
void upstream_health_summary(worker_t *w, const upstream_t *u, buf_t *out);

// Appends kong_upstream_target_health of all Upstreams in use, if w->tells_targets.
void upstream_health_metrics(worker_t *w, buf_t *out);

// Sets a target (id, or "host:port" as configured) healthy or unhealthy, or one address ("ip:port") of it when address.p is not NULL.
// 0, or -1 with *why (static).
int upstream_health_set(worker_t *w, const upstream_t *u, str_t target, str_t address,
                        bool healthy, const char **why);

// What a try tells about its target: how long it took, and whether it counts as a failure (passive health checks). Called by the exchange.
// Not probes (prober.h). Invariant: a try begins once and ends once.
#pragma once

#include "core/peer.h"
#include "core/request.h"

// Holds the peer until passive_end.
void passive_begin(peer_t *p);
void passive_end(peer_t *p);

// The try got an answer, or failed with ERR_*, took_us after it had begun.
void passive_answered(request_t *r, peer_t *p, unsigned status, uint64_t took_us);
void passive_failed(request_t *r, peer_t *p, int err, uint64_t took_us);

// Counts a report, from wherever, and says in the log what has changed by it. why: what was seen.
void passive_report(peer_t *p, const health_limits_t *limits, health_report_t what,
                    const char *why);

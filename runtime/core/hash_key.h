// What of a request consistent hashing goes by: hash_on, then hash_fallback. Not the ring (algorithm.h).
#pragma once

#include "core/peer.h"
#include "core/request.h"

// The hash of what `u` names of the request; false when the request has nothing of it. A cookie that is missing is made and recorded
// for the response. Called once for a request.
bool hash_key(request_t *r, const upstream_t *u, uint64_t *out);

// What stands for a peer of `u` in the cookie of sticky sessions, not 0: the same on all gateways of one configuration. It is keyed by
// the Upstream's id, so that who does not know that cannot find the address by trying them all.
uint64_t hash_key_session(const upstream_t *u, const peer_name_t *peer);

// The session in the request's cookie; false without such a cookie.
bool hash_key_of_session(const request_t *r, const upstream_t *u, uint64_t *out);
// Records the cookie that stands for the peer which answered.
void hash_key_set_session(request_t *r, const upstream_t *u, uint64_t session);

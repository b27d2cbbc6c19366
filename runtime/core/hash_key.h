// What of a request consistent hashing goes by: hash_on, then hash_fallback. Not the ring (algorithm.h).
#pragma once

#include "core/request.h"

// The hash of what `u` names of the request; false when the request has nothing of it. A cookie that is missing is made and recorded
// for the response. Called once for a request.
bool hash_key(request_t *r, const upstream_t *u, uint64_t *out);

// The peer's key in the cookie of sticky sessions; false without such a cookie.
bool hash_key_of_session(const request_t *r, const upstream_t *u, uint64_t *out);
// Records the cookie that names the peer which answered.
void hash_key_set_session(request_t *r, const upstream_t *u, uint64_t key);

// A worker's run-time state of one generation: TLS identities towards upstreams, round-robin positions. Made on first use, freed with it.
#pragma once

#include "core/request.h"
#include "io/tls.h"

typedef struct upstreams_state {
    tls_ctx_t **tls; // by service, for those with a client certificate
    uint32_t n_services;
    tls_ctx_t *verified, *unverified;
    int64_t **current; // by Upstream: smooth round-robin counters of its targets
    uint32_t n_upstreams;
    tls_cert_t **certs; // by certificate
    uint32_t n_certs;
} upstreams_state_t;

void upstreams_state_free(void *runtime);

// The TLS context for r's upstream (borrowed, lives with the generation); NULL when it cannot be made.
tls_ctx_t *upstreams_tls(request_t *r);

// The TLS form of a certificate entity of `g`, made on first use, borrowed; NULL when it is not usable.
tls_cert_t *worker_certificate(generation_t *g, const certificate_t *c);

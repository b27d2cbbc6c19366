// TLS identities: what this gateway shows to an upstream and whom it trusts there, as one TLS context. Equal identities share a
// context, and with it sessions and pooled connections (pool.h); different ones never do. Not the listeners' side (hello.h).
// Contexts live with the generation in its worker, made on first use; at most IDENTITIES_MAX, the least recently used goes.
#pragma once

#include "core/request.h"
#include "io/tls.h"

enum { IDENTITIES_MAX = 64 };

typedef struct identity {
    bool verify;        // chain and name
    int32_t depth;      // -1: no limit
    tls_cert_t *cert;   // what we show; NULL: nothing
    tls_store_t *store; // whom we trust; NULL: the node's anchors
} identity_t;

// The context (borrowed until the next call; pools and connections count it). NULL with *why, borrowed until the next TLS error.
tls_ctx_t *identity_context(worker_t *w, generation_t *g, const identity_t *id,
                            const char **why);

// The identity for r's next try: the service's, the Upstream's certificate where the service has none, and what plugins set.
// NULL with *why.
tls_ctx_t *identity_for(request_t *r, const char **why);

// The TLS form of a certificate entity of `g`, made on first use, borrowed; NULL (logged) when it is not usable.
tls_cert_t *identity_certificate(generation_t *g, const certificate_t *c);

// What a plugin wants for this request alone (kong.service.set_tls_*); cert and store are counted, NULL takes them back.
void identity_set_cert(request_t *r, tls_cert_t *cert);
void identity_set_store(request_t *r, tls_store_t *store);

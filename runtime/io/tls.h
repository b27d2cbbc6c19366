// TLS contexts for both sides (OpenSSL 3): 1.2 and 1.3, ALPN http/1.1, session resumption, verification on by default.
// The byte pump is in io/sock; this is configuration. Contexts are reference-counted and shared by their sockets.
#pragma once

#include <stdbool.h>

#include "base/str.h"

typedef struct tls_ctx tls_ctx_t;
typedef struct tls_cert tls_cert_t;

// A certificate chain and its key from PEM text. 0 and *out owned (tls_cert_release), or ERR_INVALID and text in *why (static or thread-local).
int tls_cert_create(str_t cert_pem, str_t key_pem, tls_cert_t **out, const char **why);
tls_cert_t *tls_cert_acquire(tls_cert_t *c);
void tls_cert_release(tls_cert_t *c);

// Server side. pick(arg, sni) gives the certificate (borrowed) for a server name (empty when the client sent none), NULL to refuse the
// handshake. Sessions and tickets are bound to the context.
typedef tls_cert_t *(*tls_pick_fn)(void *arg, str_t sni);
tls_ctx_t *tls_server_create(tls_pick_fn pick, void *arg);

typedef struct tls_client_opts {
    bool verify;            // chain and host name
    int verify_depth;       // 0: default
    str_t ca_pem;           // extra/own trust anchors (PEM); empty: the system's store
    tls_cert_t *cert;       // client certificate, or NULL (acquired)
} tls_client_opts_t;
// Client side. Keeps sessions by server name for resumption. 0 and *out owned, or ERR_INVALID with *why.
int tls_client_create(const tls_client_opts_t *o, tls_ctx_t **out, const char **why);

tls_ctx_t *tls_acquire(tls_ctx_t *c);
void tls_release(tls_ctx_t *c);

// A self-signed certificate for `name` (PEM texts returned owned, free()): for the default TLS listener and for specs.
int tls_self_signed(str_t name, char **cert_pem, char **key_pem);

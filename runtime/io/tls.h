// TLS contexts for both sides (OpenSSL 3): 1.2 and 1.3, ALPN http/1.1, session resumption,
// verification on by default. The byte pump is in io/tls_pump.c; this is configuration.
// Contexts and certificates are counted references; making and counting them is thread-safe, so
// that configurations can be built off the loop.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef struct tls_ctx tls_ctx_t;
typedef struct tls_cert tls_cert_t;

// A certificate chain and its key from PEM text. 0 and *out owned (tls_cert_release), or
// ERR_INVALID and text in *why (static or thread-local).
int tls_cert_create(str_t cert_pem, str_t key_pem, tls_cert_t **out, const char **why);
tls_cert_t *tls_cert_acquire(tls_cert_t *c);
void tls_cert_release(tls_cert_t *c);
// Whether both are the same chain and key, however they came about.
bool tls_cert_same(const tls_cert_t *a, const tls_cert_t *b);

// The parts of a certificate, as scripts hold them: OpenSSL's own types, so that what a library
// of theirs made of libcrypto fits. The text is PEM, or DER. 0 and *out owned (x_free), or
// ERR_INVALID and text in *why.
typedef struct stack_st_X509 tls_chain_t; // the leaf first
typedef struct evp_pkey_st tls_key_t;
int tls_chain_parse(str_t text, tls_chain_t **out, const char **why);
void tls_chain_free(tls_chain_t *c);
int tls_key_parse(str_t text, tls_key_t **out, const char **why);
void tls_key_free(tls_key_t *k);
// Both are borrowed; what is needed of them is counted. As tls_cert_create else.
int tls_cert_join(tls_chain_t *chain, tls_key_t *key, tls_cert_t **out, const char **why);

// Trust anchors, counted; shared between contexts. ca_pem empty: the system's, which takes some
// 20 ms and a megabyte to read. 0 and *out owned, or ERR_INVALID and text in *why.
typedef struct x509_store_st tls_store_t;
int tls_store_create(str_t ca_pem, tls_store_t **out, const char **why);
tls_store_t *tls_store_acquire(tls_store_t *s);
void tls_store_release(tls_store_t *s);
// How many certificates are in it: one that grew is another.
int tls_store_count(const tls_store_t *s);

// Server side. pick(arg, sni) gives the certificate (borrowed) for a server name (empty when
// the client sent none), NULL to refuse the handshake. Sessions and tickets are bound to the
// context.
typedef tls_cert_t *(*tls_pick_fn)(void *arg, str_t sni);
tls_ctx_t *tls_server_create(tls_pick_fn pick, void *arg);

// Makes tickets of this context good for every context with the same secret (other workers, the
// generation before): only where certificates and client policy are the same. Without it a
// secret of its own is used.
enum { TLS_TICKET_SECRET_BYTES = 80 };
void tls_server_set_ticket_secret(tls_ctx_t *c, const uint8_t secret[TLS_TICKET_SECRET_BYTES]);

// Clients must show a certificate that one of these CAs signed (PEM), else the handshake fails. 0, or ERR_INVALID with *why.
int tls_server_require_client(tls_ctx_t *c, str_t ca_pem, const char **why);

typedef struct tls_client_opts {
    bool verify;        // chain and host name
    bool limit_depth;   // to verify_depth certificates between the server's and an anchor
    int verify_depth;   // with limit_depth
    str_t ca_pem;       // own trust anchors (PEM); empty: the system's
    tls_store_t *store; // trust anchors, instead of ca_pem (acquired); or NULL
    tls_cert_t *cert;   // client certificate, or NULL (acquired)
    bool no_alpn;       // do not offer http/1.1 (Redis, databases, mail)
} tls_client_opts_t;
// Client side. Keeps sessions by server name for resumption. 0 and *out owned, or ERR_INVALID
// with *why. Without `store` one is made: see tls_store_create for its price.
int tls_client_create(const tls_client_opts_t *o, tls_ctx_t **out, const char **why);

tls_ctx_t *tls_acquire(tls_ctx_t *c);
void tls_release(tls_ctx_t *c);

// A self-signed certificate for `name` (PEM texts returned owned, free()): for the default TLS
// listener and for specs.
int tls_self_signed(str_t name, char **cert_pem, char **key_pem);

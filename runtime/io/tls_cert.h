// A certificate as the TLS files use it; nobody outside the room includes it.
#pragma once

#include <openssl/ssl.h>

#include "io/tls.h"

bool tls_cert_use(const tls_cert_t *c, SSL *ssl);
bool tls_cert_use_ctx(const tls_cert_t *c, SSL_CTX *ctx);

// All certificates of a PEM text (at least one, returned owned), or NULL and OpenSSL's error
// queue.
STACK_OF(X509) * tls_read_certs(str_t pem);
BIO *tls_bio_of(str_t pem);

// Sets *why to "what: OpenSSL's reason" (thread-local text) and returns ERR_INVALID.
int tls_why(const char **why, const char *what);

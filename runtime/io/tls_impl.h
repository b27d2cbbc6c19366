// What the TLS files share; nobody outside the room includes it.
#pragma once

#include <openssl/ssl.h>

#include "io/tls.h"

// A connection's state: accepting, or connecting to `name` (sent, verified, and the key of the
// kept session). name is borrowed as long as the SSL lives. NULL when OpenSSL refuses the name.
SSL *tls_ssl_create(tls_ctx_t *c, const char *name);
void tls_ssl_destroy(SSL *ssl);

// Forgets the kept session of a name: its handshake failed.
void tls_forget_session(tls_ctx_t *c, const char *name);

// Whether the failure just seen on this thread is that of a peer that spoke HTTP instead of TLS.
bool tls_got_http(void);

// OpenSSL's reason for the failure just seen on this thread, into out; the error queue is
// emptied.
void tls_reason(const SSL *ssl, char *out, size_t cap);

// A client's TLS handshake that is held while somebody decides what it is shown and asked for (listener_opts_t.on_hello). What is set
// counts for this connection alone. Not the choice by name (tls.h). Invariant: a socket is in these functions' reach
// from on_hello until sock_hello_end, on_hello_gone, or the return of on_hello with another result than HELLO_HELD.
#pragma once

#include "io/sock.h"
#include "io/tls.h"

// The handshake goes on, or (ok false) is refused. Once for each HELLO_HELD, never inside on_hello.
void sock_hello_end(sock_t *s, bool ok);

// What is shown instead of the certificate picked by name: none so far (clear), then chain and key. 0 or ERR_INVALID with *why.
void hello_clear_cert(sock_t *s);
int hello_use_chain(sock_t *s, tls_chain_t *chain, const char **why);
int hello_use_key(sock_t *s, tls_key_t *key, const char **why);

// Asks the client for a certificate, which it need not show. authorities (or NULL; borrowed) are named to it, so that it can choose.
// trust: they also judge what it shows, with at most `depth` between (sock_client_verdict says how it went); else nobody does.
void hello_ask_client(sock_t *s, const tls_chain_t *authorities, bool trust, int depth);

// No ticket is given: the next connection makes a whole handshake.
void hello_no_resumption(sock_t *s);

// ---- after the handshake ----
// The client's certificates as PEM, the leaf first; owned, free(). NULL when it has shown none.
char *sock_client_chain(const sock_t *s);
// "NONE", "SUCCESS", "FAILED:reason" (static or thread-local), as nginx words it.
const char *sock_client_verdict(const sock_t *s);

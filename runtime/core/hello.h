// A client's TLS handshake while plugins decide on it: their certificate phase. Not the handshake itself (io/hello.h).
// Invariant: a hello lives from the client's hello to the end of the phase, or of the handshake; it has no request.
#pragma once

#include "config/generation.h"
#include "io/sock.h"

typedef struct worker worker_t;

typedef struct hello {
    worker_t *worker;
    generation_t *gen; // reference held
    sock_t *sock;
    list_t links; // worker->hellos while held
    void *script; // the script's task, or NULL
    char ip[64];  // text for who asks
} hello_t;

// Of listeners (listener_opts_t): runs the phase where a global plugin has one.
hello_result_t hello_begin(void *worker, sock_t *s);
void hello_gone(void *worker, sock_t *s);

// The script's word after it had waited: the handshake goes on, or is refused. Frees h.
void hello_end(hello_t *h, bool ok);

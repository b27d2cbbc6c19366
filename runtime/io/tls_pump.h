// TLS between a socket and its owner; sock.c calls it wherever a socket has a tls_conn_t.
// Room-internal.
#pragma once

#include "io/sock_impl.h"
#include "io/tls.h"

// Begins a handshake on a connected, paused socket that has no TLS yet. done as for
// sock_start_tls; the socket is left open then, also on failure.
void pump_begin(sock_t *s, tls_ctx_t *ctx, str_t name, unsigned timeout_ms, sock_tls_fn done,
                void *arg);

// Before the first byte of a server's handshake: whom to ask once the client's hello is here, and to tell when that was in vain.
void pump_ask(sock_t *s, hello_result_t (*on_hello)(void *arg, sock_t *s),
              void (*on_gone)(void *arg, sock_t *s), void *arg);

// Bytes, the end or a failure came from the wire.
void pump_feed(tls_conn_t *c, char *data, size_t n);
void pump_end(tls_conn_t *c);
void pump_failed(tls_conn_t *c, int err);

int pump_write(tls_conn_t *c, const str_t *iov, unsigned n);
bool pump_ready(const tls_conn_t *c);  // the handshake is done
void pump_resume(tls_conn_t *c);       // delivers later what was held back
void pump_notify_close(tls_conn_t *c); // sends close_notify, once
void pump_stop(tls_conn_t *c);         // the socket closes: nothing comes any more
void pump_destroy(tls_conn_t *c);      // in the socket's close callback

// A client's connection in a plugin's hands, or a tunnel's: from raw_begin on nobody else reads, writes and times it, until the request
// ends. What the plugin does with it is lua/socket.c, the tunnel is tunnel.c. Invariant: who was lent a connection gives it back (raw_end) before the request
// finishes; after that the connection only closes.
#pragma once

#include "core/request.h"
#include "io/sock.h"

// Why this request's connection cannot be lent now, static text; NULL: it can.
const char *raw_refusal(const request_t *r);
// Events of the socket go to `events` and `owner` from now on, both borrowed until raw_end. What has come already and nobody asked for
// (of the body, and behind it) is appended to *early. The response's head, if begun, is sent; the answer counts as made. The request's
// body is the plugin's to read. Paused.
sock_t *raw_begin(request_t *r, const sock_events_t *events, void *owner, buf_t *early);
// Gives it back. The request goes on, and its end closes the connection.
void raw_end(request_t *r);

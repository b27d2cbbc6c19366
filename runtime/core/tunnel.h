// Two connections, the client's and an upstream's, after a 101: bytes pass both ways as they are. Only as many wait here as one read
// brings: who sends is read again when the other has taken them. Not: the upgrade itself (exchange_*.c), nor the client's connection
// (raw.h), which it borrows. Invariant: the answer counts as complete from tunnel_begin on, so the request ends as 101 whatever comes.
#pragma once

#include "core/pool.h"
#include "core/request.h"

// Makes r->tunnel of the client's connection and `u` (taken), once the response's head is begun (it is sent). Nothing is read yet.
void tunnel_begin(request_t *r, uconn_t *u);
// Passes on what both sides sent ahead (`data` came from the upstream, behind its head; borrowed) and reads. May end the request.
void tunnel_start(tunnel_t *t, str_t data);
// Gives the client's connection back, closes the upstream's and frees. The exchange's to call: whoever else wants a tunnel's end ends
// the request, or its exchange.
void tunnel_end(tunnel_t *t);
// Ends it before its time: the client gets a close frame (1012, service restart) where one may stand. Ends the request.
// why: static, for the log.
void tunnel_cut(request_t *r, const char *why);

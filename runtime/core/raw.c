// Lending a client's connection: the request's side here, the connection's in conn.c.
#include "core/raw.h"

#include "base/check.h"
#include "core/conn.h"
#include "core/respond.h"

const char *raw_refusal(const request_t *r)
{
    const body_t *b = &r->body;
    if (r->raw)
        return "duplicate call";
    if (!r->conn || r->finished)
        return "client closed the connection";
    if (r->ended)
        return "seen eof";
    if (r->on_body)
        return "another thread reads the body";
    if (b->err)
        return "the request's body is broken";
    if (b->mode == BODY_STREAM || b->mode == BODY_DROP)
        return "the request's body has gone on already";
    if (b->kind == BODY_CHUNKED && !b->complete)
        return "chunked request bodies not supported yet";
    return NULL;
}

// What came of a body that nobody asked for is read from the connection like the rest of it.
static void lend_body(request_t *r, buf_t *early)
{
    body_t *b = &r->body;
    request_send_continue(r);
    if (b->mode == BODY_HELD && b->kind == BODY_LENGTH)
        buf_append(early, buf_str(&b->data));
    b->mode = BODY_DROP;
    b->complete = true;
}

sock_t *raw_begin(request_t *r, const sock_events_t *events, void *owner, buf_t *early)
{
    ASSERT(!raw_refusal(r), "a connection is lent that can be");
    conn_t *c = r->conn;
    lend_body(r, early);
    r->raw = true;
    r->lent = c;
    respond_hand_over(r);
    size_t counted = early->n; // with the body
    conn_lend(c, events, owner, early);
    r->received_bytes += early->n - counted;
    return c->sock;
}

void raw_end(request_t *r)
{
    ASSERT(r->lent && !r->finished, "a lent connection is given back once, before the end");
    uint64_t in = 0, out = 0;
    conn_take_back(r->lent, &in, &out);
    r->lent = NULL;
    r->received_bytes += in;
    r->sent_bytes += out;
    r->sent_body_bytes += out;
}

// Where a target is, kept up to date: the addresses behind its name, asked for again when their time to live is over.
// Not the resolver of the loop (io/dns.h), which answers and caches; not connecting. SRV records come before addresses, A before AAAA.
// Invariant: what is known stays in use while it is asked for again, and while servers do not answer; "no such name" ends that.
#pragma once

#include "io/dns.h"

typedef enum resolve_state { RESOLVE_PENDING, RESOLVE_OK, RESOLVE_FAILED } resolve_state_t;

// Of a target: host is an IP literal, or the name that a SRV record gave.
typedef struct resolved {
    char *host; // owned
    uint16_t port;
    uint16_t weight; // of the SRV record, at least 1; 0: the target's own counts
} resolved_t;

typedef struct answer_list {
    resolved_t *v; // owned
    unsigned n;
    unsigned ttl_ms;
    int err;   // 0: an answer, ERR_*: none
    bool here; // since the last question
} answer_list_t;

typedef struct resolver {
    loop_t *loop;
    char *name; // owned
    uint16_t port;
    resolve_state_t state;
    answer_list_t used; // what is known
    bool used_srv;      // by SRV
    // Inside.
    dns_query_t *query[2]; // by dns_type_t; NULL: not asking
    answer_list_t got[2];
    io_timer_t timer; // the next question, or how long an address waits for SRV
    void (*changed)(void *owner);
    void *owner;
} resolver_t;

// Begins to resolve. An IP literal is RESOLVE_OK at once; else changed(owner) is called when the state or the addresses change, never inside
// this call. `name` is copied. Returned owned: resolver_destroy.
resolver_t *resolver_create(loop_t *l, str_t name, uint16_t port, void (*changed)(void *owner),
                            void *owner);
void resolver_destroy(resolver_t *r);

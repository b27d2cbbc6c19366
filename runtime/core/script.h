// The arrow turned round: what core asks of a scripting language, as function pointers that lua/ fills.
// core never includes lua.h. All may be NULL-free because script_none (core/script.c) does nothing.
#pragma once

#include <stdint.h>

#include "base/str.h"

typedef struct request request_t;
typedef struct generation generation_t;
typedef struct worker worker_t;
typedef struct hello hello_t;

typedef enum script_result {
    SCRIPT_DONE, // the chain ended normally; go on
    SCRIPT_WAITING, // it waits; request_after_plugins (access) is called by the script when it has ended
    SCRIPT_RESPONDED, // it ended the request by a response (exit) or began one that it will end itself
    SCRIPT_FAILED, // it raised; logged already; the caller answers 500 (or cuts the body)
} script_result_t;

typedef struct script {
    // Starts in this worker / prepares a new generation (loads plugins, sets phases via generation_set_phases). 0, or -1 with why.
    int (*open)(worker_t *w, char *why, size_t why_cap);
    int (*install)(worker_t *w, generation_t *g, char *why, size_t why_cap);
    // The worker is about to end: pending timers run with premature=true and may wait for a moment (queues are sent).
    void (*finish)(worker_t *w);
    void (*close)(worker_t *w); // cancels what still waits, frees the states

    // The certificate phase of a client's handshake (hello.h). May wait: hello_end is called by the script then.
    script_result_t (*enter_certificate)(hello_t *h);
    // The handshake has ended while its phase waits: cancels the wait.
    void (*abort_certificate)(hello_t *h);
    // Rewrite+access as one chain. May wait.
    script_result_t (*enter_access)(request_t *r);
    // Must not wait: response (whole body in r->collected), header_filter, log; balancer when r->up.ask_on_retry, to set the next target.
    script_result_t (*enter)(request_t *r, uint32_t phase);
    // One body chunk through the plugins' body_filter; *out is borrowed until the next call. *eof: whether it is the last one;
    // true afterwards when a filter has made it the last. Must not wait.
    script_result_t (*body_filter)(request_t *r, str_t chunk, bool *eof, str_t *out);
    // Frees r->script. Any wait under way is cancelled, its resources closed; code after the wait never runs.
    void (*release)(request_t *r);
    // The client has gone while the chain waits: cancel the wait, so that the request can be logged.
    void (*abort)(request_t *r);
    // Bytes of the Lua heap(s), for metrics.
    uint64_t (*memory)(worker_t *w);
} script_t;

extern const script_t script_none;

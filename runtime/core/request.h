// THE front door: one request from its head to its log line. Read this struct first.
// Made by conn.c when a head is complete, freed by request_end after the log phase. Memory of its own dies with `arena`.
// Invariants: at most one response is begun; `done` is set once; nothing may keep a request_t * over an await
// but what has a cleanup in the arena.
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "config/generation.h"
#include "config/router.h"
#include "core/body.h"
#include "core/script.h"
#include "core/tap.h"
#include "http/head.h"
#include "http/json.h"
#include "io/addr.h"
#include "io/loop.h"
#include "io/tls.h"

typedef struct conn conn_t;
typedef struct worker worker_t;
typedef struct exchange exchange_t;
typedef struct tunnel tunnel_t;

typedef enum request_state {
    REQ_HEAD,    // head accepted, not yet routed
    REQ_PLUGINS, // rewrite/access chain runs or waits
    REQ_PROXY, // an exchange with an upstream is under way, no response byte to the client yet
    REQ_RESPONSE, // response head is on its way to the client
    REQ_LOG,      // everything sent or given up; log phase
} request_state_t;

// Who made the response (kong.response.get_source).
typedef enum response_source {
    SOURCE_NONE,
    SOURCE_EXIT,
    SOURCE_ERROR,
    SOURCE_SERVICE
} response_source_t;

// A change to the response's field lines recorded before there is a response.
typedef struct header_op {
    struct header_op *next;
    enum { HOP_SET, HOP_ADD, HOP_REMOVE } kind;
    bool only_on_200; // apply only when the upstream answered 200
    uint16_t id;
    str_t name, value;
} header_op_t;

// What goes upstream; filled from the service and changed by plugins (kong.service.*).
typedef struct upstream_request {
    str_t host; // name, IP literal, or an Upstream's name
    uint16_t port;
    bool https;
    bool raw_path;     // set by a plugin: no strip, no service path
    bool set;          // a plugin chose the target
    bool ask_on_retry; // a plugin names the target of each attempt after the first
    int8_t tls_verify; // -1: service's, then the node's default
    const upstream_t
        *balancer;             // the Upstream to pick targets from, or NULL: host:port as it is
    str_t host_header;         // empty: from preserve_host / host and port
    str_t method, path, query; // path normalised and escaped; query.p == NULL: none
    uint32_t connect_timeout_ms, write_timeout_ms, read_timeout_ms, retries;
    str_t sni;
    int32_t tls_depth;      // -1: the service's
    tls_cert_t *tls_cert;   // a plugin's; NULL: as configured
    tls_store_t *tls_store; // a plugin's; NULL: as configured
    enum { HASH_UNKNOWN, HASH_NOTHING, HASH_KNOWN } hash_state; // of `hash`, by balancer
    uint64_t hash;
} upstream_request_t;

// What is said in the log of a request to an LLM provider, beside what the tap saw. Borrowed from the plugin's plan.
typedef struct ai_note {
    str_t plugin_id, provider, model;
    bool stream;
    uint64_t request_bytes; // for an estimate when the provider reports no usage
    uint64_t sent_us;       // monotonic, when the plugin had done its part
} ai_note_t;

// One try at a target, for logs (Kong's `tries`).
typedef struct try_record {
    struct try_record *next;
    str_t ip;
    uint16_t port;
    uint64_t peer;  // its key (core/peer.h); 0: no Upstream's
    int err;        // 0 or ERR_*
    uint64_t at_us; // wall
    uint32_t connect_us;
} try_record_t;

struct request {
    worker_t *worker;
    conn_t *conn;      // the client's connection; NULL once it has gone
    generation_t *gen; // reference held
    list_t links;      // in worker->requests
    request_state_t state;
    char id[33]; // 32 lower-case hex

    // Times: wall for logs, monotonic for durations; 0: not reached.
    uint64_t start_wall_us, start_us;
    uint64_t routed_us, plugins_us; // after the chain
    uint64_t upstream_start_us, upstream_head_us, upstream_end_us;
    uint64_t first_byte_us, end_us; // towards the client

    // What the client sent.
    request_head_t
        head;     // head.headers: the one mutable set (plugins change it, the upstream gets it)
    str_t path;   // normalised
    str_t method; // head.method_name
    uint8_t client_bytes[16]; // after trusted_ips; IPv4 mapped, zeros for unix sockets
    uint16_t client_port;     // 0 for unix sockets
    uint16_t forwarded_port;
    bool trusted;                                          // the peer is in trusted_ips
    char client_ip[48];                                    // NUL-terminated
    str_t forwarded_proto, forwarded_host, forwarded_path; // what a trusted peer said, or empty
    body_t body;

    str_t client_verify; // what a plugin says of the client's certificate; empty: nothing

    // Routing.
    const route_match_t *captured; // what the route's regex captured, or NULL
    const route_t *route;          // NULL: none
    const service_t *service;      // NULL: none
    uint32_t prefix;               // bytes of path that the route's path matched
    uint32_t
        phases; // phases that still have plugins for this request (PHASE_*); plugins may add bits

    // Upstream.
    upstream_request_t up;
    exchange_t *exchange; // NULL: none under way; storage in exchange_room
    void *exchange_room;  // the heap's; kept until the request is freed
    tunnel_t *tunnel;     // after a 101 (tunnel.h), or NULL; part of the exchange
    try_record_t *tries;  // newest first
    uint32_t n_tries;
    uint16_t upstream_status;   // 0: none
    json_doc_t *doc;            // opened over the buffered body, or NULL
    str_t new_body;             // replaces the body when new_body.p != NULL
    headers_t upstream_headers; // as the upstream sent them
    uint64_t upstream_bytes_in;
    ai_note_t *ai; // in the arena; NULL: nothing to say (or a script says it in log_fields)
    tap_t *tap;    // watches a same-format response, or NULL; owned, see request_watch

    // Response.
    response_source_t source;
    uint16_t status;   // what the client gets (or would have got: 499)
    headers_t headers; // response field lines; framing fields are not in it
    header_op_t *ops, **ops_tail;
    bool head_sent, ended; // towards the client
    bool buffering;        // whole upstream response is collected before the response phase
    bool head_only;        // no body goes out: HEAD, 204, 304
    bool chunked_out, length_known, close_after;
    bool events;   // an event stream, not compressed, of unknown length (stream.h)
    uint64_t tail; // the last bytes of its body so far, the newest lowest
    uint64_t seen_ms, opened_ms, seen_body_bytes; // stream.c's
    uint64_t length_out;                          // when length_known
    uint64_t sent_body_bytes, sent_bytes, received_bytes;
    buf_t collected; // with `buffering`
    bool raw; // a plugin or a tunnel has, or had, the connection (raw.h): no answer of our own
    conn_t *lent;         // the connection while it is lent
    bool aborted;         // the client has gone
    bool failed_mid_body; // the response broke off
    bool cut;             // an event stream was ended before its time, in good order
    bool filter_ended;    // body_filter has ended the body before its source has

    // Scripts.
    void *script; // lua's per-request state (task, ctx slot), or NULL
    str_t
        log_fields; // JSON object text merged into the log record (kong.log.set_serialize_value), or empty
    int32_t
        consumer; // index into gen->consumers, -1: anonymous (set by kong.client.authenticate)
    int32_t credential; // index, -1
    str_t exit_reason;  // short static or arena text for the log, or empty

    // Continuation of the code that waits for the whole body.
    void (*on_body)(struct request *r, int err);

    uint32_t holds;  // request_hold: event handlers that still look at it
    bool finished;   // log phase ran; freed when holds is 0
    bool out_failed; // a write to the client failed; its connection is to be closed
    bool light;      // request_lighten gave the arena back

    arena_t arena; // last: everything above starts as zero
};

// ---- life (called by conn.c) ----
// Begins a request over one complete head (copied into the arena) and parses it. Borrowed; it frees itself when it has
// finished and nobody holds it. Feed it what came of the body, then request_start.
request_t *request_begin(conn_t *c, const char *head, size_t n);
// Answers a bad head, or routes and runs the plugins.
void request_start(request_t *r);
// Body bytes as they came, advanced past what belongs to this body. Does nothing once the body is complete.
void request_feed_body(request_t *r, str_t *in);
// The client has gone: everything under way is given up; the request ends as 499.
void request_on_client_gone(request_t *r);
// The client was silent for too long while its body is awaited.
void request_on_body_timeout(request_t *r);

// Keeps `r` readable over calls that may finish it; pair with request_drop, check r->finished in between.
static inline void request_hold(request_t *r)
{
    r->holds++;
}
void request_drop(request_t *r);

// ---- the walk (called by proxy.c, script.h's implementor and respond.c) ----
// Goes on after the chain of rewrite+access has ended normally: proxies, or ends a response that a plugin began.
void request_after_plugins(request_t *r);
// Body bytes from now on go to the exchange as they come (BODY_STREAM); those held go first.
void request_stream_body(request_t *r);
// The status of an answer to a body that failed with `err`.
unsigned request_body_status(int err);
// Nobody wants the rest of the body.
void request_drop_body(request_t *r);
// Whether what is missing of the body is so little that reading it saves the connection; and doing that: drops it, then finishes.
bool request_can_drain(const request_t *r);
void request_drain(request_t *r);
// Tells the client to go on if it waits for 100 Continue.
void request_send_continue(request_t *r);
// Calls fn(r, 0) when the whole body is buffered (maybe at once), or fn(r, ERR_TOO_LARGE | ERR_ABORTED | ERR_PROTOCOL | ERR_TIMEOUT).
// Sends "100 Continue" when the client waits for it. max_bytes 0: the node's limit.
void request_read_body(request_t *r, uint64_t max_bytes, void (*fn)(request_t *r, int err));
// Makes r->tap, anew when there was one.
void request_watch(request_t *r, tap_kind_t kind, bool hide_usage);
// The head of the response went out and more of its body is awaited, maybe for long: gives back what only a request without an answer
// needs (arena, scripts, body), but what is still read of it. Called at the end of an event, with one hold. True when it did: then no
// slice of before may be read again; not while plugins see the body.
bool request_lighten(request_t *r);
// The response is complete (or given up): log phase, stats, release. Called by respond.c; never twice.
void request_finish(request_t *r);

// The body that goes upstream as it is now: new_body, spliced document, or as received (buffered). For scripts and the exchange.
str_t request_body_text(request_t *r);

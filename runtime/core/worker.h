// A worker: one loop, one generation in use, its listeners, connections and pools. The only global state of the process.
#pragma once

#include "config/settings.h"
#include "core/pool.h"
#include "core/record.h"
#include "core/request.h"
#include "core/script.h"
#include "io/sock.h"

#ifndef MOONGATE_VERSION
#define MOONGATE_VERSION "0.0.0" // the Makefile says which
#endif

typedef struct peers peers_t; // core/peer.h

// What is gathered for one client within an event and leaves in one writev (respond.c).
typedef struct out_batch {
    request_t *of; // whose; meaningless when n is 0
    unsigned n;
    str_t v[12];       // borrowed
    char lines[4][24]; // size lines of chunks: a chunk takes three slices
} out_batch_t;

struct worker {
    unsigned index; // 0-based slot
    loop_t *loop;
    const settings_t *settings;
    generation_t *gen; // what new requests get; reference held
    const script_t *script;
    void *script_state;       // lua's
    access_log_t *access_log; // NULL: off
    pools_t *pools;           // upstream connections
    peers_t *peers;           // addresses of Upstreams' targets
    io_timer_t peers_timer;
    struct prober *prober;
    bool tells_targets; // /metrics shows their health (upstream_health.h)
    cidr_t *trusted;
    unsigned n_trusted;
    listener_t *listeners[2 * LISTEN_MAX];
    unsigned n_listeners;
    tls_ctx_t *tls; // of the TLS listeners; certificates by the current generation
    tls_cert_t *default_cert;
    str_t ca_pem;            // extra trust anchors for upstreams, owned
    struct anchors *anchors; // the same or the system's, as OpenSSL has them (anchors.h)
    io_timer_t drain_timer, beat_timer, stream_timer;
    uint64_t date_s; // the second that date was made for
    char date[32];   // "Mon, 23 Nov 2026 00:00:00 GMT"; see worker_date
    char node_id[37];
    list_t conns;    // conn_t.links
    list_t requests; // request_t.links
    list_t hellos;   // hello_t.links: handshakes that plugins hold
    unsigned n_conns, n_requests;
    uint64_t requests_total;
    bool draining;     // answer Connection: close, accept no more keep-alive
    bool drain_closed; // the proxy listeners are closed
    bool stopping;
    uint64_t id_seed[2]; // for request ids
    out_batch_t out;
    head_limits_t limits;
    volatile uint64_t *heartbeat; // shared with the master, monotonic ms; NULL without one
    bool admin;                   // serves the Admin API only
    struct control *control;      // while it serves; NULL in specs
};

extern worker_t *worker_self; // the process's worker; NULL in the master

// Life (core/worker.c): opens loop, script, pools, logs, listeners on the inherited descriptors, runs until stopped. Exit code.
typedef struct worker_opts {
    unsigned index;
    const settings_t *settings;
    const script_t *script;
    const int *listen_fds; // bound sockets: settings->proxy_listen's, then status_listen's
    const char *document;  // configuration JSON, borrowed until install
    size_t document_n;
    int control_fd; // from the master (reload, stop messages), or -1
    volatile uint64_t *heartbeat;
    bool
        admin; // the process of the Admin API: `settings` are admin_settings' (master_admin.c), its proxy listeners are admin_listen's
} worker_opts_t;
int worker_run(const worker_opts_t *o);

// The worker under way on this process's loop may be set up without running it, for specs: open, turn the loop, close.
// 0, or -1 with why and nothing left open.
int worker_open(worker_t *w, const worker_opts_t *o, char *why, size_t why_cap);
void worker_close(worker_t *w);

// Puts a new generation in use: requests under way keep theirs. 0, or -1 with why (the old one stays).
int worker_install(worker_t *w, str_t document, char *why, size_t why_cap);
// The same with a generation made elsewhere (taken in both cases): reload.h.
int worker_adopt(worker_t *w, generation_t *g, char *why, size_t why_cap);
// Other settings from now on (borrowed): limits, trusted addresses and what is asked for as it is needed; not listeners, logs, TLS.
// For specs, between two generations. 0, or -1 with why.
int worker_use_settings(worker_t *w, const settings_t *s, char *why, size_t why_cap);
// Begins to drain: readiness off, keep-alive off, listeners closed after drain_delay_ms, exit when idle or after drain_timeout_ms.
void worker_drain(worker_t *w);
void worker_stop(worker_t *w); // at once
// The Date field's value now (RFC 9110 5.6.7).
str_t worker_date(worker_t *w);
// Called when a request or connection has ended while draining: stops when nothing is left.
void worker_check_drained(worker_t *w);

// One active check of one address: connects, asks if there is something to ask, judges the answer's status. Not when (prober.h).
#pragma once

#include "core/health.h"
#include "io/sock.h"

typedef struct probe probe_t;

typedef struct probe_opts {
    const active_checks_t *checks; // read within probe_start, and its sets of statuses copied
    str_t host;                    // an IP literal or a name; copied
    uint16_t port;
    str_t name;     // for Host and TLS, unless checks->sni
    tls_ctx_t *tls; // for CHECK_HTTPS; acquired
    // Once, never inside probe_start: what was found. counts false: the status is neither good nor bad. why: for the log, borrowed.
    void (*done)(void *arg, health_report_t what, bool counts, const char *why);
    void *arg;
} probe_opts_t;

// Returned owned by itself: it ends with `done`, or by probe_cancel.
probe_t *probe_start(loop_t *l, const probe_opts_t *o);
void probe_cancel(probe_t *p);

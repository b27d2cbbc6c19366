// The master: owns what outlives a worker (listening sockets, shared memory, the configuration in use) and the workers' lives.
// It serves nothing, runs no Lua and has no event loop of its own but one poll(2): it must not fail.
// Invariants: a worker is always in exactly one slot; every child is reaped here; the last good configuration is what a respawned worker gets.
#pragma once

#include "base/buf.h"
#include "core/control.h"
#include "core/script.h"

typedef struct master_opts {
    const settings_t *settings; // borrowed
    const script_t *script;     // for the workers
    load_fn load;               // runs in a child of its own
    // The other listening descriptors follow the proxy's in worker_opts_t.listen_fds: proxy, status, admin.
} master_opts_t;

// Serves until told to stop. The process's exit code: 0, or 1 when it could not start (the cause is on stderr and in the log).
// settings->master false: this process becomes the one worker.
int master_run(const master_opts_t *o);

// A worker's reloads: a document becomes a generation on a pool thread, then it is put in use between two turns of the loop.
// Documents come from the master (reload_take), or, without one, from the files: by a signal or because they changed (reload_alone).
// Invariant: documents are put in use one after another, in the order in which they came.
#pragma once

#include "core/load.h"
#include "core/worker.h"

typedef struct reloads reloads_t;

// Called when a document was put in use (rc 0, text: what is in use) or was refused (-1, text: why).
typedef void (*reload_done_fn)(void *arg, uint32_t seq, int rc, const char *text);

reloads_t *reloads_create(worker_t *w, reload_done_fn done, void *arg);
// Waits for what is under way and drops it: done is not called any more. Must come before loop_destroy.
void reloads_destroy(reloads_t *r);

// A sealed memory file with a document; the descriptor is taken, -1 is refused.
void reload_take(reloads_t *r, int fd, uint32_t seq);

// Without a master: watches the files from now on, and reads them when told or when they changed. facts: of the first load, copied.
void reload_alone_start(reloads_t *r, load_fn load, str_t facts);
void reload_alone(reloads_t *r);

// "hash ..., 3 services, ...": what is in use, for the log.
const char *reload_summary(const worker_t *w, char *out, size_t cap);

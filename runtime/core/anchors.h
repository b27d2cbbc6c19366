// The node's trust anchors (ca_file, or the system's) as OpenSSL has them: one store for all of a worker's contexts. Reading the
// system's takes some 30 ms, so that it is done on a pool thread as soon as a configuration is likely to need it.
#pragma once

#include "io/loop.h"
#include "io/tls.h"

typedef struct anchors anchors_t;

// ca_pem: borrowed while the anchors live; empty: the system's.
anchors_t *anchors_create(loop_t *l, str_t ca_pem);
// Waits for a reading under way. Must come before loop_destroy.
void anchors_destroy(anchors_t *a);

// Reads them on a pool thread, unless they are there or on their way.
void anchors_read_ahead(anchors_t *a);
// The store, borrowed; read now when it is not there yet. NULL with *why when it cannot be read.
tls_store_t *anchors_get(anchors_t *a, const char **why);

// Facts about this machine and process that do not change while it runs.
#pragma once

#include <stdbool.h>

#include "base/str.h"

// Reads the node's id (a UUID) from <prefix>/moongate.id, or makes one and writes it there. Before the first fork; never fails: a prefix
// that cannot be written only means another id at the next start.
void node_init(str_t prefix);
// 80 random bytes made by node_init, the same in every worker: what TLS session tickets are sealed with. New at each start of the
// master, so tickets do not outlive it.
const unsigned char *node_ticket_secret(void);
// 36 bytes and a NUL; "" before node_init.
const char *node_id(void);

// Soft limit of descriptors up to the hard one; no new privileges; no core files (they would hold keys); SIGPIPE ignored.
void node_harden(void);

// ---- the pid file ----
// <prefix>/moongate.pid, locked while this process lives. 0; -errno; or 1 when another process holds it (*holder).
int pidfile_open(str_t prefix, int *holder);
void pidfile_close(void);
// The process that holds a prefix's pid file, 0: none.
int pidfile_holder(str_t prefix);

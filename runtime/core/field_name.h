// Names of field lines that plugins set. The same few come with every request: each is checked and looked up once, and kept.
// Not names that clients or upstreams send (http/head.h). For the loop's thread only.
// Invariant: a name that is kept is a valid one, and stays for the life of the process.
#pragma once

#include "base/arena.h"
#include "http/header.h"

// Takes a name as somebody gave it: *name lives as long as the arena (or longer), *id is its number or HDR_OTHER. 0, or ERR_INVALID: no
// field may be called that.
int field_name_take(arena_t *a, str_t given, str_t *name, hdr_id_t *id);

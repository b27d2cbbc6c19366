// Which fields and query arguments carry secrets, for everything that is written down. Fixed names, and those a generation's key-auth
// and jwt plugins look in.
#pragma once

#include "config/generation.h"

typedef struct redact redact_t;

#define REDACTED STR("REDACTED")

// The names for a generation; kept for the process's current one. Borrowed until the next call with another generation. NULL: fixed names only.
const redact_t *redact_of(const generation_t *g);
void redact_forget(void); // frees what redact_of keeps, for specs

bool redact_field(const redact_t *set, hdr_id_t id, str_t name);
bool redact_argument(const redact_t *set, str_t name); // unescaped
// "path?query" with secret values replaced; no "?" when query.p is NULL. In `a`, or borrowed from path.
str_t redact_query(const redact_t *set, arena_t *a, str_t path, str_t query);

// The shared dictionaries that plugins find as ngx.shared.NAME: those with Kong's names, the plugins' own (moongate) and what
// lua_shared_dicts asks for. The gateway's own counters and tables are not among them.
#pragma once

#include "config/settings.h"

// Makes them, in memory shared with later children. 0, or ERR_NOMEM.
int dicts_create(const settings_t *s);
// Each of them, with its size.
void dicts_each(const settings_t *s, void (*each)(void *arg, str_t name, uint64_t bytes),
                void *arg);

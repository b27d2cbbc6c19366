// One setting's text -> its C value, by the row's kind; private to settings.c.
#pragma once

#include "config/settings.h"

// `items` are the values given (a repeated flag or a list of the file gives several). Stores into *s.
// 0, or -1 with why: what is wrong and what to write. Strings are copied into s->arena.
int setting_store(settings_t *s, const setting_row_t *row, const str_t *items, uint32_t n,
                  char *why, size_t why_cap);

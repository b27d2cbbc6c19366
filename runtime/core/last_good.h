// The last configuration that worked, as a file in the prefix: <prefix>/last-good.json, mode 0600, for it holds secrets.
// Kept and used only when the setting last_good is on; otherwise keeping does nothing and there is none to take.
#pragma once

#include "base/buf.h"
#include "config/settings.h"

// Replaces it as a whole. What fails is logged and passed over: it is not needed to serve.
void last_good_keep(const settings_t *s, str_t document);
// Appends it. 0 or -errno; -ENOENT also when the setting is off.
int last_good_take(const settings_t *s, buf_t *document);

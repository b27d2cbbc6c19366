// The last configuration that worked, as files in the prefix, mode 0600, for they hold secrets: <prefix>/last-good.json is the
// workers' document, <prefix>/last-good-admin.json that of the Admin API's process.
// Kept and used only when the setting last_good is on; otherwise keeping does nothing and there is none to take.
#pragma once

#include "base/buf.h"
#include "config/settings.h"

typedef enum last_good_part { LAST_GOOD_DOCUMENT, LAST_GOOD_ADMIN } last_good_part_t;

// Replaces a part as a whole. What fails is logged and passed over: it is not needed to serve.
void last_good_keep(const settings_t *s, last_good_part_t part, str_t document);
// Appends it. 0 or -errno; -ENOENT also when the setting is off.
int last_good_take(const settings_t *s, last_good_part_t part, buf_t *document);

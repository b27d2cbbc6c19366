// What the status listener says of the configuration; private to status.c.
#pragma once

#include "base/buf.h"
#include "core/worker.h"

// The member `"config":{...}`, without a comma.
void status_config_json(const worker_t *w, buf_t *b);
// The families of moongate_config_*.
void status_config_metrics(const worker_t *w, buf_t *b);

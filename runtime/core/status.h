// What the status listener answers: /status, /status/ready, /metrics, /upstreams/{name}/health. Called by conn.c for requests on that listener, instead of routing.
#pragma once

#include "core/request.h"

// What /status and /metrics answer, appended: for the Admin API, which has the same paths.
void status_put_json(worker_t *w, buf_t *b);
void status_put_metrics(worker_t *w, buf_t *b);

// Answers by respond_exit; the response ends the request, which must not be touched after. Always answers (404, 405 too).
void status_handle(request_t *r);

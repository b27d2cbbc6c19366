// What the status listener answers: /status, /status/ready, /metrics, /upstreams/{name}/health. Called by conn.c for requests on that listener, instead of routing.
#pragma once

#include "core/request.h"

// Answers by respond_exit; the response ends the request, which must not be touched after. Always answers (404, 405 too).
void status_handle(request_t *r);

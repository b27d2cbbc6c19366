// The bytes of a response head: status line, r->headers, the gateway's own lines, framing.
#pragma once

#include "core/request.h"

// Decides framing (length, chunked, until close; keep-alive or close) into r and returns the head's text, in the arena.
str_t respond_head_text(request_t *r);

// host[:port] as in Host, absolute-form and URLs (RFC 3986 3.2.2), strict: no userinfo, no
// empty host, no sub-delims, no percent-triplets, no IPv6 zone. Not for other rooms.
#pragma once

#include "base/str.h"

// Splits `text`. Host as written, borrowed, without one trailing dot; [v6] keeps its brackets.
// Port 0: none given. 0, or -1 with *why.
int authority_parse(str_t text, str_t *host, uint16_t *port, const char **why);

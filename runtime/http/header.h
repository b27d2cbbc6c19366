// A header block: field lines in order, names compared without case, well-known names by
// number. Slices are borrowed from whoever made the block (usually a request's arena); the
// array grows in an arena.
#pragma once

#include "base/arena.h"
#include "base/str.h"

// Well-known field names: number, wire form. HDR_OTHER is any other name.
#define HDR_MAP(X)                                                                             \
    X(HDR_ACCEPT, "Accept")                                                                    \
    X(HDR_ACCEPT_ENCODING, "Accept-Encoding")                                                  \
    X(HDR_ACCEPT_LANGUAGE, "Accept-Language")                                                  \
    X(HDR_APIKEY, "apikey")                                                                    \
    X(HDR_AUTHORIZATION, "Authorization")                                                      \
    X(HDR_CACHE_CONTROL, "Cache-Control")                                                      \
    X(HDR_CONNECTION, "Connection")                                                            \
    X(HDR_CONTENT_ENCODING, "Content-Encoding")                                                \
    X(HDR_CONTENT_LENGTH, "Content-Length")                                                    \
    X(HDR_CONTENT_TYPE, "Content-Type")                                                        \
    X(HDR_COOKIE, "Cookie")                                                                    \
    X(HDR_DATE, "Date")                                                                        \
    X(HDR_ETAG, "ETag")                                                                        \
    X(HDR_EXPECT, "Expect")                                                                    \
    X(HDR_FORWARDED, "Forwarded")                                                              \
    X(HDR_HOST, "Host")                                                                        \
    X(HDR_IF_MODIFIED_SINCE, "If-Modified-Since")                                              \
    X(HDR_IF_NONE_MATCH, "If-None-Match")                                                      \
    X(HDR_KEEP_ALIVE, "Keep-Alive")                                                            \
    X(HDR_LAST_MODIFIED, "Last-Modified")                                                      \
    X(HDR_LOCATION, "Location")                                                                \
    X(HDR_ORIGIN, "Origin")                                                                    \
    X(HDR_PROXY_AUTHENTICATE, "Proxy-Authenticate")                                            \
    X(HDR_PROXY_AUTHORIZATION, "Proxy-Authorization")                                          \
    X(HDR_PROXY_CONNECTION, "Proxy-Connection")                                                \
    X(HDR_RANGE, "Range")                                                                      \
    X(HDR_REFERER, "Referer")                                                                  \
    X(HDR_RETRY_AFTER, "Retry-After")                                                          \
    X(HDR_SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key")                                              \
    X(HDR_SERVER, "Server")                                                                    \
    X(HDR_SET_COOKIE, "Set-Cookie")                                                            \
    X(HDR_TE, "TE")                                                                            \
    X(HDR_TRACEPARENT, "traceparent")                                                          \
    X(HDR_TRAILER, "Trailer")                                                                  \
    X(HDR_TRANSFER_ENCODING, "Transfer-Encoding")                                              \
    X(HDR_UPGRADE, "Upgrade")                                                                  \
    X(HDR_USER_AGENT, "User-Agent")                                                            \
    X(HDR_VARY, "Vary")                                                                        \
    X(HDR_VIA, "Via")                                                                          \
    X(HDR_WWW_AUTHENTICATE, "WWW-Authenticate")                                                \
    X(HDR_X_FORWARDED_FOR, "X-Forwarded-For")                                                  \
    X(HDR_X_FORWARDED_HOST, "X-Forwarded-Host")                                                \
    X(HDR_X_FORWARDED_PATH, "X-Forwarded-Path")                                                \
    X(HDR_X_FORWARDED_PORT, "X-Forwarded-Port")                                                \
    X(HDR_X_FORWARDED_PREFIX, "X-Forwarded-Prefix")                                            \
    X(HDR_X_FORWARDED_PROTO, "X-Forwarded-Proto")                                              \
    X(HDR_X_KONG_REQUEST_ID, "X-Kong-Request-Id")                                              \
    X(HDR_X_REAL_IP, "X-Real-IP")                                                              \
    X(HDR_X_REQUEST_ID, "X-Request-Id")

typedef enum hdr_id {
    HDR_OTHER = 0,
#define HDR_ENUM(id, name) id,
    HDR_MAP(HDR_ENUM)
#undef HDR_ENUM
        HDR_COUNT,
} hdr_id_t;

typedef struct header {
    str_t name, value; // borrowed
    uint16_t id;       // hdr_id_t
    bool removed;      // taken out; skipped by every function here
} header_t;

typedef struct headers {
    header_t *v; // in the arena
    uint32_t n, cap;
    uint64_t known;  // bit i: a line with number i was put in (it may have been removed since)
    uint64_t others; // bit n % 64: a line of another name of n bytes was put in
} headers_t;

_Static_assert(HDR_COUNT <= 64, "a block remembers its names in one word");

// Notes a line's name, so that looking for absent names costs nothing. For whoever fills `v` itself.
static inline void headers_note(headers_t *h, const header_t *line)
{
    if (line->id != HDR_OTHER)
        h->known |= (uint64_t)1 << line->id;
    else
        h->others |= (uint64_t)1 << (line->name.n % 64);
}

// The number of a name, HDR_OTHER if it is not well-known. One hash, one compare. Any bytes may
// be asked for.
hdr_id_t hdr_lookup(str_t name);

// The wire form of a well-known name (not HDR_OTHER), static.
str_t hdr_name(hdr_id_t id);

// The hash behind hdr_lookup (0..255; name.n >= 2), for the test that proves it perfect.
unsigned hdr_hash(str_t name);

// Appends a field line; name and value are borrowed as long as the block lives. A name of
// {NULL,0} means hdr_name(id).
void headers_add(headers_t *h, arena_t *a, hdr_id_t id, str_t name, str_t value);

// Removes every line of that name (id when well-known, else name) and puts this one in the
// place of the first, or at the end when there was none.
void headers_set(headers_t *h, arena_t *a, hdr_id_t id, str_t name, str_t value);

// Marks every line of that name removed; how many there were.
uint32_t headers_remove(headers_t *h, hdr_id_t id, str_t name);

// First line with that name at or after index `from`, or NULL. For id HDR_OTHER compares names
// without case.
const header_t *headers_find(const headers_t *h, hdr_id_t id, str_t name, uint32_t from);

// Value of the first line of a well-known name; {NULL,0} when absent.
str_t headers_get(const headers_t *h, hdr_id_t id);

// The value of a cookie the client sent (the first of that name, quotes taken off); false when there is none. Borrowed.
bool headers_cookie(const headers_t *h, str_t name, str_t *value);

// True for a token (RFC 9110 5.6.2), not empty.
bool header_name_valid(str_t name);

// True without NUL, CR, LF or other control bytes but HTAB; obs-text is allowed.
bool header_value_valid(str_t value);

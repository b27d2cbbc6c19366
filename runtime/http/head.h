// Message heads: bytes -> parsed form, or the status that the bytes deserve. Framing is decided
// here, once. Strict by RFC 9112 and stricter where peers disagree: obs-fold, bare LF or CR,
// NUL, control bytes, empty or non-token names, space before the colon, TE with CL, repeated or
// odd CL, unknown TE, TE on HTTP/1.0, repeated or bad Host, absolute-form with another Host are
// refused. Pure: no socket, no loop.
#pragma once

#include "http/header.h"

typedef enum http_method {
    METHOD_OTHER = 0, // a valid token that is none of these
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_CONNECT,
    METHOD_TRACE,
} http_method_t;

typedef enum body_kind {
    BODY_NONE,   // there is no body, or Content-Length: 0
    BODY_LENGTH, // content_length bytes
    BODY_CHUNKED,
    BODY_TO_EOF, // responses only
} body_kind_t;

// 0 is no limit.
typedef struct head_limits {
    uint32_t head_max_bytes;   // whole head; over it 431
    uint32_t target_max_bytes; // request target; over it 414
    uint32_t fields_max;       // field lines; over it 431
} head_limits_t;

typedef struct request_head {
    http_method_t method;
    str_t method_name; // as sent
    str_t target;      // as sent
    // Target without query, origin-form: "/" for an empty absolute path, "*" for OPTIONS *.
    str_t raw_path;
    str_t query; // without "?"; p == NULL when there was none
    // Lower-case host of the authority (Host or absolute-form), without port and trailing dot;
    // [v6] keeps brackets; empty only for HTTP/1.0 without Host.
    str_t host;
    uint16_t port;        // of the authority, 0 when none was given
    uint8_t minor;        // HTTP/1.<minor>: 0 or 1
    bool keep_alive;      // what version and Connection ask for
    bool expect_continue; // Expect: 100-continue, on 1.1 with a body
    bool upgrade;         // Connection nominates Upgrade and Upgrade is there
    body_kind_t body;
    uint64_t content_length; // for BODY_LENGTH
    headers_t headers;
} request_head_t;

typedef struct response_head {
    uint16_t status;
    uint8_t minor;
    bool keep_alive;
    str_t reason;
    body_kind_t body; // for the request's method: see response_head_parse
    // For BODY_LENGTH; for BODY_NONE what Content-Length said, or UINT64_MAX.
    uint64_t content_length;
    headers_t headers;
} response_head_t;

// Results of the two parsers beside HTTP statuses (400, 405, 414, 417, 431, 501, 505).
enum { HEAD_OK = 0, HEAD_BAD = -2 };

// Finds the end of a head in p[0..n): the length including the empty line, or 0 when more bytes
// are needed. *scanned (in and out, start with 0) is how far earlier calls got, so that
// byte-wise arrival costs O(n). Lines may end in a bare LF here, so that the parsers can refuse
// them at once. With n < 2 nothing is scanned. Empty lines before a request line (at most 1
// CRLF, RFC 9112 2.2) are the caller's to skip with head_skip_crlf.
size_t head_find_end(const char *p, size_t n, size_t *scanned);

// 2 when p[0..n) begins with CRLF, else 0. For a server, while *scanned is 0, before
// head_find_end.
size_t head_skip_crlf(const char *p, size_t n);

// The status for bytes that have no end of head yet and are over head_max_bytes: 414 when the
// request line alone is over target_max_bytes, else 431.
int head_overflow_status(const char *p, size_t n, const head_limits_t *limits);

// Parses exactly one complete request head p[0..n), the bytes that head_find_end delimited. The
// slices in *out point into p (host is lower-cased in a copy in `a`); headers.v is in `a`.
// HEAD_OK, or the HTTP status to answer before closing; *why is then a short static text for
// the log, and *out is untouched. Names with '_' are in the block but marked removed:
// X_Forwarded_For must not alias X-Forwarded-For.
int request_head_parse(request_head_t *out, arena_t *a, const char *p, size_t n,
                       const head_limits_t *limits, const char **why);

// Parses one complete response head. `method` is the request's (HEAD and CONNECT decide
// framing, as do 1xx, 204, 304). HEAD_OK, or HEAD_BAD with *why: the answer to the client is
// 502. A 101 is HEAD_BAD: nobody asked for one. Content-Length repeated with one value is taken
// once, the other lines are marked removed.
int response_head_parse(response_head_t *out, arena_t *a, const char *p, size_t n,
                        http_method_t method, const head_limits_t *limits, const char **why);

// The same of the answer to a GET that asked for another protocol: a 101 is HEAD_OK when
// Connection nominates Upgrade and Upgrade is there. Whether it is the one asked for is the
// caller's to see.
int response_head_parse_switch(response_head_t *out, arena_t *a, const char *p, size_t n,
                               const head_limits_t *limits, const char **why);

// True for fields that belong to one connection (RFC 9110 7.6.1) whatever Connection says.
bool hdr_is_hop_by_hop(hdr_id_t id);

// Marks hop-by-hop lines, and the lines that Connection nominates, as removed. A nomination
// never takes away Host, Authorization, Cookie, Content-*, Cache-Control, Forwarded,
// X-Forwarded-*, X-Real-IP, X-Consumer-*, apikey.
void headers_strip_hop_by_hop(headers_t *h);

const char *http_reason(unsigned status); // "Not Found"; "Unknown" for others

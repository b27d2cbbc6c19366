// A request's body on its way in: framing decoded, then streamed on or collected, never both.
// Invariant: `received` never passes `limit`; while `paused` the connection is not read.
#pragma once

#include "base/buf.h"
#include "http/chunked.h"
#include "http/head.h"

typedef enum body_mode {
    BODY_HELD, // nobody has asked yet: up to 64 KiB are kept, then the connection is not read
    BODY_COLLECT, // somebody wants all of it: kept in `data`
    BODY_STREAM,  // passed on as it comes
    BODY_DROP,    // thrown away
} body_mode_t;

typedef struct body {
    body_kind_t kind;
    body_mode_t mode;
    bool complete;      // all of it has been received
    bool continue_sent; // 100 Continue went out, or is not needed
    bool paused;
    int err;           // ERR_TOO_LARGE, ERR_PROTOCOL, ERR_TIMEOUT; sticky
    uint64_t left;     // of BODY_LENGTH
    uint64_t received; // payload bytes
    uint64_t limit;    // most payload bytes allowed; 0: none
    chunked_t chunked;
    buf_t data; // payload held or collected
} body_t;

// Where the rest of a counted body that is being collected can be read to, without a copy: *n
// bytes, at most what is missing. Fed from there it stays in place. NULL: anywhere else.
char *body_room(body_t *b, size_t *n);

// Where frames of a WebSocket begin and end in a byte stream (RFC 6455 5.2), fed with whatever came, cut anywhere. Lengths and opcodes
// only. Not: checking, unmasking or making frames. Invariant: payload is counted, never looked at.
#pragma once

#include "base/str.h"

// Zero is the beginning of a stream.
typedef struct ws_frames {
    uint64_t left;    // of the current frame's payload
    uint8_t head[14]; // of a frame whose head is incomplete
    uint8_t n;        // bytes in it
    bool closed;      // a close frame has begun: no frame follows it
} ws_frames_t;

void ws_frames_feed(ws_frames_t *f, str_t data);
// Whether the bytes so far are whole frames and another may follow.
bool ws_frames_at_boundary(const ws_frames_t *f);

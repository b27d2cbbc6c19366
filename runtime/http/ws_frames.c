// The walk over WebSocket frames: two bytes say how long a head is, the head says how long its payload is.
#include "http/ws_frames.h"

#include "base/check.h"

enum { OPCODE_CLOSE = 8, OPCODE_MASK = 0x0f, LENGTH_MASK = 0x7f, MASKED = 0x80 };

static size_t length_bytes(unsigned length)
{
    return length == 127 ? 8 : length == 126 ? 2 : 0;
}

static size_t head_bytes(const ws_frames_t *f)
{
    if (f->n < 2)
        return 2;
    return 2 + length_bytes(f->head[1] & LENGTH_MASK) + (f->head[1] & MASKED ? 4 : 0);
}

static uint64_t payload_bytes(const ws_frames_t *f)
{
    unsigned length = f->head[1] & LENGTH_MASK;
    size_t n = length_bytes(length);
    if (n == 0)
        return length;
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | f->head[2 + i];
    return value;
}

void ws_frames_feed(ws_frames_t *f, str_t data)
{
    while (data.n) {
        if (f->left) {
            size_t skip = data.n < f->left ? data.n : (size_t)f->left;
            f->left -= skip;
            data = str_from_at(data, skip);
            continue;
        }
        ASSERT(f->n < sizeof f->head, "a frame's head has 14 bytes at most");
        f->head[f->n++] = (uint8_t)data.p[0];
        data = str_from_at(data, 1);
        if (f->n < head_bytes(f))
            continue;
        f->left = payload_bytes(f);
        f->closed |= (f->head[0] & OPCODE_MASK) == OPCODE_CLOSE;
        f->n = 0;
    }
}

bool ws_frames_at_boundary(const ws_frames_t *f)
{
    return f->n == 0 && f->left == 0 && !f->closed;
}

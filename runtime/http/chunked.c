// The chunked decoder. One byte decides one transition; payload is taken in runs and never
// copied by chunked_feed. Invariant: a call with input either consumes some of it or has ended
// (DONE, BAD).
#include "http/chunked.h"

#include "base/check.h"
#include "http/bytes.h"

enum {
    LINE_MAX_BYTES = 4096,     // a size line with its extensions
    TRAILERS_MAX_BYTES = 8192, // the trailer section
    OVERHEAD_PER_BYTE = 16,
    OVERHEAD_FREE = 64 * 1024,
};

enum state {
    SIZE_FIRST, // the zero state
    SIZE,
    EXTENSION,
    SIZE_LF,
    PAYLOAD,
    PAYLOAD_CR,
    PAYLOAD_LF,
    TRAILER_FIRST, // at the start of a trailer line, or of the last empty line
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    ENDED,
    BROKEN,
};

void chunked_init(chunked_t *c)
{
    *c = (chunked_t){.state = SIZE_FIRST};
}

static enum state size_digit(chunked_t *c, char byte)
{
    int digit = hex_digit(byte);
    if (digit < 0 || c->left > (uint64_t)INT64_MAX >> 4)
        return BROKEN;
    c->left = c->left << 4 | (unsigned)digit;
    return SIZE;
}

static enum state after_size_line(chunked_t *c)
{
    c->line = 0;
    return c->left ? PAYLOAD : TRAILER_FIRST;
}

static enum state in_value(char byte, enum state same, enum state after_cr)
{
    if (byte == '\r')
        return after_cr;
    return byte_is(byte, B_VALUE) ? same : BROKEN;
}

static enum state trailer_first(char byte)
{
    if (byte == '\r')
        return LAST_LF;
    return byte_is(byte, B_TOKEN) ? TRAILER_NAME : BROKEN;
}

static enum state trailer_name(char byte)
{
    if (byte == ':')
        return TRAILER_VALUE;
    return byte_is(byte, B_TOKEN) ? TRAILER_NAME : BROKEN;
}

static enum state step(chunked_t *c, char byte)
{
    switch ((enum state)c->state) {
    case SIZE_FIRST:
        c->left = 0;
        return size_digit(c, byte);
    case SIZE:
        return byte == '\r' ? SIZE_LF : byte == ';' ? EXTENSION : size_digit(c, byte);
    case EXTENSION:
        return in_value(byte, EXTENSION, SIZE_LF);
    case SIZE_LF:
        return byte == '\n' ? after_size_line(c) : BROKEN;
    case PAYLOAD_CR:
        return byte == '\r' ? PAYLOAD_LF : BROKEN;
    case PAYLOAD_LF:
        c->line = 0;
        return byte == '\n' ? SIZE_FIRST : BROKEN;
    case TRAILER_FIRST:
        return trailer_first(byte);
    case TRAILER_NAME:
        return trailer_name(byte);
    case TRAILER_VALUE:
        return in_value(byte, TRAILER_VALUE, TRAILER_LF);
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_FIRST : BROKEN;
    case LAST_LF:
        return byte == '\n' ? ENDED : BROKEN;
    case PAYLOAD:
    case ENDED:
    case BROKEN:
        break;
    }
    UNREACHABLE("payload and the end states take no byte here");
}

static bool over_bounds(const chunked_t *c)
{
    uint32_t line_max = c->state >= TRAILER_FIRST ? TRAILERS_MAX_BYTES : LINE_MAX_BYTES;
    return c->line > line_max ||
           (c->overhead > OVERHEAD_FREE &&
            (c->overhead - OVERHEAD_FREE) / OVERHEAD_PER_BYTE > c->payload);
}

static void take_payload(chunked_t *c, str_t *in, str_t *out)
{
    size_t n = c->left < in->n ? (size_t)c->left : in->n;
    *out = str_make(in->p, n);
    *in = str_make(in->p + n, in->n - n);
    c->left -= n;
    c->payload += n;
    if (c->left == 0)
        c->state = PAYLOAD_CR;
}

int chunked_feed(chunked_t *c, str_t *in, str_t *out)
{
    *out = str_make(in->p, 0);
    while (in->n && c->state < ENDED) {
        if (c->state == PAYLOAD) {
            take_payload(c, in, out);
            return CHUNKED_MORE;
        }
        c->state = (uint8_t)step(c, *in->p);
        *in = str_make(in->p + 1, in->n - 1);
        c->overhead++;
        c->line++;
        if (over_bounds(c))
            c->state = BROKEN;
    }
    return c->state == ENDED ? CHUNKED_DONE : c->state == BROKEN ? CHUNKED_BAD : CHUNKED_MORE;
}

int chunked_decode_in_place(chunked_t *c, char *p, size_t n, size_t *out_n, size_t *used)
{
    str_t in = {p, n}, run;
    size_t kept = 0;
    int result;
    do {
        result = chunked_feed(c, &in, &run);
        if (run.n && run.p != p + kept)
            memmove(p + kept, run.p, run.n);
        kept += run.n;
    } while (result == CHUNKED_MORE && in.n);
    ASSERT(kept <= n, "decoding made the body longer");
    *out_n = kept;
    *used = n - in.n;
    return result;
}

size_t chunk_size_line(char *out, size_t n)
{
    size_t digits = 1, at;
    ASSERT(n > 0, "a chunk of no bytes ends the body");
    while (digits < 16 && n >> (4 * digits))
        digits++;
    for (at = 0; at < digits; at++)
        out[at] = "0123456789abcdef"[n >> (4 * (digits - 1 - at)) & 15];
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}

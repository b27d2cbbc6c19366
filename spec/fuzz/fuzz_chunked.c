// The chunked coding. First byte: how the input is cut; the rest is fed to the decoder, and
// also encoded and decoded. Oracles: every cut and the in-place decoder give the same result,
// payload and end; decode(encode(x)) == x.
#include "http/chunked.h"

#include "base/buf.h"
#include "base/check.h"

typedef struct outcome {
    int result;
    size_t used;
    buf_t payload;
} outcome_t;

static outcome_t decode(str_t text, size_t step)
{
    outcome_t o = {.result = CHUNKED_MORE};
    chunked_t c;
    chunked_init(&c);
    while (o.used < text.n && o.result == CHUNKED_MORE) {
        size_t n = text.n - o.used < step ? text.n - o.used : step;
        char *piece = malloc(n);
        memcpy(piece, text.p + o.used, n);
        str_t in = str_make(piece, n), run;
        do {
            size_t before = in.n;
            o.result = chunked_feed(&c, &in, &run);
            ASSERT(in.n < before || o.result != CHUNKED_MORE, "a call took nothing");
            ASSERT(run.n <= before - in.n, "more payload than input");
            buf_append(&o.payload, run);
        } while (in.n && o.result == CHUNKED_MORE);
        o.used += n - in.n;
        free(piece);
    }
    return o;
}

static void check_same(outcome_t *a, outcome_t *b)
{
    ASSERT(a->result == b->result, "the cut changed the result");
    ASSERT(a->result == CHUNKED_BAD || a->used == b->used,
           "the cut changed where the body ends");
    ASSERT(str_eq(buf_str(&a->payload), buf_str(&b->payload)), "the cut changed the payload");
    buf_dispose(&b->payload);
}

static outcome_t decode_in_place(str_t text)
{
    outcome_t o = {0};
    chunked_t c;
    size_t n;
    char *copy = malloc(text.n + 1);
    memcpy(copy, text.p, text.n);
    chunked_init(&c);
    o.result = chunked_decode_in_place(&c, copy, text.n, &n, &o.used);
    buf_append(&o.payload, str_make(copy, n));
    free(copy);
    return o;
}

static void check_round_trip(str_t payload, size_t step)
{
    buf_t text = {0};
    for (size_t at = 0; at < payload.n;) {
        size_t n = payload.n - at < step ? payload.n - at : step;
        char line[18];
        buf_append(&text, str_make(line, chunk_size_line(line, n)));
        buf_append(&text, str_make(payload.p + at, n));
        buf_append(&text, STR("\r\n"));
        at += n;
    }
    buf_append(&text, STR("0\r\n\r\n"));
    outcome_t o = decode(buf_str(&text), 3);
    ASSERT(o.result == CHUNKED_DONE && o.used == text.n, "our own coding was refused");
    ASSERT(str_eq(buf_str(&o.payload), payload), "decode(encode(x)) is not x");
    buf_dispose(&o.payload);
    buf_dispose(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    str_t text = str_make((const char *)data + 1, size - 1);
    outcome_t whole = decode(text, text.n), ones = decode(text, 1),
              cut = decode(text, 1 + data[0]);
    outcome_t in_place = decode_in_place(text);
    check_same(&whole, &ones);
    check_same(&whole, &cut);
    check_same(&whole, &in_place);
    buf_dispose(&whole.payload);
    check_round_trip(text, 1 + data[0]);
    return 0;
}

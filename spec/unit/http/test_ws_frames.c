// The walk over WebSocket frames: boundaries of every length form, cut at every byte.
#include "http/ws_frames.h"

#include "base/check.h"
#include "test.h"

// Whether the stream ends at a boundary when it comes in pieces of `step` bytes.
static bool ends_whole(str_t bytes, size_t step, ws_frames_t *f)
{
    *f = (ws_frames_t){0};
    for (size_t at = 0; at < bytes.n; at += step) {
        size_t n = bytes.n - at < step ? bytes.n - at : step;
        ws_frames_feed(f, str_make(bytes.p + at, n));
    }
    return ws_frames_at_boundary(f);
}

// One frame of these head bytes and that payload: a boundary at its ends and nowhere between.
static void check_frame(str_t head, size_t payload)
{
    char *bytes = mem_zalloc(head.n + payload);
    memcpy(bytes, head.p, head.n);
    str_t whole = str_make(bytes, head.n + payload);
    ws_frames_t f = {0};
    CHECK(ws_frames_at_boundary(&f));
    for (size_t step = 1; step <= 20; step++)
        CHECK(ends_whole(whole, step, &f));
    CHECK(ends_whole(whole, whole.n, &f));
    size_t cuts = whole.n < 200 ? whole.n : 200;
    for (size_t n = 1; n < cuts; n++)
        CHECK(!ends_whole(str_make(bytes, n), n, &f));
    CHECK(!ends_whole(str_make(bytes, whole.n - 1), whole.n, &f));
    free(bytes);
}

TEST(frames_of_every_length_form_have_their_ends_found)
{
    check_frame(STR("\x81\x00"), 0);
    check_frame(STR("\x81\x05"), 5);
    check_frame(STR("\x81\x85kkkk"), 5);
    check_frame(STR("\x82\x7e\x01\x00"), 256);
    check_frame(STR("\x82\xfe\x01\x00kkkk"), 256);
    check_frame(STR("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x01"), 65537);
    check_frame(STR("\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01kkkk"), 65537);
}

TEST(a_close_frame_is_the_last_one)
{
    ws_frames_t f;
    CHECK(ends_whole(STR("\x81\x01x\x89\x00"), 1, &f));
    CHECK(!ends_whole(STR("\x81\x01x\x88\x02\x03\xe8"), 1, &f));
    CHECK(f.closed && f.left == 0 && f.n == 0);
}

TEST(a_length_beyond_any_stream_is_only_counted)
{
    ws_frames_t f;
    CHECK(!ends_whole(STR("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffrest"), 3, &f));
    CHECK_EQ_INT(f.left, UINT64_MAX - 4);
}

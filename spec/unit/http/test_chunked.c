// The chunked decoder: good bodies cut at every byte, and each way to be refused.
#include "http/chunked.h"

#include "base/buf.h"
#include "test.h"

// Decodes `text` in pieces of `step` bytes. The result; *used input bytes; payload in *out.
static int decode(str_t text, size_t step, buf_t *out, size_t *used)
{
    chunked_t c;
    chunked_init(&c);
    buf_clear(out);
    int result = CHUNKED_MORE;
    size_t at = 0;
    while (at < text.n && result == CHUNKED_MORE) {
        size_t n = text.n - at < step ? text.n - at : step;
        str_t in = str_make(text.p + at, n), run;
        do {
            result = chunked_feed(&c, &in, &run);
            buf_append(out, run);
        } while (in.n && result == CHUNKED_MORE);
        at += n - in.n;
    }
    *used = at;
    return result;
}

static void check_good(const char *text, const char *payload, size_t left_over)
{
    str_t whole = str_from(text);
    buf_t out = {0};
    size_t used;
    for (size_t step = 1; step <= whole.n; step++) {
        CHECK_EQ_INT(decode(whole, step, &out, &used), CHUNKED_DONE);
        CHECK_EQ_STR(buf_str(&out), payload);
        CHECK_EQ_INT(used, whole.n - left_over);
    }
    for (size_t cut = 1; cut < whole.n - left_over; cut++)
        CHECK_EQ_INT(decode(str_make(text, cut), whole.n, &out, &used), CHUNKED_MORE);
    buf_dispose(&out);
}

static void check_bad(const char *text)
{
    str_t whole = str_from(text);
    buf_t out = {0};
    size_t used;
    for (size_t step = 1; step <= whole.n; step++) {
        if (!CHECK_EQ_INT(decode(whole, step, &out, &used), CHUNKED_BAD))
            TEST_NOTE("in pieces of %zu: %s", step, text);
    }
    buf_dispose(&out);
}

TEST(good_bodies_in_every_cut)
{
    check_good("0\r\n\r\n", "", 0);
    check_good("5\r\nhello\r\n0\r\n\r\n", "hello", 0);
    check_good("005\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world", 0);
    check_good("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", 0);
    check_good("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello", 0);
    check_good("5\r\nhello\r\n0\r\nX-Trailer: v\r\nOther:\r\n\r\n", "hello", 0);
    check_good("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\nGET /", "\r\n", 5);
}

TEST(bad_bodies)
{
    check_bad("\r\n\r\n");
    check_bad("g\r\n");
    check_bad("0x5\r\nhello\r\n");
    check_bad("-1\r\n");
    check_bad("+5\r\nhello\r\n");
    check_bad(" 5\r\nhello\r\n");
    check_bad("5 \r\nhello\r\n");
    check_bad("5 ;a=b\r\nhello\r\n");
    check_bad("5\nhello\n0\n\n");
    check_bad("5\rhello\r\n");
    check_bad("5\r\nhello0\r\n\r\n");
    check_bad("5\r\nhello\n0\r\n\r\n");
    check_bad("5\r\nhello\rX");
    check_bad("5;a\x01\r\nhello\r\n");
    check_bad("5;a\nhello\r\n");
    check_bad("0\r\n folded: x\r\n\r\n");
    check_bad("0\r\nno colon\r\n\r\n");
    check_bad("0\r\n: empty\r\n\r\n");
    check_bad("0\r\nX: a\nb\r\n\r\n");
    check_bad("0\r\n\rX");
    check_bad("8000000000000000\r\n");
    check_bad("10000000000000000\r\n");
    check_bad("fffffffffffffffff\r\n");
}

TEST(largest_size_is_taken)
{
    chunked_t c;
    chunked_init(&c);
    str_t in = STR("7fffffffffffffff\r\nx"), out;
    CHECK_EQ_INT(chunked_feed(&c, &in, &out), CHUNKED_MORE);
    CHECK_EQ_STR(out, "x");
    CHECK(c.left == (uint64_t)INT64_MAX - 1);
}

TEST(after_the_end_nothing_is_taken)
{
    chunked_t c;
    chunked_init(&c);
    str_t in = STR("0\r\n\r\nX"), out;
    CHECK_EQ_INT(chunked_feed(&c, &in, &out), CHUNKED_DONE);
    CHECK_EQ_INT(chunked_feed(&c, &in, &out), CHUNKED_DONE);
    CHECK_EQ_STR(in, "X");
}

// Feeds `piece` again and again; how many bytes were taken before it was refused, or SIZE_MAX.
static size_t bytes_until_bad(const char *start, const char *piece, size_t limit)
{
    chunked_t c;
    chunked_init(&c);
    str_t in = str_from(start), out;
    while (in.n)
        CHECK_EQ_INT(chunked_feed(&c, &in, &out), CHUNKED_MORE);
    for (size_t total = in.n; total < limit; total += strlen(piece)) {
        in = str_from(piece);
        while (in.n) {
            if (chunked_feed(&c, &in, &out) == CHUNKED_BAD)
                return total;
        }
    }
    return SIZE_MAX;
}

TEST(lines_trailers_and_overhead_are_bounded)
{
    CHECK(bytes_until_bad("5;", "extension", 10000) < 5000);
    CHECK(bytes_until_bad("", "0", 10000) < 5000);
    CHECK(bytes_until_bad("0\r\n", "X: y\r\n", 20000) < 9000);
    CHECK(bytes_until_bad("", "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nX\r\n", 1000000) <
          200000);
    CHECK_EQ_INT(bytes_until_bad("", "1\r\nX\r\n", 1000000), SIZE_MAX);
    CHECK_EQ_INT(bytes_until_bad("100000\r\n", "payload ", 100000), SIZE_MAX);
}

TEST(decode_in_place_compacts)
{
    char text[] = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\nNEXT";
    size_t total = sizeof text - 1;
    for (size_t cut = 0; cut <= total; cut++) {
        char copy[sizeof text];
        chunked_t c;
        size_t n1, n2 = 0, used1, used2 = 0;
        memcpy(copy, text, sizeof text);
        chunked_init(&c);
        int r = chunked_decode_in_place(&c, copy, cut, &n1, &used1);
        if (r == CHUNKED_MORE)
            r = chunked_decode_in_place(&c, copy + cut, total - cut, &n2, &used2);
        memmove(copy + n1, copy + cut, n2);
        CHECK_EQ_INT(r, CHUNKED_DONE);
        CHECK_EQ_INT(used1 + used2, total - 4);
        CHECK_EQ_STR(str_make(copy, n1 + n2), "hello world");
    }
}

TEST(size_lines)
{
    char out[18];
    CHECK_EQ_STR(str_make(out, chunk_size_line(out, 1)), "1\r\n");
    CHECK_EQ_STR(str_make(out, chunk_size_line(out, 15)), "f\r\n");
    CHECK_EQ_STR(str_make(out, chunk_size_line(out, 16)), "10\r\n");
    CHECK_EQ_STR(str_make(out, chunk_size_line(out, 65536)), "10000\r\n");
    CHECK_EQ_STR(str_make(out, chunk_size_line(out, SIZE_MAX)), "ffffffffffffffff\r\n");
}

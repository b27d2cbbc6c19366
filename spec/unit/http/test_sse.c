// Event boundaries for each kind of line end, cut at every byte; fields and data of one event.
#include "http/sse.h"

#include "base/buf.h"
#include "test.h"

// Writes "name=value;" for each field and "|" after each event, and "+" when an event is under
// way at the end.
static void trace(str_t stream, size_t step, buf_t *out)
{
    sse_t s;
    buf_t event = {0};
    sse_init(&s);
    buf_clear(out);
    for (size_t at = 0; at < stream.n;) {
        size_t n = stream.n - at < step ? stream.n - at : step;
        size_t end = sse_feed(&s, stream.p + at, n);
        buf_append(&event, str_make(stream.p + at, end ? end : n));
        at += end ? end : n;
        CHECK_EQ_INT(s.event_bytes, end ? 0 : event.n);
        if (!end)
            continue;
        str_t rest = buf_str(&event), name, value;
        while (sse_field_next(&rest, &name, &value))
            buf_printf(out, "%.*s=%.*s;", STR_FMT(name), STR_FMT(value));
        buf_putc(out, '|');
        buf_clear(&event);
    }
    if (sse_in_event(&s))
        buf_putc(out, '+');
    buf_dispose(&event);
}

static void check_stream(const char *stream, const char *want)
{
    str_t whole = str_from(stream);
    buf_t out = {0};
    for (size_t step = 1; step <= whole.n; step++) {
        trace(whole, step, &out);
        if (!CHECK_EQ_STR(buf_str(&out), want))
            TEST_NOTE("in pieces of %zu", step);
    }
    buf_dispose(&out);
}

TEST(line_ends)
{
    check_stream("data: a\n\ndata: b\n\n", "data=a;|data=b;|");
    check_stream("data: a\r\n\r\ndata: b\r\n\r\n", "data=a;|data=b;|");
    check_stream("data: a\r\rdata: b\r\r", "data=a;|data=b;|");
    check_stream("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", "data=a;|data=b;|data=c;|");
    check_stream("data: a\r\ndata: b\r\n\r\n", "data=a;data=b;|");
    check_stream("data: a\rdata: b\r\r", "data=a;data=b;|");
    check_stream("event: x\ndata: a\n\n", "event=x;data=a;|");
}

TEST(blank_lines_make_no_events)
{
    check_stream("\n\n\r\n\rdata: a\n\n\n\n\r\n", "data=a;|");
    check_stream("\n", "");
    check_stream("\r\n\r\n", "");
}

TEST(a_bom_at_the_start_only_is_an_event_without_fields)
{
    check_stream("\xef\xbb\xbf"
                 "data: a\n\n",
                 "|data=a;|");
    check_stream("\xef\xbb\xbf\n\ndata: a\n\n", "|data=a;|");
    check_stream("data: a\r\r\xef\xbb\xbf"
                 "data: b\n\n",
                 "data=a;|\xef\xbb\xbf"
                 "data=b;|");
    check_stream("\xef\xbb\n\n", "\xef\xbb=;|");
    check_stream("\xef\n\n", "\xef=;|");
    check_stream("\xef\xbb\xbf", "|");
    check_stream("\xef\xbb", "+");
}

TEST(an_event_under_way_is_told)
{
    check_stream("data: a", "+");
    check_stream("data: a\n", "+");
    check_stream("data: a\r", "+");
    check_stream("data: a\n\nx", "data=a;|+");
    check_stream("data: a\r\n\r\n", "data=a;|");
}

TEST(fields)
{
    check_stream("data:a\ndata:  b\nid\n: comment\n:\nretry:1:2\n\n",
                 "data=a;data= b;id=;=comment;=;retry=1:2;|");
}

TEST(multi_byte_text_is_cut_anywhere)
{
    check_stream("data: {\"t\":\"\xe4\xbd\xa0\xf0\x9f\x98\x80 \\ud83d\\ude00\"}\n\n",
                 "data={\"t\":\"\xe4\xbd\xa0\xf0\x9f\x98\x80 \\ud83d\\ude00\"};|");
}

TEST(a_long_line_is_scanned_in_every_alignment)
{
    char text[200];
    for (size_t n = 1; n < 100; n++) {
        memset(text, 'x', n);
        memcpy(text + n, "\r\n\r\nrest", 8);
        sse_t s;
        sse_init(&s);
        CHECK_EQ_INT(sse_feed(&s, text, n + 8), n + 4);
    }
}

TEST(data_of_one_line)
{
    str_t data = {0};
    CHECK(sse_data(STR("event: m\r\ndata: {\"a\":1}\r\n\r\n"), &data));
    CHECK_EQ_STR(data, "{\"a\":1}");
    CHECK(sse_data(STR("data:[DONE]\n\n"), &data));
    CHECK_EQ_STR(data, "[DONE]");
    CHECK(sse_data(STR("data\n\n"), &data));
    CHECK_EQ_STR(data, "");
    CHECK(!sse_data(STR("data: a\ndata: b\n\n"), &data));
    CHECK(!sse_data(STR(": ping\n\n"), &data));
    CHECK(!sse_data(STR("dataa: x\n\n"), &data));
    CHECK(!sse_data((str_t){0}, &data));
}

// Server-sent events. First byte: how the input is cut. Oracle: a line-by-line reader that sees
// the whole stream at once finds the same events with the same fields, whatever the cut.
#include "http/sse.h"

#include "base/buf.h"
#include "base/check.h"

static void put_field(buf_t *out, str_t name, str_t value)
{
    buf_printf(out, "%zu:", name.n);
    buf_append(out, name);
    buf_printf(out, "=%zu:", value.n);
    buf_append(out, value);
}

static void put_event(buf_t *out, str_t event)
{
    str_t name, value, data, last = {0};
    unsigned lines = 0;
    for (str_t rest = event; sse_field_next(&rest, &name, &value);) {
        put_field(out, name, value);
        if (str_eq(name, STR("data"))) {
            lines++;
            last = value;
        }
    }
    ASSERT(sse_data(event, &data) == (lines == 1),
           "sse_data counts other lines than sse_field_next");
    ASSERT(lines != 1 || str_eq(data, last), "sse_data found another line");
    buf_putc(out, '|');
}

static void fed(buf_t *out, str_t stream, size_t step)
{
    sse_t s;
    buf_t event = {0};
    sse_init(&s);
    for (size_t at = 0; at < stream.n;) {
        size_t n = stream.n - at < step ? stream.n - at : step;
        char *piece = malloc(n);
        memcpy(piece, stream.p + at, n);
        size_t end = sse_feed(&s, piece, n);
        ASSERT(end <= n, "an event ends behind the input");
        buf_append(&event, str_make(piece, end ? end : n));
        free(piece);
        at += end ? end : n;
        ASSERT(s.event_bytes == (end ? 0 : event.n), "event_bytes is wrong");
        if (end) {
            put_event(out, buf_str(&event));
            buf_clear(&event);
        }
    }
    if (sse_in_event(&s))
        buf_putc(out, '+');
    buf_dispose(&event);
}

// The whole stream, one line after the other (WHATWG HTML 9.2.5), as plainly as can be.
static void plain(buf_t *out, str_t stream)
{
    bool in_event = false;
    str_t bom = STR("\xef\xbb\xbf");
    size_t at = str_starts(stream, bom) ? 3 : 0;
    if (at)
        buf_putc(out, '|');
    bool half_bom = stream.n < 3 && stream.n && str_starts(bom, stream);
    while (at < stream.n && !half_bom) {
        size_t end = at;
        while (end < stream.n && stream.p[end] != '\r' && stream.p[end] != '\n')
            end++;
        str_t line = str_make(stream.p + at, end - at);
        if (line.n == 0 && in_event) {
            buf_putc(out, '|');
            in_event = false;
        } else if (line.n) {
            ptrdiff_t colon = str_chr(line, ':');
            str_t name = colon < 0 ? line : str_make(line.p, (size_t)colon);
            str_t value = str_from_at(line, name.n + 1);
            if (value.n && value.p[0] == ' ')
                value = str_from_at(value, 1);
            if (end < stream.n)
                put_field(out, name, value);
            in_event = true;
        }
        at = end + 1 +
             (end + 1 < stream.n && stream.p[end] == '\r' && stream.p[end + 1] == '\n');
    }
    if (in_event || half_bom)
        buf_putc(out, '+');
}

// Fields of an event that is never closed are not reported by `fed`: cut them off.
static str_t closed(buf_t *b)
{
    str_t s = buf_str(b);
    if (s.n == 0 || s.p[s.n - 1] != '+')
        return s;
    size_t n = s.n - 1;
    while (n && s.p[n - 1] != '|')
        n--;
    return str_make(s.p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || memchr(data + 1, '|', size - 1) || memchr(data + 1, '+', size - 1))
        return 0; // the trace's own marks
    str_t stream = str_make((const char *)data + 1, size - 1);
    buf_t whole = {0}, ones = {0}, cut = {0}, want = {0};
    fed(&whole, stream, stream.n);
    fed(&ones, stream, 1);
    fed(&cut, stream, 1 + data[0]);
    plain(&want, stream);
    ASSERT(str_eq(buf_str(&whole), buf_str(&ones)), "one byte at a time gives other events");
    ASSERT(str_eq(buf_str(&whole), buf_str(&cut)), "the cut changed the events");
    ASSERT(str_eq(closed(&want), closed(&whole)), "the plain reader found other events");
    ASSERT((want.n && buf_str(&want).p[want.n - 1] == '+') ==
               (whole.n && buf_str(&whole).p[whole.n - 1] == '+'),
           "the plain reader sees another end");
    buf_dispose(&whole);
    buf_dispose(&ones);
    buf_dispose(&cut);
    buf_dispose(&want);
    return 0;
}

// Event boundaries and fields of server-sent events (WHATWG HTML 9.2). Works on bytes: UTF-8
// sequences and JSON escapes may be cut anywhere, because CR, LF, ':' never occur inside a
// multi-byte sequence.
#include "http/sse.h"

#include "base/check.h"
#include "http/bytes.h"

enum state {
    BOM_0,    // the zero state: nothing seen of the stream
    BOM_1,    // EF
    BOM_2,    // EF BB
    BLANK,    // at the start of a line, before the event's first line
    BLANK_CR, // as BLANK, and a LF now belongs to the CR before it
    LINE,     // inside a line that is not empty
    NEXT,     // at the start of a line of the event: an empty one ends it
    NEXT_CR,  // as NEXT, and a LF now belongs to the CR before it
};

static const char BOM[] = "\xef\xbb\xbf";

void sse_init(sse_t *s)
{
    *s = (sse_t){.state = BOM_0};
}

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

// Takes what is left of the BOM at the front (*ended when that is all of it), or finds that
// there is none.
static const char *skip_bom(sse_t *s, const char *p, const char *end, bool *ended)
{
    while (p < end && !s->started) {
        if (*p != BOM[s->state - BOM_0]) {
            s->state = s->state == BOM_0 ? BLANK : LINE;
            s->started = true;
        } else {
            p++;
            *ended = s->started = s->state == BOM_2;
            s->state = s->started ? BLANK : s->state + 1;
        }
    }
    return p;
}

// At the start of a line, p < end. Steps over a line end; *ended when that line end closes the
// event.
static const char *line_start(sse_t *s, const char *p, const char *end, bool *ended)
{
    bool in_event = s->state == NEXT || s->state == NEXT_CR;
    if (*p == '\n' && (s->state == NEXT_CR || s->state == BLANK_CR)) {
        s->state = in_event ? NEXT : BLANK;
        return p + 1;
    }
    if (!is_line_end(*p)) {
        s->state = LINE;
        return p;
    }
    *ended = in_event;
    if (*p == '\r' && p + 1 < end && p[1] == '\n')
        p++;
    s->state = *p == '\r' ? BLANK_CR : BLANK;
    return p + 1;
}

static const char *line_rest(sse_t *s, const char *p, const char *end)
{
    p = scan_line(p, end);
    if (p == end)
        return p;
    s->state = *p == '\r' ? NEXT_CR : NEXT;
    return p + 1;
}

size_t sse_feed(sse_t *s, const char *p, size_t n)
{
    const char *at = p, *end = p + n;
    bool ended = false;
    if (!s->started)
        at = skip_bom(s, at, end, &ended);
    while (at < end && !ended)
        at = s->state == LINE ? line_rest(s, at, end) : line_start(s, at, end, &ended);
    ASSERT(at <= end, "a scan ran over its input");
    s->event_bytes = ended ? 0 : s->event_bytes + n;
    return ended ? (size_t)(at - p) : 0;
}

bool sse_in_event(const sse_t *s)
{
    return s->state >= LINE || s->state == BOM_1 || s->state == BOM_2;
}

static str_t skip_line_ends(str_t text)
{
    size_t n = 0;
    while (n < text.n && is_line_end(text.p[n]))
        n++;
    return str_from_at(text, n);
}

bool sse_field_next(str_t *rest, str_t *name, str_t *value)
{
    str_t text = skip_line_ends(*rest);
    if (text.n == 0 || str_eq(*rest, STR("\xef\xbb\xbf")))
        return false;
    const char *stop = scan_line(text.p, text.p + text.n);
    str_t line = str_make(text.p, (size_t)(stop - text.p));
    *rest = str_from_at(text, line.n);
    ptrdiff_t colon = str_chr(line, ':');
    size_t name_n = colon < 0 ? line.n : (size_t)colon;
    *name = str_make(line.p, name_n);
    *value = str_from_at(line, name_n + 1);
    if (value->n && value->p[0] == ' ')
        *value = str_from_at(*value, 1);
    return true;
}

bool sse_data(str_t event, str_t *data)
{
    str_t name, value, found = {0};
    unsigned lines = 0;
    while (sse_field_next(&event, &name, &value)) {
        if (str_eq(name, STR("data"))) {
            found = value;
            lines++;
        }
    }
    if (lines != 1)
        return false;
    *data = found;
    return true;
}

// The usage tap: same-format responses go by, and their tokens, model and end are read in passing.
// Invariant: without hide_usage the bytes handed on are the bytes handed in.
#include "core/tap.h"

#include "base/check.h"
#include "base/clock.h"
#include "http/json.h"

enum { JSON_MAX = 4 * 1024 * 1024, EVENT_MAX = 1024 * 1024 };

void tap_init(tap_t *t, tap_kind_t kind, bool hide_usage)
{
    *t = (tap_t){.kind = (uint8_t)kind,
                 .hide_usage = hide_usage,
                 .prompt_tokens = -1,
                 .completion_tokens = -1,
                 .total_tokens = -1,
                 .cached_tokens = -1,
                 .reasoning_tokens = -1};
    sse_init(&t->sse);
}

void tap_dispose(tap_t *t)
{
    buf_dispose(&t->held);
    buf_dispose(&t->kept);
}

void tap_head(tap_t *t, unsigned status, str_t content_type, str_t content_encoding)
{
    bool encoded = content_encoding.n && !str_ieq(content_encoding, STR("identity"));
    bool event_stream = content_type.n >= 17 &&
                        str_ieq(str_make(content_type.p, 17), STR("text/event-stream"));
    t->stream = event_stream && !encoded;
    t->overflow = encoded || status != 200;
}

static double number_of(str_t object, str_t name, double otherwise)
{
    str_t raw;
    double value;
    return json_get(object, name, &raw) && json_number(raw, &value) == 0 ? value : otherwise;
}

static void read_details(tap_t *t, str_t usage)
{
    str_t details;
    if (json_get(usage, STR("prompt_tokens_details"), &details))
        t->cached_tokens = number_of(details, STR("cached_tokens"), t->cached_tokens);
    if (json_get(usage, STR("completion_tokens_details"), &details))
        t->reasoning_tokens = number_of(details, STR("reasoning_tokens"), t->reasoning_tokens);
}

// Counters are cumulative where vendors repeat them: the last value wins. True when `usage` is an object.
static bool read_usage(tap_t *t, str_t object)
{
    str_t usage;
    if (!json_get(object, STR("usage"), &usage) || json_value_type(usage) != JSON_OBJECT)
        return false;
    t->prompt_tokens = number_of(usage, STR("prompt_tokens"), t->prompt_tokens);
    t->completion_tokens = number_of(usage, STR("completion_tokens"), t->completion_tokens);
    t->total_tokens = number_of(usage, STR("total_tokens"), t->total_tokens);
    read_details(t, usage);
    return true;
}

static void copy_string(char *out, size_t cap, str_t raw)
{
    if (raw.n < 2 || raw.p[0] != '"')
        return;
    size_t n = raw.n - 2 < cap - 1 ? raw.n - 2 : cap - 1;
    memcpy(out, raw.p + 1, n);
    out[n] = '\0';
}

static void read_model(tap_t *t, str_t object)
{
    str_t raw;
    if (!t->model[0] && json_get(object, STR("model"), &raw))
        copy_string(t->model, sizeof t->model, raw);
}

// The first choice's finish_reason, when it is a string.
static void read_finish(tap_t *t, str_t object)
{
    str_t choices, choice, reason;
    if (!json_get(object, STR("choices"), &choices) || !json_next(&choices, &choice) ||
        !json_get(choice, STR("finish_reason"), &reason) || json_value_type(reason) != JSON_STRING)
        return;
    copy_string(t->finish_reason, sizeof t->finish_reason, reason);
    t->done = true;
}

static void read_json(tap_t *t, str_t text)
{
    read_usage(t, text);
    read_model(t, text);
    read_finish(t, text);
}

// ---- events ----

// Bytes of the delta's content, by its first "content":"..." member: an estimate, not a parse.
static size_t content_size(str_t data)
{
    ptrdiff_t at = str_find(data, STR("\"content\":\""));
    if (at < 0)
        return 0;
    str_t rest = str_from_at(data, (size_t)at + 11);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '"')
        n += rest.p[n] == '\\' ? 2 : 1;
    return n;
}

static bool has_choices(str_t data)
{
    str_t choices, first;
    return json_get(data, STR("choices"), &choices) && json_next(&choices, &first);
}

// True when the event is the usage event that the client did not ask for.
static bool read_event(tap_t *t, str_t event)
{
    str_t data;
    if (!sse_data(event, &data))
        return false;
    if (str_eq(str_trim(data), STR("[DONE]"))) {
        t->done = true;
        return false;
    }
    t->events++;
    size_t content = content_size(data);
    t->content_bytes += content;
    if (!t->first_event_us && (content || t->events > 1))
        t->first_event_us = clock_mono_us();
    read_model(t, data);
    if (str_find(data, STR("\"finish_reason\":\"")) >= 0)
        read_finish(t, data);
    if (str_starts(str_trim(data), STR("{\"error\"")))
        t->failed = true;
    bool usage = str_find(data, STR("\"usage\"")) >= 0 && read_usage(t, data);
    return usage && t->hide_usage && !has_choices(data);
}

// Takes text[from, from + n) out of the run. What stays is equal wherever the stream was cut: a LF that belongs to the CR of
// the event before stays, and one still to come that belongs to this event's CR goes.
static void hide_event(tap_t *t, str_t text, size_t from, size_t n, bool first)
{
    size_t blank = 0;
    while (blank < n && (text.p[from + blank] == '\n' || text.p[from + blank] == '\r'))
        blank++;
    if (first)
        buf_clear(&t->kept);
    buf_append(&t->kept, first ? str_make(text.p, from + blank) : str_make(text.p + from, blank));
    t->drop_lf = from + n == text.n && text.p[text.n - 1] == '\r';
}

// Works through the complete events of `text`; how many bytes they are. Those that stay go to t->kept once one was hidden.
static size_t read_events(tap_t *t, str_t text, bool *hidden)
{
    size_t done = 0;
    for (;;) {
        size_t n = sse_feed(&t->sse, text.p + done, text.n - done);
        if (n == 0)
            return done;
        str_t event = str_make(text.p + done, n);
        // An event's beginning may lie in an earlier run: held keeps it in front, so `event` is whole.
        bool hide = read_event(t, event);
        if (hide)
            hide_event(t, text, done, n, !*hidden);
        else if (*hidden)
            buf_append(&t->kept, event);
        *hidden |= hide;
        done += n;
    }
}

// The unfinished event's tail is scanned again with its next bytes, so the scanner starts at its beginning.
static void hold_tail(tap_t *t, str_t text, size_t done, bool in_held)
{
    sse_t fresh;
    sse_init(&fresh);
    fresh.started = t->sse.started;
    t->sse = fresh;
    if (in_held)
        t->passed = done;
    else
        buf_append(&t->held, str_from_at(text, done));
    if (t->held.n - t->passed > EVENT_MAX)
        t->overflow = true;
}

static void feed_stream(tap_t *t, str_t data, bool eof, str_t out[2], unsigned *n_out)
{
    buf_consume(&t->held, t->passed);
    t->passed = 0;
    if (t->drop_lf && data.n) {
        t->drop_lf = false;
        data = str_from_at(data, data.p[0] == '\n');
    }
    bool in_held = t->held.n > 0;
    if (in_held)
        buf_append(&t->held, data);
    str_t text = in_held ? buf_str(&t->held) : data;
    bool hidden = false;
    size_t done = read_events(t, text, &hidden);
    hold_tail(t, text, done, in_held);
    if (!t->hide_usage) {
        out[0] = data;
        *n_out = data.n ? 1 : 0;
        return;
    }
    *n_out = 0;
    str_t passed = hidden ? buf_str(&t->kept) : str_make(text.p, done);
    if (passed.n)
        out[(*n_out)++] = passed;
    if ((eof || t->overflow) && text.n > done) {
        out[(*n_out)++] = str_from_at(text, done);  // an unfinished event is the client's all the same
        t->passed = in_held ? text.n : t->held.n;
    }
}

static void feed_json(tap_t *t, str_t data, bool eof)
{
    if (t->overflow)
        return;
    if (eof && t->held.n == 0) {
        read_json(t, data);
    } else if (t->held.n + data.n > JSON_MAX) {
        t->overflow = true;
        buf_dispose(&t->held);
    } else {
        buf_append(&t->held, data);
        if (eof)
            read_json(t, buf_str(&t->held));
    }
}

void tap_feed(tap_t *t, str_t data, bool eof, str_t out[2], unsigned *n_out)
{
    out[0] = data;
    *n_out = data.n ? 1 : 0;
    if (!t->stream)
        feed_json(t, data, eof);
    else if (!t->overflow || t->held.n > t->passed)
        feed_stream(t, data, eof, out, n_out);
}

// The usage tap: same-format responses go by, and their tokens, model and end are read in passing.
// Invariant: without hide_usage the bytes handed on are the bytes handed in.
#include "core/tap.h"

#include "base/check.h"
#include "base/clock.h"
#include "http/json.h"
#include "http/json_skim.h"

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
    bool event_stream =
        content_type.n >= 17 && str_ieq(str_make(content_type.p, 17), STR("text/event-stream"));
    t->stream = event_stream && !encoded;
    t->off = t->overflow = encoded || status != 200;
}

static double number_in(str_t raw, double otherwise)
{
    double value;
    return raw.p && json_number(raw, &value) == 0 ? value : otherwise;
}

static double detail_in(str_t details, str_t name, double otherwise)
{
    str_t raw;
    return details.p && json_skim(details, &name, &raw, 1) == 0 ? number_in(raw, otherwise)
                                                                : otherwise;
}

// Counters are cumulative where vendors repeat them: the last value wins. True when `usage` is an object.
static bool read_usage(tap_t *t, str_t usage)
{
    enum { PROMPT, COMPLETION, TOTAL, PROMPT_DETAILS, COMPLETION_DETAILS, N };
    static const str_t NAMES[N] = {STR("prompt_tokens"), STR("completion_tokens"),
                                   STR("total_tokens"), STR("prompt_tokens_details"),
                                   STR("completion_tokens_details")};
    str_t v[N];
    if (!usage.p || json_skim(usage, NAMES, v, N) != 0)
        return false;
    t->prompt_tokens = number_in(v[PROMPT], t->prompt_tokens);
    t->completion_tokens = number_in(v[COMPLETION], t->completion_tokens);
    t->total_tokens = number_in(v[TOTAL], t->total_tokens);
    t->cached_tokens = detail_in(v[PROMPT_DETAILS], STR("cached_tokens"), t->cached_tokens);
    t->reasoning_tokens =
        detail_in(v[COMPLETION_DETAILS], STR("reasoning_tokens"), t->reasoning_tokens);
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

// The first element of an array's text; empty when there is none.
static str_t first_of(str_t array)
{
    if (!array.n || array.p[0] != '[')
        return STR("");
    str_t rest = str_from_at(array, 1);
    while (rest.n &&
           (rest.p[0] == ' ' || rest.p[0] == '\n' || rest.p[0] == '\r' || rest.p[0] == '\t'))
        rest = str_from_at(rest, 1);
    return rest.n && rest.p[0] != ']' ? rest : STR("");
}

// The first choice's finish_reason, when it is a string.
static void read_finish(tap_t *t, str_t choice)
{
    const str_t name = STR("finish_reason");
    str_t reason;
    if (!choice.n || json_skim(choice, &name, &reason, 1) != 0 || !reason.n ||
        reason.p[0] != '"')
        return;
    copy_string(t->finish_reason, sizeof t->finish_reason, reason);
    t->done = true;
}

// What one object says: a whole answer, or an event's data. True when it carries usage and no choice.
static bool read_object(tap_t *t, str_t text)
{
    enum { MODEL, CHOICES, USAGE, N };
    static const str_t NAMES[N] = {STR("model"), STR("choices"), STR("usage")};
    str_t v[N];
    if (json_skim(text, NAMES, v, N) != 0)
        return false;
    str_t choice = first_of(v[CHOICES]);
    if (!t->model[0])
        copy_string(t->model, sizeof t->model, v[MODEL]);
    read_finish(t, choice);
    return read_usage(t, v[USAGE]) && choice.n == 0;
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

// Whether the event names a reason: most events say null, and need not be read for it.
static bool has_finish(str_t data)
{
    ptrdiff_t at = str_find(data, STR("\"finish_reason\""));
    if (at < 0)
        return false;
    str_t rest = str_trim(str_from_at(data, (size_t)at + 15));
    str_t value = str_trim(str_from_at(rest, 1)); // behind the colon
    return value.n && value.p[0] == '"';
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
    if (str_starts(str_trim(data), STR("{\"error\"")))
        t->failed = true;
    bool worth_reading =
        !t->model[0] || has_finish(data) || str_find(data, STR("\"usage\"")) >= 0;
    return worth_reading && read_object(t, data) && t->hide_usage;
}

// What goes on of a run: t->kept, then data[from..upto). Looked at so far: data[0..upto).
typedef struct run {
    str_t data;
    size_t from, upto;
} run_t;

// `bytes` go on to the client, behind what goes on already.
static void keep_bytes(tap_t *t, run_t *run, str_t bytes)
{
    if (!t->hide_usage)
        return; // the run goes on as it is
    buf_append(&t->kept, str_make(run->data.p + run->from, run->upto - run->from));
    buf_append(&t->kept, bytes);
    run->from = run->upto;
}

// Line ends before an event: they may belong to the one before, so they stay when it is left out.
static str_t blank_front(str_t event)
{
    size_t n = 0;
    while (n < event.n && (event.p[n] == '\n' || event.p[n] == '\r'))
        n++;
    return str_make(event.p, n);
}

// `event`, that ends n bytes further on, is taken out. A LF still to come may belong to the CR that ends it: it goes too. So what
// goes on is the same wherever the stream was cut.
static void leave_out(tap_t *t, run_t *run, str_t event, size_t n)
{
    ASSERT(t->hide_usage, "events are left out on demand only");
    keep_bytes(t, run, blank_front(event));
    run->upto += n;
    run->from = run->upto;
    t->drop_lf = event.p[event.n - 1] == '\r';
}

// An event ends n bytes further on; its beginning may be in t->held.
static void take_event(tap_t *t, run_t *run, size_t n)
{
    str_t event = str_make(run->data.p + run->upto, n);
    size_t before = t->held.n;
    if (before) {
        buf_append(&t->held, event);
        event = buf_str(&t->held);
    }
    if (!t->skipping && read_event(t, event)) {
        leave_out(t, run, event, n);
    } else {
        if (before)
            keep_bytes(t, run, str_make(event.p, before));
        run->upto += n;
    }
    t->skipping = false;
    buf_clear(&t->held);
}

// The rest of the run belongs to an event that goes on. It is kept until it is whole, unless it is too large to be looked at.
static void take_tail(tap_t *t, run_t *run)
{
    str_t tail = str_from_at(run->data, run->upto);
    if (!t->skipping && t->held.n + tail.n <= EVENT_MAX) {
        buf_append(&t->held, tail);
        return;
    }
    t->skipping = t->overflow = true;
    keep_bytes(t, run, buf_str(&t->held));
    buf_dispose(&t->held);
    run->upto += tail.n;
}

// The stream ends within an event: it counts, and is the client's all the same.
static void take_cut_event(tap_t *t, run_t *run)
{
    str_t event = buf_str(&t->held);
    if (event.n)
        keep_bytes(t, run, read_event(t, event) ? blank_front(event) : event);
    buf_clear(&t->held);
}

static void drop_line_feed(tap_t *t, run_t *run)
{
    if (!t->drop_lf || run->data.n == 0)
        return;
    t->drop_lf = false;
    if (run->data.p[0] != '\n')
        return;
    size_t end = sse_feed(&t->sse, run->data.p, 1);
    ASSERT(end == 0, "a line feed behind an event's end opens no event");
    run->from = run->upto = 1;
}

static void feed_stream(tap_t *t, str_t data, bool eof, str_t out[2], unsigned *n_out)
{
    run_t run = {.data = data};
    size_t n;
    buf_clear(&t->kept);
    drop_line_feed(t, &run);
    while ((n = sse_feed(&t->sse, data.p + run.upto, data.n - run.upto)) > 0)
        take_event(t, &run, n);
    take_tail(t, &run);
    if (eof)
        take_cut_event(t, &run);
    if (!t->hide_usage)
        return;
    *n_out = 0;
    if (t->kept.n)
        out[(*n_out)++] = buf_str(&t->kept);
    if (run.upto > run.from)
        out[(*n_out)++] = str_make(data.p + run.from, run.upto - run.from);
}

bool tap_mid_event(const tap_t *t)
{
    return t->stream && (t->hide_usage ? t->skipping : sse_in_event(&t->sse));
}

static void feed_json(tap_t *t, str_t data, bool eof)
{
    if (t->overflow)
        return;
    if (eof && t->held.n == 0) {
        read_object(t, data);
    } else if (t->held.n + data.n > JSON_MAX) {
        t->overflow = true;
        buf_dispose(&t->held);
    } else {
        buf_append(&t->held, data);
        if (eof)
            read_object(t, buf_str(&t->held));
    }
}

void tap_feed(tap_t *t, str_t data, bool eof, str_t out[2], unsigned *n_out)
{
    out[0] = data;
    *n_out = data.n ? 1 : 0;
    if (t->off)
        return;
    if (t->stream)
        feed_stream(t, data, eof, out, n_out);
    else
        feed_json(t, data, eof);
}

// The tap over recorded streams: whatever way they are cut, the bytes handed on and the numbers read are the same.
#include "test.h"

#include "base/buf.h"
#include "core/tap.h"

#define CHUNK(inside)                                                                          \
    "data: "                                                                                   \
    "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-mini\"," inside    \
    "}\n\n"
#define DELTA(text)                                                                            \
    CHUNK("\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text                           \
          "\"},\"finish_reason\":null}],\"usage\":null")
#define FINISH                                                                                 \
    CHUNK("\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":"     \
          "null")
#define COUNTS(p, c, t)                                                                        \
    "{\"prompt_tokens\":" p ",\"completion_tokens\":" c ",\"total_tokens\":" t ","             \
    "\"prompt_tokens_details\":{\"cached_tokens\":3},\"completion_tokens_details\":{"          \
    "\"reasoning_tokens\":2}}"
#define USAGE(p, c, t) CHUNK("\"choices\":[],\"usage\":" COUNTS(p, c, t))
#define DONE "data: [DONE]\n\n"

typedef struct row {
    const char *name, *in, *hidden; // hidden: what goes on with hide_usage; NULL: everything
    int prompt, total, events;
} row_t;

static const row_t ROWS[] = {
    {"OpenAI", DELTA("Hel") DELTA("lo") FINISH USAGE("9", "12", "21") DONE,
     DELTA("Hel") DELTA("lo") FINISH DONE, 9, 21, 4},
    {"usage repeated", DELTA("a") USAGE("9", "1", "10") DELTA("b") USAGE("9", "2", "11") DONE,
     DELTA("a") DELTA("b") DONE, 9, 11, 4},
    {"two in a row", USAGE("9", "1", "10") USAGE("9", "2", "11") FINISH, FINISH, 9, 11, 3},
    {"usage with the finish",
     DELTA("a") CHUNK("\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                      "\"usage\":" COUNTS("9", "1", "10")) DONE,
     NULL, 9, 10, 2},
    {"first event without choices",
     CHUNK("\"choices\":[],\"prompt_filter_results\":[]") DELTA("a") DONE, NULL, -1, -1, 2},
    {"comments and other fields",
     ": ping\n\nevent: x\nid: 1\n" DELTA("a") ":p\n" USAGE("9", "1", "10") "retry: 1\n\n" DONE,
     ": ping\n\nevent: x\nid: 1\n" DELTA("a") "retry: 1\n\n" DONE, 9, 10, 2},
    {"BOM", "\xef\xbb\xbf" DELTA("a") USAGE("9", "1", "10") DONE,
     "\xef\xbb\xbf" DELTA("a") DONE, 9, 10, 2},
    {"BOM and usage first", "\xef\xbb\xbf" USAGE("9", "1", "10") DONE, "\xef\xbb\xbf" DONE, 9,
     10, 1},
    {"extra blank lines", "\n\n" DELTA("a") "\n" USAGE("9", "1", "10") "\n" DONE,
     "\n\n" DELTA("a") "\n\n" DONE, 9, 10, 2},
    {"end without blank line",
     DELTA("a") DONE "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n", NULL, -1, -1,
     2},
    {"usage last without blank line",
     DELTA("a") "data: {\"choices\":[],\"usage\":" COUNTS("9", "1", "10") "}", DELTA("a"), 9,
     10, 2},
    {"two data lines",
     "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n" DONE, NULL, -1, -1,
     0},
    {"not JSON", "data: usage\n\ndata: {\"usage\"\n\n" DONE, NULL, -1, -1, 2},
    {"empty", "", NULL, -1, -1, 0},
    {"only a line end", "\n", NULL, -1, -1, 0},
};

typedef struct seen {
    buf_t out;
    tap_t tap;
} seen_t;

static void feed(seen_t *s, const char *p, size_t n, bool eof)
{
    char *copy = malloc(n + 1); // so that ASan sees a read beyond the run
    str_t out[2];
    unsigned n_out = 0;
    memcpy(copy, p, n);
    char *exact = realloc(copy, n ? n : 1);
    tap_feed(&s->tap, str_make(exact, n), eof, out, &n_out);
    CHECK(n_out <= 2);
    for (unsigned i = 0; i < n_out; i++) {
        CHECK(out[i].n > 0);
        buf_append(&s->out, out[i]);
    }
    free(exact);
}

static void begin(seen_t *s, bool hide)
{
    *s = (seen_t){0};
    tap_init(&s->tap, TAP_OPENAI, hide);
    tap_head(&s->tap, 200, STR("text/event-stream; charset=utf-8"), STR(""));
}

static void end(seen_t *s)
{
    tap_dispose(&s->tap);
    buf_dispose(&s->out);
}

// Everything but a BOM with other line ends.
static buf_t with_ends(const char *text, const char *line_end)
{
    buf_t b = {0};
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            buf_append(&b, str_from(line_end));
        else
            buf_putc(&b, *p);
    }
    return b;
}

static bool check_numbers(const row_t *row, const tap_t *t)
{
    bool ok = CHECK_EQ_INT(t->prompt_tokens, row->prompt) &&
              CHECK_EQ_INT(t->total_tokens, row->total) && CHECK_EQ_INT(t->events, row->events);
    if (row->prompt > 0)
        ok = ok && CHECK_EQ_INT(t->cached_tokens, 3) && CHECK_EQ_INT(t->reasoning_tokens, 2);
    return ok && CHECK(!t->overflow);
}

static bool run_cut(const row_t *row, str_t in, str_t want, bool hide, size_t cut, size_t step)
{
    seen_t s;
    begin(&s, hide);
    if (step) {
        for (size_t at = 0; at < in.n; at += step)
            feed(&s, in.p + at, in.n - at < step ? in.n - at : step, false);
        feed(&s, "", 0, true);
    } else {
        feed(&s, in.p, cut, false);
        feed(&s, in.p + cut, in.n - cut, true);
    }
    bool ok = CHECK_EQ_STR(buf_str(&s.out), want) && check_numbers(row, &s.tap);
    end(&s);
    return ok;
}

static void run_row(const row_t *row, const char *line_end, bool hide)
{
    buf_t in = with_ends(row->in, line_end);
    buf_t want = with_ends(hide && row->hidden ? row->hidden : row->in, line_end);
    bool ok = true;
    for (size_t cut = 0; ok && cut <= in.n; cut++)
        ok = run_cut(row, buf_str(&in), buf_str(&want), hide, cut, 0);
    for (size_t step = 1; ok && step < 8; step++)
        ok = run_cut(row, buf_str(&in), buf_str(&want), hide, 0, step);
    if (!ok)
        TEST_NOTE("in '%s', %s, line end of %zu", row->name, hide ? "hidden" : "not hidden",
                  strlen(line_end));
    buf_dispose(&in);
    buf_dispose(&want);
}

TEST(bytes_and_numbers_do_not_depend_on_the_cuts)
{
    static const char *const ENDS[] = {"\n", "\r\n", "\r"};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        for (size_t e = 0; e < 3; e++) {
            run_row(&ROWS[i], ENDS[e], false);
            run_row(&ROWS[i], ENDS[e], true);
        }
    }
}

static void feed_large(seen_t *s, size_t n)
{
    static const char HEAD[] = "data: {\"choices\":[{\"delta\":{\"content\":\"";
    char block[1000];
    memset(block, 'x', sizeof block);
    feed(s, HEAD, sizeof HEAD - 1, false);
    for (size_t at = 0; at < n; at += sizeof block)
        feed(s, block, sizeof block, false);
    feed(s, "\"}}]}\n\n", 7, false);
}

TEST(an_event_too_large_passes_and_those_behind_it_are_read)
{
    for (int hide = 0; hide < 2; hide++) {
        seen_t s;
        begin(&s, hide);
        feed_large(&s, 5000000);
        CHECK(s.tap.overflow);
        CHECK_EQ_INT(s.out.n, 39 + 5000000 + 7);
        CHECK(s.tap.held.cap <= 2 * 1024 * 1024);
        feed(&s, USAGE("9", "1", "10"), strlen(USAGE("9", "1", "10")), false);
        feed(&s, DONE, strlen(DONE), true);
        CHECK_EQ_INT(s.tap.total_tokens, 10);
        CHECK(s.tap.done);
        CHECK_EQ_INT(s.out.n, 39 + 5000000 + 7 + strlen(DONE) +
                                  (hide ? 0 : strlen(USAGE("9", "1", "10"))));
        end(&s);
    }
}

TEST(an_event_just_under_the_limit_is_read)
{
    seen_t s;
    begin(&s, true);
    feed_large(&s, 1000000);
    CHECK(!s.tap.overflow);
    CHECK_EQ_INT(s.tap.events, 1);
    CHECK_EQ_INT(s.out.n, 39 + 1000000 + 7);
    end(&s);
}

TEST(what_is_not_a_plain_200_passes_unread)
{
    static const struct {
        unsigned status;
        const char *encoding;
    } CASES[] = {{500, ""}, {200, "gzip"}};
    for (size_t i = 0; i < 2; i++) {
        seen_t s = {0};
        tap_init(&s.tap, TAP_OPENAI, true);
        tap_head(&s.tap, CASES[i].status, STR("text/event-stream"),
                 str_from(CASES[i].encoding));
        feed(&s, USAGE("9", "1", "10"), strlen(USAGE("9", "1", "10")), true);
        CHECK_EQ_STR(buf_str(&s.out), USAGE("9", "1", "10"));
        CHECK_EQ_INT(s.tap.total_tokens, -1);
        end(&s);
    }
}

TEST(json_is_read_at_its_end)
{
    static const char BODY[] =
        "{\"model\":\"m\",\"choices\":[{\"finish_reason\":\"length\"}],\"usage\":" COUNTS(
            "1", "2", "3") "}";
    for (size_t cut = 0; cut < sizeof BODY; cut++) {
        seen_t s = {0};
        tap_init(&s.tap, TAP_OPENAI, true);
        tap_head(&s.tap, 200, STR("application/json"), STR("identity"));
        feed(&s, BODY, cut, false);
        feed(&s, BODY + cut, sizeof BODY - 1 - cut, true);
        CHECK_EQ_STR(buf_str(&s.out), BODY);
        CHECK_EQ_INT(s.tap.total_tokens, 3);
        CHECK_EQ_STR(str_from(s.tap.finish_reason), "length");
        CHECK_EQ_STR(str_from(s.tap.model), "m");
        end(&s);
    }
}

TEST(mid_event_is_told)
{
    seen_t s;
    begin(&s, false);
    CHECK(!tap_mid_event(&s.tap));
    feed(&s, "data: a", 7, false);
    CHECK(tap_mid_event(&s.tap));
    feed(&s, "\n\n", 2, false);
    CHECK(!tap_mid_event(&s.tap));
    end(&s);
    begin(&s, true);
    feed(&s, "data: a", 7, false);
    CHECK(!tap_mid_event(&s.tap)); // the client has nothing of it
    end(&s);
}

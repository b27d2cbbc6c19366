// JSON. Oracles: a recursive reader written apart from the scanner agrees on acceptance;
// json_object lists what it says; an edited document is valid JSON, holds the edits, and leaves
// every other member as it was.
#include "http/json.h"

#include "base/buf.h"
#include "base/check.h"

typedef struct reader {
    const unsigned char *p, *end;
    int depth;
} reader_t;

static bool read_value(reader_t *r);

static void blanks(reader_t *r)
{
    while (r->p < r->end && memchr(" \t\r\n", *r->p, 4))
        r->p++;
}

static bool take(reader_t *r, unsigned char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool read_escape(reader_t *r)
{
    if (r->p == r->end)
        return false;
    unsigned char c = *r->p++;
    if (c != 'u')
        return memchr("\"\\/bfnrt", c, 8) != NULL;
    for (int i = 0; i < 4; i++, r->p++) {
        if (r->p == r->end || !memchr("0123456789abcdefABCDEF", *r->p, 22))
            return false;
    }
    return true;
}

// By code point: decoded, then checked against the range that its length is for.
static bool read_utf8(reader_t *r, unsigned char lead)
{
    static const uint32_t MIN[] = {0, 0x80, 0x800, 0x10000};
    int more = lead >= 0xf8 ? 0 : lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (more == 0)
        return false;
    uint32_t c = lead & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
        if (r->p == r->end || *r->p >> 6 != 2)
            return false;
        c = c << 6 | (*r->p++ & 0x3f);
    }
    return c >= MIN[more] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

static bool read_string(reader_t *r)
{
    if (!take(r, '"'))
        return false;
    while (r->p < r->end) {
        unsigned char c = *r->p++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !read_escape(r)) || (c >= 0x80 && !read_utf8(r, c)))
            return false;
    }
    return false;
}

static bool read_digits(reader_t *r)
{
    const unsigned char *start = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > start;
}

static bool read_number(reader_t *r)
{
    take(r, '-');
    const unsigned char *start = r->p;
    if (!read_digits(r) || (*start == '0' && r->p > start + 1))
        return false;
    if (take(r, '.') && !read_digits(r))
        return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            take(r, '-');
        return read_digits(r);
    }
    return true;
}

static bool read_items(reader_t *r, unsigned char close)
{
    if (++r->depth > 128)
        return false;
    blanks(r);
    if (take(r, close)) {
        r->depth--;
        return true;
    }
    do {
        if (close == '}') {
            blanks(r);
            if (!read_string(r))
                return false;
            blanks(r);
            if (!take(r, ':'))
                return false;
        }
        if (!read_value(r))
            return false;
        blanks(r);
    } while (take(r, ','));
    r->depth--;
    return take(r, close);
}

static bool read_word(reader_t *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

static bool read_value(reader_t *r)
{
    blanks(r);
    if (take(r, '{'))
        return read_items(r, '}');
    if (take(r, '['))
        return read_items(r, ']');
    if (r->p < r->end && *r->p == '"')
        return read_string(r);
    return read_word(r, "true") || read_word(r, "false") || read_word(r, "null") ||
           read_number(r);
}

static bool read_text(str_t text)
{
    reader_t r = {.p = (const unsigned char *)text.p,
                  .end = (const unsigned char *)text.p + text.n};
    if (!read_value(&r))
        return false;
    blanks(&r);
    return r.p == r.end;
}

static void check_member(const json_member_t *m, str_t text, arena_t *a)
{
    json_error_t err;
    str_t key, found;
    double d;
    ASSERT(json_validate(m->value, &err) == 0, "a member's value is no JSON");
    ASSERT(json_value_type(m->value) == m->type && json_count(m->value) == m->count,
           "type or count is wrong");
    ASSERT(json_string(str_make(m->key.p - 1, m->key.n + 2), a, &key) == 0,
           "a key is no string");
    ASSERT(json_get(text, key, &found) && found.p == m->value.p && found.n == m->value.n,
           "json_get finds another");
    if (m->type == JSON_STRING)
        ASSERT(json_string(m->value, a, &found) == 0 && found.n <= m->value.n,
               "a string is no string");
    if (m->type == JSON_NUMBER)
        (void)json_number(m->value, &d);
    if (m->type == JSON_ARRAY) {
        uint32_t n = 0;
        for (str_t rest = m->value, element; json_next(&rest, &element); n++)
            ASSERT(json_value_type(element) != JSON_ABSENT, "an element is no JSON");
        ASSERT(n == m->count, "json_next finds another number of elements");
    }
}

static const char *const NAMES[] = {"a", "b", "model", "new"};

// What the bits of `mode` do to a member: 0 nothing, 1 set, 2 remove.
static int edit_of(str_t key, unsigned mode)
{
    for (unsigned k = 0; k < 4; k++) {
        if (str_eq(key, str_from(NAMES[k])))
            return mode >> k & 1 ? 1 : mode >> (k + 4) & 1 ? 2 : 0;
    }
    return 0;
}

// Sets, removes and appends by the bits of `mode`; then reads the result back.
static void check_edits(str_t text, arena_t *a, unsigned mode)
{
    json_doc_t d;
    json_error_t err;
    json_member_t *after;
    uint32_t n_after, kept = 0;
    size_t total;
    buf_t out = {0};
    ASSERT(json_doc_open(&d, a, text, &err) == 0, "json_object took it");
    for (unsigned i = 0; i < 4; i++) {
        if (mode >> i & 1)
            ASSERT(json_doc_set(&d, a, str_from(NAMES[i]), STR("[1]")) == 0,
                   "a good edit was refused");
        else if (mode >> (i + 4) & 1)
            json_doc_remove(&d, a, str_from(NAMES[i]));
    }
    uint32_t max = json_doc_max_slices(&d);
    str_t *slices = calloc(max, sizeof *slices);
    uint32_t n = json_doc_slices(&d, slices, &total);
    ASSERT(n <= max, "more slices than promised");
    for (uint32_t i = 0; i < n; i++)
        buf_append(&out, slices[i]);
    ASSERT(out.n == total, "the total is wrong");
    ASSERT(json_object(buf_str(&out), a, &after, &n_after, &err) == 0,
           "the edited text is no object");
    ASSERT(mode || str_eq(buf_str(&out), text), "no edit changed the text");
    for (uint32_t i = 0; i < d.n_members; i++) {
        str_t key;
        ASSERT(json_string(str_make(d.members[i].key.p - 1, d.members[i].key.n + 2), a, &key) ==
                   0,
               "a key");
        int edit = edit_of(key, mode);
        if (edit == 2)
            continue;
        ASSERT(kept < n_after && str_eq(after[kept].key, d.members[i].key),
               "a member was lost or moved");
        ASSERT(str_eq(after[kept].value, edit ? STR("[1]") : d.members[i].value),
               "a member has another value");
        kept++;
    }
    free(slices);
    buf_dispose(&out);
}

// The bytes as the inside of a string of over two blocks of the large steps, `at` bytes into it.
static void check_long_string(str_t bytes, unsigned at)
{
    buf_t b = {0};
    json_error_t err;
    buf_append(&b, STR("\"\\n"));
    for (unsigned i = 0; i < at % 64; i++)
        buf_putc(&b, 'x');
    buf_append(&b, bytes);
    buf_append(&b, STR("\xc3\xa9\\u00e9\\\\"));
    buf_append(&b, bytes);
    for (unsigned i = 0; i < 128; i++)
        buf_putc(&b, 'x');
    buf_putc(&b, '"');
    ASSERT((json_validate(buf_str(&b), &err) == 0) == read_text(buf_str(&b)),
           "the plain reader disagrees on a long string");
    buf_dispose(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = size - 1;
    char *tight = malloc(n);
    memcpy(tight, data + 1, n);
    str_t text = str_make(tight, n);
    json_error_t err = {0};
    bool valid = json_validate(text, &err) == 0;
    ASSERT(valid == read_text(text), "the plain reader disagrees");
    check_long_string(text, data[0]);
    ASSERT(valid || (err.why && err.at <= n), "an error without place or reason");
    arena_t a = {0};
    json_member_t *m;
    uint32_t count;
    if (json_object(text, &a, &m, &count, &err) == 0) {
        ASSERT(valid, "json_object took what json_validate refuses");
        for (uint32_t i = 0; i < count && i < 32; i++)
            check_member(&m[i], text, &a);
        check_edits(text, &a, data[0]);
    } else {
        ASSERT(err.why && err.at <= n, "an error without place or reason");
    }
    arena_dispose(&a);
    free(tight);
    return 0;
}

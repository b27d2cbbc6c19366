// The strict field section parser: one pass, no copy. Every line has been checked byte by byte
// when it is stored.
#include "http/fields.h"

#include "base/check.h"
#include "http/bytes.h"

// More options than this in Connection is no message of anyone's: each costs a walk of the
// block.
enum { CONNECTION_OPTIONS_MAX = 64 };

// Fields that note() looks at, a bit each.
static const uint64_t FRAMING = 1ull << HDR_HOST | 1ull << HDR_CONTENT_LENGTH |
                                1ull << HDR_TRANSFER_ENCODING | 1ull << HDR_CONNECTION |
                                1ull << HDR_UPGRADE | 1ull << HDR_EXPECT;
_Static_assert(HDR_COUNT <= 64, "a bit for each well-known name");

typedef struct parse {
    field_facts_t *facts;
    uint32_t options;
    bool drop_underscore;
    const char *why;
} parse_t;

static int bad(parse_t *s, const char *why)
{
    s->why = why;
    return FIELDS_BAD;
}

static int note_connection(parse_t *s, str_t value)
{
    for (str_t option; str_list_next(&value, &option);) {
        if (++s->options > CONNECTION_OPTIONS_MAX)
            return bad(s, "too many Connection options");
        if (str_ieq(option, STR("keep-alive")))
            s->facts->keep_alive = true;
        else if (str_ieq(option, STR("close")))
            s->facts->close = true;
        else if (str_ieq(option, STR("upgrade")))
            s->facts->nominates_upgrade = true;
    }
    return 0;
}

static void note_length(field_facts_t *f, str_t value)
{
    if (f->n_length++ == 0)
        f->length = value;
    else if (!str_eq(f->length, value))
        f->length_differs = true;
}

static int note(parse_t *s, hdr_id_t id, str_t value)
{
    field_facts_t *f = s->facts;
    if (id == HDR_HOST) {
        f->host = f->n_host++ ? f->host : value;
    } else if (id == HDR_CONTENT_LENGTH) {
        note_length(f, value);
    } else if (id == HDR_TRANSFER_ENCODING) {
        f->coding = f->n_coding++ ? f->coding : value;
    } else if (id == HDR_CONNECTION) {
        return note_connection(s, value);
    } else if (id == HDR_UPGRADE) {
        f->has_upgrade = true;
    } else if (id == HDR_EXPECT) {
        bool known = str_ieq(value, STR("100-continue"));
        f->expect_continue |= known;
        f->expect_other |= !known;
    }
    return 0;
}

// Checks a name that is not well-known. 1 when it is to be dropped.
static int check_name(parse_t *s, str_t name, const char *readable_end)
{
    if (is_usual_name(name, readable_end))
        return 0;
    const char *end = name.p + name.n, *at = scan_class(name.p, end, B_NAME);
    if (at == end)
        return name.n ? 0 : bad(s, "an empty field name");
    if (scan_class(at, end, B_TOKEN) == end)
        return s->drop_underscore;
    at = scan_class(at, end, B_TOKEN);
    if (*at == ' ' || *at == '\t')
        return bad(s, at == name.p ? "a folded line" : "white space before the colon");
    return bad(s, *at == '\r' || *at == '\n' ? "a field line without a colon"
                                             : "a byte that may not stand in a field name");
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// The value behind the colon, without the white space round it; *next is behind its CRLF.
// False: a bad byte.
static inline bool take_value(const char *p, const char *end, str_t *value, const char **next)
{
    while (is_blank(*p))
        p++;
    const char *stop = scan_value(p, end), *last = stop;
    if (stop[0] != '\r' || stop[1] != '\n')
        return false;
    while (last > p && is_blank(last[-1]))
        last--;
    *value = str_make(p, (size_t)(last - p));
    *next = stop + 2;
    return true;
}

// Parses the line at p into *line. What is behind it, or NULL with s->why. `end` is the CRLF of
// the empty line.
static inline const char *parse_line(parse_t *s, header_t *line, const char *p, const char *end)
{
    const char *colon = scan_byte(p, end, ':'), *next;
    line->name = str_make(p, (size_t)(colon - p));
    line->id = (uint16_t)hdr_lookup(line->name);
    int drop = line->id == HDR_OTHER ? check_name(s, line->name, end) : 0;
    if (drop < 0)
        return NULL;
    line->removed = drop;
    ASSERT(colon < end, "a name that reaches the last CRLF is no token");
    if (!take_value(colon + 1, end, &line->value, &next)) {
        s->why = "a control byte in a field value";
        return NULL;
    }
    if (FRAMING >> line->id & 1 && note(s, (hdr_id_t)line->id, line->value) != 0)
        return NULL;
    return next;
}

int fields_parse(headers_t *h, arena_t *a, const char *p, const char *end, uint32_t fields_max,
                 bool drop_underscore, field_facts_t *facts, const char **why)
{
    parse_t s = {.facts = facts, .drop_underscore = drop_underscore};
    ASSERT(end[0] == '\r' && end[1] == '\n', "the empty line is the scan's stop");
    while (p < end) {
        if (fields_max && h->n == fields_max) {
            *why = "too many field lines";
            return FIELDS_TOO_MANY;
        }
        if (h->n == h->cap)
            headers_grow(h, a);
        p = parse_line(&s, &h->v[h->n], p, end);
        if (!p) {
            *why = s.why;
            return FIELDS_BAD;
        }
        headers_note(h, &h->v[h->n++]);
    }
    ASSERT(p == end, "a field line ran over the empty line");
    return 0;
}

int content_length_parse(str_t value, uint64_t *out)
{
    uint64_t n;
    if (str_to_u64(value, &n) != 0 || n > INT64_MAX)
        return -1;
    *out = n;
    return 0;
}

const char *fields_end(const char *p, size_t n)
{
    return n >= 4 && memcmp(p + n - 4, "\r\n\r\n", 4) == 0 ? p + n - 2 : NULL;
}

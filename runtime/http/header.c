// Field lines and the numbers of well-known names. The lookup is a perfect hash over length,
// first and last two bytes; the unit test proves it and prints the table to paste here when
// HDR_MAP has changed.
#include "http/header.h"

#include "base/check.h"
#include "http/bytes.h"
#include "http/fields.h"

enum { FIRST_CAP = 24 };

static const str_t NAMES[HDR_COUNT] = {
#define HDR_NAME(id, name) [id] = {.p = (name), .n = sizeof(name) - 1},
    HDR_MAP(HDR_NAME)
#undef HDR_NAME
};

static const uint8_t BY_HASH[256] = {
    [0] = HDR_WWW_AUTHENTICATE,
    [6] = HDR_DATE,
    [7] = HDR_RANGE,
    [9] = HDR_PROXY_AUTHENTICATE,
    [10] = HDR_KEEP_ALIVE,
    [11] = HDR_EXPECT,
    [20] = HDR_SET_COOKIE,
    [22] = HDR_ACCEPT,
    [28] = HDR_TRANSFER_ENCODING,
    [32] = HDR_IF_NONE_MATCH,
    [34] = HDR_VIA,
    [43] = HDR_REFERER,
    [53] = HDR_VARY,
    [54] = HDR_TRAILER,
    [55] = HDR_PROXY_AUTHORIZATION,
    [62] = HDR_X_FORWARDED_PATH,
    [63] = HDR_ETAG,
    [93] = HDR_AUTHORIZATION,
    [98] = HDR_COOKIE,
    [99] = HDR_LAST_MODIFIED,
    [106] = HDR_CONTENT_ENCODING,
    [110] = HDR_X_FORWARDED_PROTO,
    [112] = HDR_SEC_WEBSOCKET_KEY,
    [116] = HDR_X_REQUEST_ID,
    [135] = HDR_RETRY_AFTER,
    [136] = HDR_ACCEPT_ENCODING,
    [138] = HDR_USER_AGENT,
    [140] = HDR_HOST,
    [145] = HDR_CONTENT_TYPE,
    [147] = HDR_ACCEPT_LANGUAGE,
    [151] = HDR_CACHE_CONTROL,
    [159] = HDR_CONTENT_LENGTH,
    [161] = HDR_X_FORWARDED_PREFIX,
    [167] = HDR_X_FORWARDED_FOR,
    [168] = HDR_X_KONG_REQUEST_ID,
    [174] = HDR_TE,
    [178] = HDR_PROXY_CONNECTION,
    [196] = HDR_IF_MODIFIED_SINCE,
    [200] = HDR_UPGRADE,
    [203] = HDR_ORIGIN,
    [204] = HDR_X_FORWARDED_PORT,
    [209] = HDR_X_REAL_IP,
    [210] = HDR_APIKEY,
    [218] = HDR_SERVER,
    [220] = HDR_TRACEPARENT,
    [227] = HDR_CONNECTION,
    [229] = HDR_LOCATION,
    [231] = HDR_FORWARDED,
    [246] = HDR_X_FORWARDED_HOST,
};

_Static_assert(HDR_COUNT <= UINT8_MAX, "the hash table holds one byte a name");

static inline unsigned hash(const char *name, size_t n)
{
    const unsigned char *p = (const unsigned char *)name;
    uint32_t first = p[0] | 0x20u;
    uint16_t last;
    memcpy(&last, p + n - 2, 2);
    return ((last | 0x2020u) * 0x29e821a5u + first * 0x855c3845u + (uint32_t)n * 0xd707107fu) >>
           24;
}

unsigned hdr_hash(str_t name)
{
    ASSERT(name.n >= 2, "the hash reads two bytes from the end");
    return hash(name.p, name.n);
}

// Differing bits of two words, but the case bit where `known`, made of letters and '-', has a
// letter.
static inline uint64_t differ(const char *p, const char *known, size_t n)
{
    uint64_t a = 0, b = 0;
    memcpy(&a, p, n);
    memcpy(&b, known, n);
    return (a ^ b) & ~((b & 0x4040404040404040u) >> 1);
}

static inline bool same_name(const char *p, const char *known, size_t n)
{
    if (n >= 8) {
        uint64_t bits = differ(p, known, 8) | differ(p + n - 8, known + n - 8, 8);
        for (size_t at = 8; at + 8 < n; at += 8)
            bits |= differ(p + at, known + at, 8);
        return bits == 0;
    }
    if (n >= 4)
        return (differ(p, known, 4) | differ(p + n - 4, known + n - 4, 4)) == 0;
    return (differ(p, known, 2) | differ(p + n - 2, known + n - 2, 2)) == 0;
}

hdr_id_t hdr_lookup(str_t name)
{
    if (name.n < 2)
        return HDR_OTHER;
    unsigned id = BY_HASH[hash(name.p, name.n)];
    if (id == HDR_OTHER || NAMES[id].n != name.n || !same_name(name.p, NAMES[id].p, name.n))
        return HDR_OTHER;
    return (hdr_id_t)id;
}

str_t hdr_name(hdr_id_t id)
{
    ASSERT(id > HDR_OTHER && id < HDR_COUNT, "only well-known names have a number");
    return NAMES[id];
}

void headers_grow(headers_t *h, arena_t *a)
{
    uint32_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
    ASSERT(cap > h->cap, "a header block with 2^31 lines");
    header_t *v = arena_alloc(a, cap * sizeof *v);
    if (h->n)
        memcpy(v, h->v, h->n * sizeof *v);
    h->v = v;
    h->cap = cap;
}

void headers_add(headers_t *h, arena_t *a, hdr_id_t id, str_t name, str_t value)
{
    ASSERT(id < HDR_COUNT, "no such field number");
    if (h->n == h->cap)
        headers_grow(h, a);
    if (!name.p)
        name = hdr_name(id);
    h->v[h->n] = (header_t){.name = name, .value = value, .id = (uint16_t)id};
    headers_note(h, &h->v[h->n++]);
}

// False when no line can match.
static inline bool may_have(const headers_t *h, hdr_id_t id, str_t name)
{
    return id != HDR_OTHER ? h->known >> id & 1 : h->others >> (name.n % 64) & 1;
}

static inline bool matches(const header_t *line, hdr_id_t id, str_t name)
{
    if (line->removed || line->id != id)
        return false;
    return id != HDR_OTHER || (line->name.n == name.n && str_ieq(line->name, name));
}

void headers_set(headers_t *h, arena_t *a, hdr_id_t id, str_t name, str_t value)
{
    const header_t *first = headers_find(h, id, name, 0);
    if (!first) {
        headers_add(h, a, id, name, value);
        return;
    }
    size_t at = (size_t)(first - h->v);
    headers_remove(h, id, name);
    h->v[at] =
        (header_t){.name = name.p ? name : hdr_name(id), .value = value, .id = (uint16_t)id};
}

uint32_t headers_remove(headers_t *h, hdr_id_t id, str_t name)
{
    uint32_t removed = 0;
    if (!may_have(h, id, name))
        return 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (matches(&h->v[i], id, name)) {
            h->v[i].removed = true;
            removed++;
        }
    }
    return removed;
}

const header_t *headers_find(const headers_t *h, hdr_id_t id, str_t name, uint32_t from)
{
    if (!may_have(h, id, name))
        return NULL;
    for (uint32_t i = from; i < h->n; i++) {
        if (matches(&h->v[i], id, name))
            return &h->v[i];
    }
    return NULL;
}

str_t headers_get(const headers_t *h, hdr_id_t id)
{
    ASSERT(id != HDR_OTHER, "only well-known names are found by number alone");
    const header_t *line = headers_find(h, id, (str_t){0}, 0);
    return line ? line->value : (str_t){0};
}

bool header_name_valid(str_t name)
{
    return name.n && scan_class(name.p, name.p + name.n, B_TOKEN) == name.p + name.n;
}

bool header_value_valid(str_t value)
{
    return value.n == 0 || scan_value(value.p, value.p + value.n) == value.p + value.n;
}

// ---- cookies ----

static bool cookie_in(str_t line, str_t name, str_t *value)
{
    while (line.n > 0) {
        ptrdiff_t end = str_chr(line, ';');
        str_t pair = str_trim(str_make(line.p, end < 0 ? line.n : (size_t)end));
        ptrdiff_t equals = str_chr(pair, '=');
        line = str_from_at(line, end < 0 ? line.n : (size_t)end + 1);
        if (equals < 0 || !str_eq(str_trim(str_make(pair.p, (size_t)equals)), name))
            continue;
        str_t v = str_trim(str_from_at(pair, (size_t)equals + 1));
        bool quoted = v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"';
        *value = quoted ? str_make(v.p + 1, v.n - 2) : v;
        return true;
    }
    return false;
}

bool headers_cookie(const headers_t *h, str_t name, str_t *value)
{
    const header_t *line = headers_find(h, HDR_COOKIE, STR(""), 0);
    while (line && !cookie_in(line->value, name, value))
        line = headers_find(h, HDR_COOKIE, STR(""), (uint32_t)(line - h->v) + 1);
    return line != NULL;
}

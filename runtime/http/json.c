// Members of objects and elements of arrays, found by the scanner. Duplicate keys are refused
// at the top level, because the next reader might take the other one.
#include "http/json.h"

#include "base/check.h"
#include "http/json_scan.h"

enum {
    FIRST_CAP = 16,
    PAIRWISE_MAX = 16, // compare each with each up to this many keys, hash above
    MEMBERS_MAX = 65536,
};

static int refuse(json_error_t *err, size_t at, const char *why)
{
    *err = (json_error_t){.at = at, .why = why};
    return -1;
}

static json_scan_t scan_of(str_t text)
{
    return (json_scan_t){.at = text.p, .end = text.p ? text.p + text.n : text.p};
}

static size_t offset(const json_scan_t *s, str_t text)
{
    return (size_t)(s->at - text.p);
}

int json_validate(str_t text, json_error_t *err)
{
    json_scan_t s = scan_of(text);
    uint32_t count;
    if (!json_scan_value(&s, &count))
        return refuse(err, offset(&s, text), s.why);
    json_skip_space(&s);
    return s.at == s.end ? 0 : refuse(err, offset(&s, text), "something after the value");
}

json_type_t json_value_type(str_t value)
{
    if (value.n == 0)
        return JSON_ABSENT;
    switch (value.p[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return value.p[0] == '-' || (value.p[0] >= '0' && value.p[0] <= '9') ? JSON_NUMBER
                                                                             : JSON_ABSENT;
    }
}

uint32_t json_count(str_t value)
{
    json_scan_t s = scan_of(value);
    uint32_t count;
    return json_scan_value(&s, &count) ? count : 0;
}

static bool scan_member(json_scan_t *s, json_member_t *m)
{
    *m = (json_member_t){0};
    if (!json_scan_key(s, &m->key, &m->key_escaped))
        return false;
    const char *start = s->at;
    if (!json_scan_value(s, &m->count))
        return false;
    m->value = str_make(start, (size_t)(s->at - start));
    m->type = (uint8_t)json_value_type(m->value);
    ASSERT(m->type != JSON_ABSENT, "a scanned value has a type");
    return true;
}

typedef struct list {
    arena_t *a;
    json_member_t *v;
    uint32_t n, cap;
} list_t;

static json_member_t *append(list_t *l)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : FIRST_CAP;
        json_member_t *v = arena_try_alloc(l->a, cap * sizeof *v);
        if (!v)
            return NULL;
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    return &l->v[l->n++];
}

// `at` behind the opening brace.
static bool scan_members(json_scan_t *s, list_t *l)
{
    if (json_scan_char(s, '}'))
        return true;
    do {
        json_member_t *m = l->n < MEMBERS_MAX ? append(l) : NULL;
        if (!m) {
            s->why = "too many members";
            return false;
        }
        if (!scan_member(s, m))
            return false;
    } while (json_scan_char(s, ','));
    if (json_scan_char(s, '}'))
        return true;
    s->why = "neither a comma nor the closing bracket";
    return false;
}

// The key as it compares: itself, or unescaped into `a`.
static str_t plain_key(const json_member_t *m, arena_t *a)
{
    if (!m->key_escaped)
        return m->key;
    str_t plain, quoted = str_make(m->key.p - 1, m->key.n + 2);
    ASSERT(json_string(quoted, a, &plain) == 0, "a scanned key is a string");
    return plain;
}

// Index of a key that came before, or UINT32_MAX.
static uint32_t duplicate_pairwise(const list_t *l)
{
    str_t keys[PAIRWISE_MAX];
    ASSERT(l->n <= PAIRWISE_MAX, "too many keys to compare each with each");
    for (uint32_t i = 0; i < l->n; i++) {
        keys[i] = plain_key(&l->v[i], l->a);
        for (uint32_t j = 0; j < i; j++) {
            if (keys[i].n == keys[j].n && str_eq(keys[i], keys[j]))
                return i;
        }
    }
    return UINT32_MAX;
}

// Open addressing at half load. The seed is an address: a peer who picks the keys does not know
// it.
static uint32_t duplicate_hashed(const list_t *l)
{
    uint32_t size = 1, result = UINT32_MAX;
    while (size < 2 * l->n)
        size *= 2;
    uint64_t seed = (uintptr_t)l->v ^ (uintptr_t)&size;
    str_t *keys = mem_zalloc(size * sizeof *keys);
    for (uint32_t i = 0; i < l->n && result == UINT32_MAX; i++) {
        str_t key = plain_key(&l->v[i], l->a);
        uint32_t at = (uint32_t)str_hash(key, seed) & (size - 1);
        while (keys[at].p && !str_eq(keys[at], key))
            at = (at + 1) & (size - 1);
        if (keys[at].p)
            result = i;
        keys[at] = key;
    }
    free(keys);
    return result;
}

int json_object(str_t text, arena_t *a, json_member_t **members, uint32_t *n, json_error_t *err)
{
    json_scan_t s = scan_of(text);
    list_t l = {.a = a};
    if (!json_scan_char(&s, '{'))
        return refuse(err, offset(&s, text), "not an object");
    s.outer = 1;
    if (!scan_members(&s, &l))
        return refuse(err, offset(&s, text), s.why);
    json_skip_space(&s);
    if (s.at != s.end)
        return refuse(err, offset(&s, text), "something after the value");
    uint32_t twice = l.n <= PAIRWISE_MAX ? duplicate_pairwise(&l) : duplicate_hashed(&l);
    if (twice != UINT32_MAX)
        return refuse(err, (size_t)(l.v[twice].key.p - text.p), "duplicate key");
    *members = l.v;
    *n = l.n;
    return 0;
}

bool json_get(str_t value, str_t name, str_t *out)
{
    json_scan_t s = scan_of(value);
    json_member_t m;
    if (!json_scan_char(&s, '{'))
        return false;
    do {
        if (!scan_member(&s, &m))
            return false;
        if (json_key_equal(m.key, m.key_escaped, name)) {
            *out = m.value;
            return true;
        }
    } while (json_scan_char(&s, ','));
    return false;
}

bool json_next(str_t *rest, str_t *element)
{
    json_scan_t s = scan_of(*rest);
    uint32_t count;
    bool first = json_scan_char(&s, '[');
    if (!first && !json_scan_char(&s, ','))
        return false;
    json_skip_space(&s);
    const char *start = s.at;
    if (!json_scan_value(&s, &count))
        return false; // the closing bracket of an empty array, usually
    *element = str_make(start, (size_t)(s.at - start));
    *rest = str_make(s.at, (size_t)(s.end - s.at));
    return true;
}

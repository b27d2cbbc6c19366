// Edits of an object's text without re-encoding it: what nobody touched is forwarded byte for
// byte. Invariant: edits are sorted by member, appended ones last in the order of their first
// set.
#include "http/json.h"

#include "base/check.h"
#include "http/json_scan.h"

enum { FIRST_EDITS = 8 };

int json_doc_open(json_doc_t *d, arena_t *a, str_t text, json_error_t *err)
{
    json_doc_t doc = {.text = text};
    if (json_object(text, a, &doc.members, &doc.n_members, err) != 0)
        return -1;
    doc.open = (size_t)str_chr(text, '{');
    doc.close = text.n - 1;
    while (text.p[doc.close] != '}')
        doc.close--;
    *d = doc;
    return 0;
}

const json_member_t *json_doc_find(const json_doc_t *d, str_t name)
{
    for (uint32_t i = 0; i < d->n_members; i++) {
        if (json_key_equal(d->members[i].key, d->members[i].key_escaped, name))
            return &d->members[i];
    }
    return NULL;
}

// Where an edit of that member (or appended name) is, or where it belongs.
static uint32_t edit_index(const json_doc_t *d, uint32_t member, str_t key, bool *there)
{
    uint32_t i = 0;
    while (i < d->n_edits && d->edits[i].member < member)
        i++;
    if (member == UINT32_MAX) {
        while (i < d->n_edits && !str_eq(d->edits[i].key, key))
            i++;
    }
    *there = i < d->n_edits && d->edits[i].member == member;
    return i;
}

static void insert(json_doc_t *d, arena_t *a, uint32_t at, json_edit_t edit)
{
    if (d->n_edits == d->cap_edits) {
        uint32_t cap = d->cap_edits ? d->cap_edits * 2 : FIRST_EDITS;
        json_edit_t *edits = arena_alloc(a, cap * sizeof *edits);
        if (d->n_edits)
            memcpy(edits, d->edits, d->n_edits * sizeof *edits);
        d->edits = edits;
        d->cap_edits = cap;
    }
    ASSERT(at <= d->n_edits, "an edit beyond the end of the list");
    memmove(d->edits + at + 1, d->edits + at, (d->n_edits - at) * sizeof *d->edits);
    d->edits[at] = edit;
    d->n_edits++;
}

// An appended key is kept as it will be written, so that it goes out as one slice.
static str_t written_key(arena_t *a, str_t name)
{
    char *text = arena_alloc(a, name.n + 4);
    memcpy(text, ",\"", 2);
    memcpy(text + 2, name.p, name.n);
    memcpy(text + 2 + name.n, "\":", 2);
    return str_make(text + 2, name.n);
}

static void put_edit(json_doc_t *d, arena_t *a, str_t name, str_t raw)
{
    const json_member_t *m = json_doc_find(d, name);
    uint32_t member = m ? (uint32_t)(m - d->members) : UINT32_MAX;
    bool there;
    uint32_t at = edit_index(d, member, name, &there);
    if (there) {
        d->edits[at].value = raw;
    } else if (m || raw.p) {
        str_t key = m ? (str_t){0} : written_key(a, name);
        insert(d, a, at, (json_edit_t){.member = member, .key = key, .value = raw});
    }
}

bool json_doc_get(const json_doc_t *d, str_t name, str_t *raw)
{
    const json_member_t *m = json_doc_find(d, name);
    bool there;
    uint32_t at = edit_index(d, m ? (uint32_t)(m - d->members) : UINT32_MAX, name, &there);
    str_t value = there ? d->edits[at].value : m ? m->value : (str_t){0};
    if (value.p)
        *raw = value;
    return value.p != NULL;
}

static bool is_plain(str_t name)
{
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] < 0x20 || (unsigned char)name.p[i] > 0x7e ||
            name.p[i] == '"' || name.p[i] == '\\')
            return false;
    }
    return true;
}

int json_doc_set(json_doc_t *d, arena_t *a, str_t name, str_t raw)
{
    json_scan_t s = {.at = raw.p, .end = raw.p ? raw.p + raw.n : raw.p, .outer = 1};
    uint32_t count;
    json_skip_space(&s);
    const char *start = s.at;
    if (!is_plain(name) || !json_scan_value(&s, &count))
        return -1;
    str_t value = str_make(start, (size_t)(s.at - start));
    json_skip_space(&s);
    if (s.at != s.end)
        return -1;
    put_edit(d, a, name, arena_dup(a, value));
    return 0;
}

void json_doc_remove(json_doc_t *d, arena_t *a, str_t name)
{
    put_edit(d, a, name, (str_t){0});
}

uint32_t json_doc_max_slices(const json_doc_t *d)
{
    return 2 + 3 * d->n_edits;
}

typedef struct writer {
    str_t *out;
    uint32_t n, max;
    size_t total;
} writer_t;

// Appends a slice, or lengthens the last one when they touch.
static void emit(writer_t *w, const char *p, size_t n)
{
    w->total += n;
    if (n == 0)
        return;
    if (w->n && w->out[w->n - 1].p + w->out[w->n - 1].n == p) {
        w->out[w->n - 1].n += n;
        return;
    }
    ASSERT(w->n < w->max, "more slices than json_doc_max_slices promised");
    w->out[w->n++] = str_make(p, n);
}

static const char *key_start(const json_member_t *m)
{
    return m->key.p - 1;
}

static const char *value_end(const json_member_t *m)
{
    return m->value.p + m->value.n;
}

// One kept member: what stands before it in the text when its neighbour was kept too, else a
// comma.
static void emit_member(writer_t *w, const json_doc_t *d, uint32_t i, const char *written_to,
                        const json_edit_t *edit, bool first)
{
    const json_member_t *m = &d->members[i];
    const char *before = i ? value_end(m - 1) : d->text.p + d->open + 1;
    if (written_to == before)
        emit(w, before, (size_t)(key_start(m) - before));
    else if (!first)
        emit(w, ",", 1);
    emit(w, key_start(m), (size_t)(m->value.p - key_start(m)));
    emit(w, edit ? edit->value.p : m->value.p, edit ? edit->value.n : m->value.n);
}

uint32_t json_doc_slices(const json_doc_t *d, str_t *out, size_t *total)
{
    writer_t w = {.out = out, .max = json_doc_max_slices(d)};
    const char *written_to = d->text.p + d->open + 1;
    bool first = true;
    uint32_t e = 0;
    emit(&w, d->text.p, d->open + 1);
    for (uint32_t i = 0; i < d->n_members; i++) {
        const json_edit_t *edit =
            e < d->n_edits && d->edits[e].member == i ? &d->edits[e++] : NULL;
        if (edit && !edit->value.p)
            continue;
        emit_member(&w, d, i, written_to, edit, first);
        written_to = value_end(&d->members[i]);
        first = false;
    }
    for (; e < d->n_edits; e++) {
        if (!d->edits[e].value.p)
            continue;
        emit(&w, d->edits[e].key.p - 2 + first, d->edits[e].key.n + 4 - first);
        emit(&w, d->edits[e].value.p, d->edits[e].value.n);
        first = false;
        written_to = NULL;
    }
    const char *close = d->text.p + d->close;
    const char *last =
        d->n_members ? value_end(&d->members[d->n_members - 1]) : d->text.p + d->open + 1;
    const char *from = written_to == last ? last : close;
    emit(&w, from, (size_t)(d->text.p + d->text.n - from));
    *total = w.total;
    return w.n;
}

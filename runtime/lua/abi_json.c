// The FFI functions over the body as a lazy JSON document (abi.h): members are found, read and replaced as text.
// Invariant: the document is over the buffered body or over the body that a plugin put in its place; edits splice.
#include "lua/bridge.h"

#include <stdio.h>

// Where `name` is now: its raw text with edits applied; false when absent.
static bool current_value(const json_doc_t *d, str_t name, str_t *raw)
{
    const json_member_t *m = json_doc_find(d, name);
    uint32_t index = m ? (uint32_t)(m - d->members) : UINT32_MAX;
    for (uint32_t i = 0; i < d->n_edits; i++) {
        const json_edit_t *e = &d->edits[i];
        if (e->member == index && (m || str_eq(e->key, name))) {
            *raw = e->value;
            return e->value.p != NULL;
        }
    }
    if (m)
        *raw = m->value;
    return m != NULL;
}

static int32_t find(const char *name, uint64_t name_n, str_t *raw)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    if (!r->doc)
        return MG_NOT_OPEN;
    return current_value(r->doc, str_make(name, name_n), raw) ? MG_OK : MG_ABSENT;
}

static void give(mg_str_t *out, str_t s)
{
    out->p = s.p;
    out->n = s.n;
}

int32_t mg_json_open(mg_str_t *why)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    if (r->doc)
        return MG_OK;
    json_error_t err = {.at = 0, .why = "the body has not been read"};
    json_doc_t *d = arena_zalloc(&r->arena, sizeof *d);
    if (!r->new_body.p && !r->body.complete) {
        give(why, str_from(err.why));
        return MG_FAILED;
    }
    if (json_doc_open(d, &r->arena, request_body_text(r), &err) != 0) {
        give(why, arena_printf(&r->arena, "%s at byte %zu", err.why, err.at));
        return MG_FAILED;
    }
    r->doc = d;
    return MG_OK;
}

static uint32_t count_of(str_t raw)
{
    uint32_t n = 0;
    str_t rest = raw, element;
    while (json_next(&rest, &element))
        n++;
    return n;
}

int32_t mg_json_find(const char *name, uint64_t name_n, mg_str_t *raw, uint32_t *count)
{
    str_t value;
    int32_t rc = find(name, name_n, &value);
    if (rc != MG_OK)
        return rc;
    give(raw, value);
    const json_doc_t *d = current_request()->doc;
    const json_member_t *m = json_doc_find(d, str_make(name, name_n));
    json_type_t type = json_value_type(value);
    bool original = m && m->value.p == value.p;
    *count = original ? m->count : type == JSON_ARRAY ? count_of(value) : 0;
    return (int32_t)type;
}

int32_t mg_json_string(const char *name, uint64_t name_n, mg_str_t *out)
{
    str_t value;
    int32_t rc = find(name, name_n, &value);
    if (rc != MG_OK)
        return rc;
    str_t text;
    if (json_string(value, &current_request()->arena, &text) != 0)
        return MG_ABSENT;
    give(out, text.p ? text : STR(""));
    return MG_OK;
}

int32_t mg_json_member(const char *name, uint64_t name_n, const char *key, uint64_t key_n,
                       mg_str_t *out)
{
    str_t value, member;
    int32_t rc = find(name, name_n, &value);
    if (rc != MG_OK)
        return rc;
    if (!json_get(value, str_make(key, key_n), &member))
        return MG_ABSENT;
    give(out, member);
    return MG_OK;
}

// From now on the edited document is the body.
static json_doc_t *edited(int32_t *rc)
{
    request_t *r = current_request();
    *rc = !r ? MG_NO_REQUEST : !r->doc ? MG_NOT_OPEN : MG_OK;
    if (*rc != MG_OK)
        return NULL;
    r->new_body = str_make(NULL, 0);
    return r->doc;
}

int32_t mg_json_set(const char *name, uint64_t name_n, const char *raw, uint64_t raw_n)
{
    int32_t rc;
    json_doc_t *d = edited(&rc);
    if (d)
        json_doc_set(d, &current_request()->arena, str_make(name, name_n),
                     str_make(raw, raw_n));
    return rc;
}

int32_t mg_json_remove(const char *name, uint64_t name_n)
{
    int32_t rc;
    json_doc_t *d = edited(&rc);
    if (d)
        json_doc_remove(d, &current_request()->arena, str_make(name, name_n));
    return rc;
}

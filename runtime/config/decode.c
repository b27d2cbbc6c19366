// Table-driven reading of JSON objects; see decode.h. JSON itself is http/json's.
#include "config/decode.h"

#include "base/check.h"
#include "config/generation.h"
#include "http/json.h"

#include <stdarg.h>
#include <stdio.h>

int decoder_fail(decoder_t *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (d->why_cap)
        vsnprintf(d->why, d->why_cap, fmt, ap);
    va_end(ap);
    return -1;
}

str_t lower_dup(arena_t *a, str_t s)
{
    size_t at = 0;
    while (at < s.n && ascii_lower(s.p[at]) == s.p[at])
        at++;
    if (at == s.n)
        return s;
    char *p = arena_alloc(a, s.n);
    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    return str_make(p, s.n);
}

int decode_string(decoder_t *d, str_t value, str_t *out)
{
    if (value.n < 2 || value.p[0] != '"')
        return decoder_fail(d, "a string was expected, not %.*s",
                            (int)(value.n < 40 ? value.n : 40), value.p);
    str_t inside = str_make(value.p + 1, value.n - 2);
    if (str_chr(inside, '\\') < 0) {
        *out = inside;
        return 0;
    }
    if (json_string(value, d->keep, out) != 0)
        return decoder_fail(d, "not a JSON string: %.*s", (int)(value.n < 40 ? value.n : 40),
                            value.p);
    return 0;
}

int decode_strings(decoder_t *d, str_t array, strs_t *out)
{
    str_t rest = array, element;
    uint32_t n = 0;
    if (json_value_type(array) == JSON_NULL)
        return 0;
    if (json_value_type(array) != JSON_ARRAY)
        return decoder_fail(d, "an array was expected");
    while (json_next(&rest, &element))
        n++;
    strs_t list = {.v = n ? arena_alloc(d->keep, n * sizeof(str_t)) : NULL};
    rest = array;
    while (json_next(&rest, &element)) {
        ASSERT(list.n < n, "an array has as many elements the second time");
        if (decode_string(d, element, &list.v[list.n++]) != 0)
            return -1;
    }
    *out = list;
    return 0;
}

static int read_integer(decoder_t *d, str_t value, uint64_t max, uint64_t *out)
{
    double number;
    if (str_to_u64(value, out) == 0 && *out <= max)
        return 0;
    // Lua may write a whole number with a fraction or an exponent (1e+05).
    if (json_number(value, &number) == 0 && number >= 0 && number <= (double)max &&
        number == (double)(uint64_t)number) {
        *out = (uint64_t)number;
        return 0;
    }
    return decoder_fail(d, "a whole number up to %llu was expected, not %.*s",
                        (unsigned long long)max, (int)(value.n < 40 ? value.n : 40), value.p);
}

static int read_bool(decoder_t *d, str_t value, bool *out)
{
    json_type_t type = json_value_type(value);
    if (type != JSON_TRUE && type != JSON_FALSE)
        return decoder_fail(d, "true or false was expected");
    *out = type == JSON_TRUE;
    return 0;
}

static int read_protocols(decoder_t *d, str_t value, uint8_t *out)
{
    strs_t names = {0};
    uint8_t bits = 0;
    if (decode_strings(d, value, &names) != 0)
        return -1;
    for (uint32_t i = 0; i < names.n; i++) {
        if (str_eq(names.v[i], STR("http")))
            bits |= PROTO_HTTP;
        else if (str_eq(names.v[i], STR("https")))
            bits |= PROTO_HTTPS;
    }
    *out = bits;
    return 0;
}

static int read_field(decoder_t *d, field_kind_t kind, str_t value, void *at)
{
    uint64_t number = 0;
    bool flag = false;
    switch (kind) {
    case FIELD_STR:
        return decode_string(d, value, at);
    case FIELD_LOWER:
        if (decode_string(d, value, at) != 0)
            return -1;
        *(str_t *)at = lower_dup(d->keep, *(str_t *)at);
        return 0;
    case FIELD_RAW:
        *(str_t *)at = value;
        return 0;
    case FIELD_U16:
        if (read_integer(d, value, UINT16_MAX, &number) != 0)
            return -1;
        *(uint16_t *)at = (uint16_t)number;
        return 0;
    case FIELD_U32:
        if (read_integer(d, value, UINT32_MAX, &number) != 0)
            return -1;
        *(uint32_t *)at = (uint32_t)number;
        return 0;
    case FIELD_NUMBER:
        if (json_number(value, at) != 0)
            return decoder_fail(d, "a number was expected");
        return 0;
    case FIELD_BOOL:
        return read_bool(d, value, at);
    case FIELD_TRISTATE:
        if (read_bool(d, value, &flag) != 0)
            return -1;
        *(int8_t *)at = flag;
        return 0;
    case FIELD_INDEX:
        if (read_integer(d, value, INT32_MAX, &number) != 0)
            return -1;
        *(int32_t *)at = (int32_t)number - 1;
        return 0;
    case FIELD_STRS:
        return decode_strings(d, value, at);
    case FIELD_PROTOCOLS:
        return read_protocols(d, value, at);
    }
    UNREACHABLE("every kind of field is handled");
}

static const field_row_t *row_find(const field_row_t *rows, unsigned n_rows, str_t name)
{
    for (unsigned i = 0; i < n_rows; i++) {
        if (rows[i].name[0] == name.p[0] && str_eq(str_from(rows[i].name), name))
            return &rows[i];
    }
    return NULL;
}

int decode_object(decoder_t *d, str_t object, const field_row_t *rows, unsigned n_rows,
                  void *into)
{
    json_member_t *members;
    uint32_t n;
    json_error_t err;
    if (json_object(object, d->scratch, &members, &n, &err) != 0)
        return decoder_fail(d, "%s", err.why);
    for (uint32_t i = 0; i < n; i++) {
        const json_member_t *m = &members[i];
        if (m->type == JSON_NULL || m->key.n == 0)
            continue;
        const field_row_t *row = row_find(rows, n_rows, m->key);
        if (row && read_field(d, row->kind, m->value, (char *)into + row->at) != 0) {
            char inner[160];
            snprintf(inner, sizeof inner, "%s", d->why_cap ? d->why : "");
            return decoder_fail(d, "%s: %s", row->name, inner);
        }
    }
    return 0;
}

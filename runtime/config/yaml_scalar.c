// The YAML 1.2 core schema (10.3.2): plain scalars become null, bool or number if they look like it.
#include "config/yaml_scalar.h"

#include <stdio.h>
#include <stdlib.h>

static bool any_of(str_t text, const char *const *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(text, str_from(words[i])))
            return true;
    }
    return false;
}

static bool is_null(str_t text)
{
    static const char *const words[] = {"null", "Null", "NULL", "~"};
    return text.n == 0 || any_of(text, words, 4);
}

static bool read_bool(str_t text, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};
    *out = any_of(text, yes, 3);
    return *out || any_of(text, no, 3);
}

static size_t digits(str_t text, size_t at)
{
    size_t from = at;
    while (at < text.n && text.p[at] >= '0' && text.p[at] <= '9')
        at++;
    return at - from;
}

// 0x1f and 0o17.
static bool read_based(str_t text, double *out)
{
    unsigned base = text.n > 2 && text.p[0] == '0' ? (text.p[1] == 'x'   ? 16
                                                      : text.p[1] == 'o' ? 8
                                                                         : 0)
                                                   : 0;
    double value = 0;
    if (base == 0)
        return false;
    for (size_t i = 2; i < text.n; i++) {
        char c = ascii_lower(text.p[i]);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 99;
        if (digit >= base)
            return false;
        value = value * base + digit;
    }
    *out = value;
    return true;
}

// [-+]? ( . digits | digits ( . digits? )? ) ( e [-+]? digits )?
static bool is_decimal(str_t text)
{
    size_t at = text.n && (text.p[0] == '-' || text.p[0] == '+');
    size_t whole = digits(text, at);
    at += whole;
    if (at < text.n && text.p[at] == '.') {
        size_t part = digits(text, at + 1);
        if (whole + part == 0)
            return false;
        at += 1 + part;
    } else if (whole == 0) {
        return false;
    }
    if (at < text.n && (text.p[at] == 'e' || text.p[at] == 'E')) {
        at++;
        at += at < text.n && (text.p[at] == '-' || text.p[at] == '+');
        size_t exponent = digits(text, at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == text.n;
}

static bool read_number(str_t text, double *out)
{
    char copy[64];
    if (read_based(text, out))
        return true;
    if (text.n >= sizeof copy || !is_decimal(text))
        return false;
    snprintf(copy, sizeof copy, "%.*s", STR_FMT(text));
    double value = strtod(copy, NULL);
    if (value - value != 0)
        return false; // 1e999: not a number that anyone could mean
    *out = value;
    return true;
}

static bool set_string(yaml_value_t *out, str_t text)
{
    out->kind = YAML_VALUE_STRING;
    out->text = text;
    return true;
}

static bool resolve_tagged(str_t text, str_t tag, yaml_value_t *out)
{
    if (str_eq(tag, STR("null"))) {
        out->kind = YAML_VALUE_NULL;
        return is_null(text);
    }
    if (str_eq(tag, STR("bool"))) {
        out->kind = YAML_VALUE_BOOL;
        return read_bool(text, &out->boolean);
    }
    out->kind = YAML_VALUE_NUMBER;
    bool whole = str_eq(tag, STR("int"));
    return read_number(text, &out->number) &&
           !(whole && out->number != (double)(int64_t)out->number);
}

bool yaml_scalar_resolve(str_t text, bool plain, str_t tag, yaml_value_t *out)
{
    if (tag.n && !str_eq(tag, STR("str")))
        return resolve_tagged(text, tag, out);
    if (tag.n || !plain)
        return set_string(out, text);
    if (is_null(text))
        out->kind = YAML_VALUE_NULL;
    else if (read_bool(text, &out->boolean))
        out->kind = YAML_VALUE_BOOL;
    else if (read_number(text, &out->number))
        out->kind = YAML_VALUE_NUMBER;
    else
        return set_string(out, text);
    return true;
}

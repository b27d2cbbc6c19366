// llhttp in strict mode as second opinion: what our head parsers accept, it must accept, with
// the same method, target, fields and framing. (Ours may refuse more.) Shared by the unit tests
// and the fuzz targets.
#pragma once

#include "base/check.h"
#include "http/head.h"

#include <llhttp.h>

enum { ORACLE_FIELDS = 512 };

typedef struct oracle {
    llhttp_t parser;
    str_t url;
    str_t name[ORACLE_FIELDS], value[ORACLE_FIELDS];
    unsigned n;
    bool in_value, complete;
    uint16_t flags;
    uint64_t length;
    bool keep_alive;
} oracle_t;

static void oracle_extend(str_t *s, const char *p, size_t n)
{
    *s = s->p ? str_make(s->p, (size_t)(p + n - s->p)) : str_make(p, n);
}

static int oracle_url(llhttp_t *l, const char *p, size_t n)
{
    oracle_extend(&((oracle_t *)l->data)->url, p, n);
    return 0;
}

static int oracle_name(llhttp_t *l, const char *p, size_t n)
{
    oracle_t *o = l->data;
    if (o->in_value || o->n == 0) {
        ASSERT(o->n < ORACLE_FIELDS, "more fields than the oracle holds");
        o->name[o->n] = o->value[o->n] = (str_t){0};
        o->n++;
        o->in_value = false;
    }
    oracle_extend(&o->name[o->n - 1], p, n);
    return 0;
}

static int oracle_value(llhttp_t *l, const char *p, size_t n)
{
    oracle_t *o = l->data;
    o->in_value = true;
    oracle_extend(&o->value[o->n - 1], p, n);
    return 0;
}

static int oracle_value_done(llhttp_t *l)
{
    ((oracle_t *)l->data)->in_value = true;
    return 0;
}

static int oracle_done(llhttp_t *l)
{
    oracle_t *o = l->data;
    o->complete = true;
    o->flags = l->flags;
    o->length = l->content_length;
    o->keep_alive = llhttp_should_keep_alive(l) != 0;
    return HPE_PAUSED;
}

// True when llhttp takes p[0..n) as a whole head.
static bool oracle_parse(oracle_t *o, llhttp_type_t type, const char *p, size_t n)
{
    static llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = oracle_url;
    settings.on_header_field = oracle_name;
    settings.on_header_value = oracle_value;
    settings.on_header_value_complete = oracle_value_done;
    settings.on_headers_complete = oracle_done;
    *o = (oracle_t){0};
    llhttp_init(&o->parser, type, &settings);
    o->parser.data = o;
    llhttp_errno_t error = llhttp_execute(&o->parser, p, n);
    return (error == HPE_OK || error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE) &&
           o->complete;
}

// NULL when the fields agree, else what differs.
static const char *oracle_fields_differ(const oracle_t *o, const headers_t *h)
{
    if (o->n != h->n)
        return "the number of fields";
    for (uint32_t i = 0; i < h->n; i++) {
        if (!str_eq(o->name[i], h->v[i].name))
            return "a field name";
        if (!str_eq(str_trim(o->value[i]), h->v[i].value))
            return "a field value";
    }
    return NULL;
}

static const char *oracle_framing_differs(const oracle_t *o, body_kind_t body, uint64_t length)
{
    bool chunked = (o->flags & F_CHUNKED) != 0, counted = (o->flags & F_CONTENT_LENGTH) != 0;
    if (chunked != (body == BODY_CHUNKED))
        return "chunked or not";
    if (body == BODY_LENGTH && (!counted || o->length != length))
        return "the length";
    if ((body == BODY_NONE || body == BODY_TO_EOF) && counted && o->length != 0)
        return "whether there is a body";
    return NULL;
}

// llhttp 8 takes no HTAB round a Content-Length, though it is optional white space (llhttp 9
// does): show it SP.
static void oracle_blank_tabs(char *copy, const char *p, ptrdiff_t moved, const headers_t *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].id != HDR_CONTENT_LENGTH)
            continue;
        char *start = copy + (h->v[i].value.p - p) + moved, *end = start + h->v[i].value.n;
        while (start[-1] == '\t' || start[-1] == ' ')
            *--start = ' ';
        while (*end == '\t' || *end == ' ')
            *end++ = ' ';
    }
}

// Proxy-Connection, which no RFC knows, is Connection to llhttp and nothing to us.
static bool oracle_persistence_differs(const oracle_t *o, bool keep_alive, const headers_t *h)
{
    return keep_alive && !o->keep_alive &&
           !headers_find(h, HDR_PROXY_CONNECTION, (str_t){0}, 0);
}

// `r` is what we made of p[0..n). llhttp knows a fixed list of methods: for METHOD_OTHER it is
// shown GET instead.
static inline const char *oracle_request_differs(const request_head_t *r, const char *p,
                                                 size_t n)
{
    oracle_t *o = malloc(sizeof *o);
    char *copy = malloc(n + 3);
    const char *result;
    size_t skip = r->method == METHOD_OTHER ? r->method_name.n : 0;
    memcpy(copy, "GET", 3);
    memcpy(copy + (skip ? 3 : 0), p + skip, n - skip);
    oracle_blank_tabs(copy, p, skip ? 3 - (ptrdiff_t)skip : 0, &r->headers);
    n = n - skip + (skip ? 3 : 0);
    if (!oracle_parse(o, HTTP_REQUEST, copy, n))
        result = "acceptance";
    else if (!skip && !str_eq(str_from(llhttp_method_name(o->parser.method)), r->method_name))
        result = "the method";
    else if (!str_eq(o->url, r->target))
        result = "the target";
    else if (o->parser.http_major != 1 || o->parser.http_minor != r->minor)
        result = "the version";
    else if (oracle_persistence_differs(o, r->keep_alive, &r->headers))
        result = "persistence";
    else if (!(result = oracle_fields_differ(o, &r->headers)))
        result = oracle_framing_differs(o, r->body, r->content_length);
    free(copy);
    free(o);
    return result;
}

// `r` is what we made of p[0..n) as the answer to a GET.
static inline const char *oracle_response_differs(const response_head_t *r, const char *p,
                                                  size_t n)
{
    for (uint32_t i = 0; i < r->headers.n; i++) {
        if (r->headers.v[i].removed)
            return NULL; // one Content-Length said twice: refused by llhttp, taken once by us
    }
    oracle_t *o = malloc(sizeof *o);
    char *copy = malloc(n + 1);
    const char *result;
    memcpy(copy, p, n);
    oracle_blank_tabs(copy, p, 0, &r->headers);
    bool bodiless = r->status < 200 || r->status == 204 || r->status == 304;
    if (!oracle_parse(o, HTTP_RESPONSE, copy, n))
        result = "acceptance";
    else if (o->parser.status_code != r->status || o->parser.http_minor != r->minor)
        result = "the status line";
    else if (oracle_persistence_differs(o, r->keep_alive, &r->headers))
        result = "persistence";
    else if (!(result = oracle_fields_differ(o, &r->headers)) && !bodiless)
        result = oracle_framing_differs(o, r->body, r->content_length);
    free(copy);
    free(o);
    return result;
}

// The gateway's own error answers: Kong's texts, in the media type that Accept asks for.
#include "base/check.h"
#include "core/exchange.h"
#include "core/respond.h"

typedef struct message_row {
    unsigned status;
    const char *text;
} message_row_t;

static const message_row_t MESSAGES[] = {
    {400, "Bad request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not found"},
    {405, "Method not allowed"},
    {408, "Request timeout"},
    {411, "Length required"},
    {412, "Precondition failed"},
    {413, "Payload too large"},
    {414, "URI too long"},
    {417, "Expectation failed"},
    {426, "Upgrade required"},
    {429, "Too many requests"},
    {431, "Request header or cookie too large"},
    {500, "An unexpected error occurred"},
    {501, "Not implemented"},
    {502, "An invalid response was received from the upstream server"},
    {503, "The upstream server is currently unavailable"},
    {504, "The upstream server is timing out"},
    {505, "HTTP version not supported"},
};

const char *respond_message(unsigned status)
{
    for (size_t i = 0; i < sizeof MESSAGES / sizeof MESSAGES[0]; i++) {
        if (MESSAGES[i].status == status)
            return MESSAGES[i].text;
    }
    return "The upstream server responded with an error";
}

typedef enum form { FORM_JSON, FORM_PLAIN, FORM_HTML, FORM_XML } form_t;

typedef struct form_row {
    const char *media_type;
    form_t form;
} form_row_t;

static const form_row_t FORMS[] = {
    {"application/json", FORM_JSON},
    {"application/*", FORM_JSON},
    {"*/*", FORM_JSON},
    {"text/plain", FORM_PLAIN},
    {"text/*", FORM_PLAIN},
    {"text/html", FORM_HTML},
    {"application/xml", FORM_XML},
    {"text/xml", FORM_XML},
    {"application/xhtml+xml", FORM_HTML},
};

// A quality value in thousandths (RFC 9110 12.4.2); 1000 when there is none.
static unsigned quality(str_t params)
{
    ptrdiff_t at = str_find(params, STR("q="));
    if (at < 0)
        return 1000;
    str_t q = str_from_at(params, (size_t)at + 2);
    unsigned value = q.n && q.p[0] == '1' ? 1000 : 0, scale = 100;
    for (size_t i = 2; i < q.n && q.p[i] >= '0' && q.p[i] <= '9' && value < 1000;
         i++, scale /= 10)
        value += (unsigned)(q.p[i] - '0') * scale;
    return value;
}

static int form_of(str_t media_type)
{
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if (str_ieq(media_type, str_from(FORMS[i].media_type)))
            return (int)FORMS[i].form;
    }
    return -1;
}

static form_t form_for(const request_t *r)
{
    str_t rest = headers_get(&r->head.headers, HDR_ACCEPT), item;
    unsigned best = 0;
    form_t form = FORM_JSON;
    while (str_list_next(&rest, &item)) {
        ptrdiff_t semi = str_chr(item, ';');
        str_t type = str_trim(semi < 0 ? item : str_make(item.p, (size_t)semi));
        unsigned q = semi < 0 ? 1000 : quality(str_from_at(item, (size_t)semi));
        int found = form_of(type);
        if (found >= 0 && q > best) {
            best = q;
            form = (form_t)found;
        }
    }
    return form;
}

static str_t content_type(form_t form)
{
    switch (form) {
    case FORM_PLAIN:
        return STR("text/plain; charset=utf-8");
    case FORM_HTML:
        return STR("text/html; charset=utf-8");
    case FORM_XML:
        return STR("application/xml; charset=utf-8");
    case FORM_JSON:
        break;
    }
    return STR("application/json; charset=utf-8");
}

static void append_markup(buf_t *b, str_t text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '<')
            buf_append(b, STR("&lt;"));
        else if (text.p[i] == '&')
            buf_append(b, STR("&amp;"));
        else
            buf_putc(b, text.p[i]);
    }
}

static void error_body(buf_t *b, form_t form, const char *message, const char *id)
{
    str_t text = str_from(message);
    switch (form) {
    case FORM_JSON:
        buf_append(b, STR("{\n  \"message\":\""));
        buf_append_json(b, text);
        buf_printf(b, "\",\n  \"request_id\":\"%s\"\n}", id);
        break;
    case FORM_PLAIN:
        buf_printf(b, "%s\nrequest_id: %s\n", message, id);
        break;
    case FORM_HTML:
        buf_append(
            b,
            STR("<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n"
                "    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>"));
        append_markup(b, text);
        buf_printf(b, ".</p>\n    <p>request_id: %s</p>\n  </body>\n</html>\n", id);
        break;
    case FORM_XML:
        buf_append(b, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>"));
        append_markup(b, text);
        buf_printf(b, "</message>\n  <requestid>%s</requestid>\n</error>\n", id);
        break;
    }
}

static bool closes(unsigned status)
{
    return status == 400 || status == 408 || status == 413 || status == 414 || status == 431 ||
           status == 501 || status == 505;
}

static void answer(request_t *r, unsigned status, const char *message, response_source_t source)
{
    ASSERT(status >= 400 && status < 600, "an error has an error status");
    if (r->head_sent) {
        respond_abort(r, message ? message : respond_message(status));
        return;
    }
    request_hold(r);
    exchange_detach(r);
    if (r->source != SOURCE_NONE || r->upstream_status)
        r->headers.n = 0; // nothing of a response that failed half-way
    r->length_known = false;
    r->source = source;
    r->close_after |=
        closes(status) && (r->body.err || !r->body.complete || r->state == REQ_HEAD);
    form_t form = form_for(r);
    buf_t body = {0};
    error_body(&body, form, message ? message : respond_message(status), r->id);
    headers_set(&r->headers, &r->arena, HDR_CONTENT_TYPE, hdr_name(HDR_CONTENT_TYPE),
                content_type(form));
    if (respond_begin(r, status, body.n) == 0 && respond_body(r, buf_str(&body)) == 0)
        respond_end(r);
    buf_dispose(&body);
    request_drop(r);
}

void respond_error(request_t *r, unsigned status, const char *message)
{
    answer(r, status, message, SOURCE_ERROR);
}

void respond_refusal(request_t *r, unsigned status, const char *message)
{
    answer(r, status, message, SOURCE_EXIT);
}

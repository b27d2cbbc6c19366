// The sources of hashes; see hash_key.h. Equal requests get equal hashes in every worker and on every node: no seed here is random.
#include "core/hash_key.h"

#include <stdio.h>

#include "base/check.h"
#include "core/respond.h"
#include "http/uri.h"
#include "io/crypto.h"

static const uint64_t SEED = 0x68617368;

enum { KEY_TEXT = 17 }; // 16 digits and a NUL

static bool of_text(str_t text, uint64_t *out)
{
    if (text.n == 0)
        return false;
    *out = str_hash(text, SEED);
    return true;
}

static bool of_consumer(const request_t *r, uint64_t *out)
{
    if (r->consumer < 0)
        return false;
    ASSERT((uint32_t)r->consumer < r->gen->n_consumers, "a consumer of the generation");
    return of_text(r->gen->consumers[r->consumer].id, out);
}

// All lines of that name count, in their order.
static bool of_header(const request_t *r, str_t name, uint64_t *out)
{
    const headers_t *h = &r->head.headers;
    hdr_id_t id = hdr_lookup(name);
    uint64_t hash = SEED;
    bool any = false;
    for (const header_t *line = headers_find(h, id, name, 0); line;
         line = headers_find(h, id, name, (uint32_t)(line - h->v) + 1)) {
        any |= line->value.n > 0;
        hash = str_hash(line->value, hash);
    }
    *out = hash;
    return any;
}

static void set_cookie(request_t *r, str_t name, str_t value, str_t path)
{
    str_t line = arena_printf(&r->arena, "%.*s=%.*s; Path=%.*s", STR_FMT(name), STR_FMT(value),
                              STR_FMT(path));
    respond_header_add(r, STR("Set-Cookie"),
                       line); // refused once the head is out: then it is too late
}

static bool of_cookie(request_t *r, const upstream_t *u, uint64_t *out)
{
    str_t value;
    if (u->cookie.n == 0)
        return false;
    if (headers_cookie(&r->head.headers, u->cookie, &value) && of_text(value, out))
        return true;
    value = str_make(r->id, 32); // as good as any, and new for each client
    set_cookie(r, u->cookie, value, u->cookie_path);
    return of_text(value, out);
}

static bool of_argument(const request_t *r, str_t name, uint64_t *out)
{
    str_t value;
    return r->up.query.p && query_get(r->up.query, name, &value, NULL) && of_text(value, out);
}

// By name, or by number as in the regex.
static bool of_capture(const request_t *r, str_t name, uint64_t *out)
{
    const route_match_t *m = r->captured;
    uint64_t number;
    bool numbered = str_to_u64(name, &number) == 0;
    for (uint32_t i = 0; m && i < m->n_captures; i++) {
        if (numbered ? i == number : str_eq(m->capture_names[i], name))
            return of_text(m->captures[i], out);
    }
    return false;
}

static bool of_source(request_t *r, const upstream_t *u, const hash_on_t *on, uint64_t *out)
{
    switch (on->source) {
    case HASH_NONE:
        return false;
    case HASH_CONSUMER:
        return of_consumer(r, out);
    case HASH_IP:
        return of_text(str_from(r->client_ip), out);
    case HASH_HEADER:
        return of_header(r, on->name, out);
    case HASH_COOKIE:
        return of_cookie(r, u, out);
    case HASH_PATH:
        return of_text(r->path, out);
    case HASH_QUERY_ARG:
        return of_argument(r, on->name, out);
    case HASH_URI_CAPTURE:
        return of_capture(r, on->name, out);
    }
    UNREACHABLE("a source of hashes");
}

bool hash_key(request_t *r, const upstream_t *u, uint64_t *out)
{
    return of_source(r, u, &u->hash_on, out) || of_source(r, u, &u->hash_fallback, out);
}

// ---- sticky sessions ----

uint64_t hash_key_session(const upstream_t *u, const peer_name_t *peer)
{
    buf_t text = {0};
    unsigned char mac[DIGEST_MAX];
    uint64_t session = 0;
    buf_printf(&text, "%.*s:%u|%.*s:%u", STR_FMT(peer->target), peer->target_port,
               STR_FMT(peer->host), peer->port);
    size_t n = crypto_hmac("sha256", u->id.n ? u->id : u->name, buf_str(&text), mac);
    ASSERT(n >= sizeof session, "SHA-256 is always there");
    for (size_t i = 0; i < sizeof session; i++)
        session = session << 8 | mac[i];
    buf_dispose(&text);
    return session ? session : 1;
}

bool hash_key_of_session(const request_t *r, const upstream_t *u, uint64_t *out)
{
    str_t value;
    uint64_t session = 0;
    if (u->sticky_cookie.n == 0 ||
        !headers_cookie(&r->head.headers, u->sticky_cookie, &value) || value.n != KEY_TEXT - 1)
        return false;
    for (size_t i = 0; i < value.n; i++) {
        char c = ascii_lower(value.p[i]);
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f'))
            return false;
        session = session << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *out = session;
    return true;
}

void hash_key_set_session(request_t *r, const upstream_t *u, uint64_t session)
{
    char text[KEY_TEXT];
    uint64_t now;
    ASSERT(session, "who is asked for a session has one");
    if (u->sticky_cookie.n == 0 || (hash_key_of_session(r, u, &now) && now == session))
        return;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)session);
    set_cookie(r, u->sticky_cookie, str_from(text), u->sticky_cookie_path);
}

// A request that waits long for the rest of its answer, made light: what only a request without an answer needs is given back, and what
// the log still reads is copied into one block of its size. Not the exchange's part of that (exchange_read.c).
// Invariant: afterwards nothing of the request points into memory of before. Every slice and pointer of request_t that may point into
// the arena is named in this file, in drop() or in copy(): a new one belongs here too.
#include "core/request.h"

#include "base/check.h"
#include "core/worker.h"

// ---- copying ----

// Counts when `at` is NULL, else copies.
typedef struct pack {
    char *at;
    size_t n;
} pack_t;

// Room for n bytes, with the bytes at `from` in it. NULL while counting.
static void *put(pack_t *p, const void *from, size_t n)
{
    char *to = p->at ? p->at + p->n : NULL;
    p->n += n;
    if (to && n)
        memcpy(to, from, n);
    return to;
}

static void put_str(pack_t *p, str_t *s)
{
    const char *to = s->n ? put(p, s->p, s->n) : NULL;
    if (p->at && s->p)
        s->p = to ? to : "";
}

// A slice that often is a part of `whole`, which is at `now` already.
static void put_part(pack_t *p, str_t *s, str_t whole, str_t now)
{
    bool inside = s->n && whole.n && (uintptr_t)s->p >= (uintptr_t)whole.p &&
                  (uintptr_t)s->p + s->n <= (uintptr_t)whole.p + whole.n;
    if (!inside)
        put_str(p, s);
    else if (p->at)
        s->p = now.p + (s->p - whole.p);
}

// Lines that were taken out stay behind.
static void put_lines(pack_t *p, headers_t *h)
{
    header_t *to = p->at ? (header_t *)(void *)(p->at + p->n) : NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].removed)
            continue;
        put(p, &h->v[i], sizeof h->v[i]);
        n++;
    }
    if (!to)
        return;
    h->v = to;
    h->n = h->cap = n;
}

static void put_line_texts(pack_t *p, const headers_t *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        header_t *line = &h->v[i];
        if (line->removed)
            continue;
        bool usual = line->id != HDR_OTHER && str_eq(line->name, hdr_name((hdr_id_t)line->id));
        if (!usual)
            put_str(p, &line->name);
        else if (p->at)
            line->name = hdr_name((hdr_id_t)line->id);
        put_str(p, &line->value);
    }
}

static void put_tries(pack_t *p, request_t *r)
{
    for (try_record_t **link = &r->tries; *link; link = &(*link)->next) {
        try_record_t *to = put(p, *link, sizeof **link);
        if (to)
            *link = to;
    }
}

// What is aligned goes first, then the texts.
static void copy(pack_t *p, request_t *r)
{
    ai_note_t *note = r->ai ? put(p, r->ai, sizeof *r->ai) : NULL; // its texts are the plan's
    if (note)
        r->ai = note;
    put_tries(p, r);
    put_lines(p, &r->head.headers);
    put_lines(p, &r->headers);
    put_lines(p, &r->upstream_headers);
    ASSERT(p->n % _Alignof(header_t) == 0, "texts follow what is aligned");
    put_line_texts(p, &r->head.headers);
    put_line_texts(p, &r->headers);
    put_line_texts(p, &r->upstream_headers);
    for (try_record_t *t = r->tries; t; t = t->next)
        put_str(p, &t->ip);
    str_t target = r->head.target;
    put_str(p, &r->head.target);
    put_part(p, &r->head.raw_path, target, r->head.target);
    put_part(p, &r->head.query, target, r->head.target);
    put_part(p, &r->path, target, r->head.target);
    put_part(p, &r->up.path, target, r->head.target);
    put_part(p, &r->up.query, target, r->head.target);
    str_t *const texts[] = {&r->head.method_name, &r->head.host,      &r->method,
                            &r->forwarded_proto,  &r->forwarded_host, &r->forwarded_path,
                            &r->up.host,          &r->up.host_header, &r->up.method,
                            &r->up.sni,           &r->log_fields,     &r->exit_reason,
                            &r->new_body,         &r->client_verify};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        put_str(p, texts[i]);
}

static void keep_copy(request_t *r)
{
    pack_t count = {0};
    copy(&count, r);
    arena_t old = r->arena;
    arena_init(&r->arena);
    pack_t p = {.at = arena_alloc_own(&r->arena, count.n)};
    copy(&p, r);
    ASSERT(p.n == count.n, "as much is copied as was counted");
    arena_dispose(&old);
}

// ---- dropping ----

static void drop(request_t *r)
{
    const str_t none = STR("");
    upstream_request_t *up = &r->up;
    r->head.headers = r->headers = r->upstream_headers = (headers_t){0};
    r->head.method_name = r->head.target = r->head.raw_path = r->head.host = r->method = none;
    r->head.query = r->new_body = r->client_verify = (str_t){0};
    r->path = r->forwarded_proto = r->forwarded_host = r->forwarded_path = r->log_fields = none;
    up->host = up->host_header = up->method = up->path = up->sni = none;
    up->query = (str_t){0};
    r->tries = NULL;
    r->ai = NULL;
    arena_dispose(&r->arena);
}

// ---- whether and how much ----

// Nobody up the stack and no plugin holds on to what there is, and the request cannot go out again.
static bool may_lighten(const request_t *r)
{
    bool in_pieces = r->captured ||
                     (r->doc && r->doc->n_edits); // for plugins that log; not worth its copying
    return !r->light && r->holds == 1 && r->head_sent && !r->ended && !r->finished &&
           !r->buffering && !(r->phases & PHASE_BODY_FILTER) && r->body.complete &&
           !r->on_body && !r->arena.cleanups && !(in_pieces && r->phases & PHASE_LOG) &&
           !(r->worker->out.n && r->worker->out.of == r);
}

bool request_lighten(request_t *r)
{
    if (!may_lighten(r))
        return false;
    ASSERT(!r->ops, "what plugins recorded is in the head that went out");
    bool plugins = r->phases & PHASE_LOG, logged = plugins || r->worker->access_log;
    r->light = true;
    r->ops_tail = &r->ops;
    r->captured = NULL;
    r->doc = NULL;
    if (!plugins) {
        r->worker->script->release(r);
        buf_dispose(&r->body.data);
        r->new_body = (str_t){0};
        r->upstream_headers = (headers_t){0};
    }
    if (logged)
        keep_copy(r);
    else
        drop(r);
    return true;
}

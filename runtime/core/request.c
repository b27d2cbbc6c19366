// A request's walk: begin, route, plugins, proxy, finish. Body bytes are in request_body.c, the answer in respond.c, the upstream
// side in exchange.c. Every entry from the loop holds the request while it works.
#include "core/request.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/client.h"
#include "core/conn.h"
#include "core/exchange.h"
#include "core/respond.h"
#include "core/stats.h"
#include "core/status.h"
#include "core/upstreams.h"
#include "core/worker.h"
#include "http/uri.h"

// splitmix64: request ids need to be unique, not secret.
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void make_id(worker_t *w, char out[33])
{
    static const char HEX[] = "0123456789abcdef";
    for (int half = 0; half < 2; half++) {
        uint64_t v = next_random(&w->id_seed[half]);
        for (int i = 0; i < 16; i++, v >>= 4)
            out[half * 16 + i] = HEX[v & 15];
    }
    out[32] = '\0';
}

static void parse_head(request_t *r, const char *head, size_t n)
{
    const char *why = NULL;
    str_t copy = arena_dup(&r->arena, str_make(head, n));
    int status = request_head_parse(&r->head, &r->arena, copy.p, n, &r->worker->limits, &why);
    r->received_bytes = n;
    r->method = r->head.method_name;
    if (status != HEAD_OK) {
        r->status = (uint16_t)status;
        r->exit_reason = str_from(why);
        r->close_after = true;
        r->head.body = BODY_NONE;
    }
}

static void init_body(request_t *r)
{
    body_t *b = &r->body;
    b->kind = r->head.body;
    b->limit = r->worker->settings->body_max_bytes;
    b->complete =
        b->kind == BODY_NONE || (b->kind == BODY_LENGTH && r->head.content_length == 0);
    b->left = r->head.content_length;
    b->continue_sent = !r->head.expect_continue;
    if (b->kind == BODY_CHUNKED)
        chunked_init(&b->chunked);
}

request_t *request_begin(conn_t *c, const char *head, size_t n)
{
    worker_t *w = c->worker;
    request_t *r = mem_alloc(sizeof *r);
    memset(r, 0, offsetof(request_t, arena));
    arena_init(&r->arena);
    r->worker = w;
    r->conn = c;
    r->gen = generation_acquire(w->gen);
    r->start_us = clock_mono_us();
    r->start_wall_us = clock_wall_us();
    r->ops_tail = &r->ops;
    r->consumer = r->credential = -1;
    r->up.tls_verify = -1;
    r->up.tls_depth = -1;
    make_id(w, r->id);
    list_push_back(&w->requests, &r->links);
    w->n_requests++;
    w->requests_total++;
    stat_fixed_add(SF_REQUESTS, 1);
    if (n)
        parse_head(r, head, n);
    else
        r->close_after = true;
    init_body(r);
    client_identify(r);
    return r;
}

// ---- routing ----

static bool is_tls(const request_t *r)
{
    return r->trusted && r->forwarded_proto.n ? str_ieq(r->forwarded_proto, STR("https"))
                                              : r->conn->tls;
}

// True when the route is there but not for this protocol.
static bool find_route(request_t *r)
{
    route_input_t in = {
        .method = r->method,
        .host = r->forwarded_host.n ? r->forwarded_host : r->head.host,
        .port = r->head.port ? r->head.port : r->conn->port,
        .path = r->path,
        .tls = is_tls(r),
        .sni = sock_sni(r->conn->sock),
        .headers = &r->head.headers,
        .source = r->client_bytes,
        .source_port = r->client_port,
        .destination_port = r->conn->port,
    };
    route_match_t match __attribute__((uninitialized)); // large, and the router fills it
    router_match(r->gen->router, &in, &match);
    r->route = match.route;
    r->service = r->route ? r->route->service : NULL;
    r->prefix = (uint32_t)match.prefix;
    if (r->route && match.n_captures) {
        route_match_t *kept = arena_alloc(&r->arena, sizeof *kept);
        *kept = match;
        r->captured = kept;
    }
    r->routed_us = clock_mono_us();
    return r->route && match.wrong_protocol;
}

static void redirect_to_https(request_t *r)
{
    unsigned status = r->route->https_redirect_status_code;
    if (status == 426) {
        respond_header_set(r, STR("Upgrade"), STR("TLS/1.2, HTTP/1.1"));
        r->close_after = true;
        respond_error(r, 426, "Please use HTTPS protocol");
        return;
    }
    str_t host = r->head.host;
    str_t target =
        arena_printf(&r->arena, "https://%.*s%.*s", STR_FMT(host), STR_FMT(r->head.target));
    respond_header_set(r, STR("Location"), target);
    respond_exit(r, status, STR(""), STR(""));
}

static void run_plugins(request_t *r)
{
    r->state = REQ_PLUGINS;
    const uint32_t chain = PHASE_REWRITE | PHASE_ACCESS;
    script_result_t result = SCRIPT_DONE;
    if (r->phases & chain)
        result = r->worker->script->enter_access(r);
    if (r->finished)
        return;
    if (result == SCRIPT_DONE)
        request_after_plugins(r);
    else if (result == SCRIPT_FAILED)
        respond_error(r, 500, NULL);
}

// HTTP/1.0 knows no chunked coding: a method that carries a body must say how long it is (RFC 1945 7.2.2).
static bool lacks_length(const request_t *r)
{
    http_method_t m = r->head.method;
    return r->head.minor == 0 && r->body.kind == BODY_NONE &&
           (m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH) &&
           !headers_get(&r->head.headers, HDR_CONTENT_LENGTH).p;
}

// The status that this request deserves before any routing, or 0.
static unsigned refused_early(request_t *r)
{
    const char *why = NULL;
    if (r->status)
        return r->status;
    if (r->body.err)
        return request_body_status(r->body.err);
    if (lacks_length(r))
        return 411;
    if (r->body.limit && r->body.kind == BODY_LENGTH && r->head.content_length > r->body.limit)
        return 413;
    if (uri_normalize_path(&r->arena, r->head.raw_path, &r->path, &why) != 0) {
        r->exit_reason = str_from(why);
        return 400;
    }
    return 0;
}

void request_start(request_t *r)
{
    unsigned refused = refused_early(r);
    if (refused) {
        r->status = 0;
        r->close_after = true;
        respond_error(r, refused, NULL);
        return;
    }
    if (r->conn->status) {
        status_handle(r);
        return;
    }
    bool wrong_protocol = find_route(r);
    if (!r->route) {
        r->phases =
            generation_global_phases(r->gen) & ~(uint32_t)(PHASE_REWRITE | PHASE_ACCESS);
        respond_error(r, 404, "no Route matched with those values");
        return;
    }
    if (wrong_protocol) {
        redirect_to_https(r);
        return;
    }
    r->phases = r->route->phases;
    upstreams_prepare(r);
    run_plugins(r);
}

void request_after_plugins(request_t *r)
{
    ASSERT(!r->finished, "the chain of a finished request cannot go on");
    r->plugins_us = clock_mono_us();
    if (r->head_sent || r->source != SOURCE_NONE)
        respond_end(r);
    else if (!r->service && !r->up.set)
        respond_error(r, 503, "no Service found with those values");
    else
        exchange_start(r);
}

void request_watch(request_t *r, tap_kind_t kind, bool hide_usage)
{
    if (r->tap)
        tap_dispose(r->tap);
    else
        r->tap = mem_alloc(sizeof *r->tap);
    tap_init(r->tap, kind, hide_usage);
}

// ---- the end ----

static void free_request(request_t *r)
{
    worker_t *w = r->worker;
    w->script->release(r);
    list_unlink(&r->links);
    w->n_requests--;
    if (w->out.of == r)
        w->out.n = 0;
    if (r->tap)
        tap_dispose(r->tap);
    free(r->tap);
    buf_dispose(&r->body.data);
    buf_dispose(&r->collected);
    arena_dispose(&r->arena);
    free(r->exchange_room);
    generation_release(r->gen);
    free(r);
    if (w->draining)
        worker_check_drained(w);
}

void request_drop(request_t *r)
{
    ASSERT(r->holds > 0, "a request is dropped once for each hold");
    if (--r->holds == 0 && r->finished)
        free_request(r);
}

// Whether the connection may carry another request.
static bool may_keep_alive(const request_t *r)
{
    return r->head.keep_alive && !r->close_after && !r->out_failed && !r->failed_mid_body &&
           r->body.complete && !r->worker->draining;
}

// Whether more may come from a client that is told to close. Closing under it would reset the connection and lose the answer.
static bool may_still_send(const request_t *r)
{
    bool said_last =
        (r->method.n || r->light) && !r->head.keep_alive; // a bad head says nothing
    return !said_last || !r->body.complete;
}

static void leave_conn(request_t *r)
{
    conn_t *c = r->conn;
    r->conn = NULL;
    if (!c)
        return;
    bool cut_shows =
        r->chunked_out || r->length_known; // else only a reset tells an end from an abort
    if (r->out_failed || (r->failed_mid_body && !cut_shows)) {
        c->req = NULL;
        conn_close(c, true);
        return;
    }
    conn_request_ended(c, may_keep_alive(r), may_still_send(r));
}

static void account(request_t *r)
{
    worker_t *w = r->worker;
    if (r->phases & PHASE_LOG)
        w->script->enter(r, PHASE_LOG);
    if (w->access_log && !(r->conn && r->conn->status))
        access_log_append(w->access_log, r);
    if (r->exit_reason.n && log_wants(LOG_INFO))
        log_write(LOG_INFO, "%.*s, client: %s, status: %u, request_id: %s",
                  STR_FMT(r->exit_reason), r->client_ip, r->status, r->id);
}

// The client has gone before it had its response: whatever was begun, the log says 499.
static void give_as_gone(request_t *r)
{
    r->aborted = true;
    r->status = 499;
    if (!r->exit_reason.n)
        r->exit_reason = STR("client closed the connection");
}

void request_finish(request_t *r)
{
    ASSERT(!r->finished, "a request finishes once");
    request_hold(r);
    exchange_cancel(r);
    r->finished = true;
    r->state = REQ_LOG;
    r->end_us = clock_mono_us();
    if (r->out_failed && !r->aborted)
        give_as_gone(r);
    account(r);
    leave_conn(r);
    request_drop(r);
}

void request_on_client_gone(request_t *r)
{
    if (r->finished)
        return;
    request_hold(r);
    bool answered = r->ended; // only the rest of its body was awaited
    r->aborted = !answered;
    r->worker->script->abort(r);
    if (!r->finished) {
        if (!answered)
            give_as_gone(r);
        request_finish(r);
    }
    request_drop(r);
}

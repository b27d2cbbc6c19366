// The core that the bridge's tests run over: a worker with a loop, requests without connections, and responses that are
// noted instead of written. Not a mock of behaviour: what core promises in its headers, in the smallest form.
#include "fake_core.h"

#include <stdio.h>

#include "base/check.h"
#include "core/control.h"
#include "core/identity.h"
#include "core/raw.h"
#include "core/record.h"
#include "core/respond.h"
#include "core/status.h"
#include "core/upstream_health.h"
#include "core/upstreams.h"

worker_t *worker_self;
uint32_t fake_budget_ms;
static worker_t worker;
static settings_t settings;
static str_t dirs[1];

static const char document[] = "{\"format\":1,\"services\":[{\"id\":\"s-1\",\"name\":\"one\","
                               "\"protocol\":\"http\",\"host\":\"10.0.0.1\",\"port\":80}],"
                               "\"routes\":[%s],\"plugins\":[%s],"
                               "\"consumers\":[{\"id\":\"c-1\",\"username\":\"ada\"},{\"id\":"
                               "\"c-2\",\"username\":\"bob\"}]}";

int fake_open(char *why, size_t why_cap)
{
    const char *root = getenv("MOONGATE_ROOT") ? getenv("MOONGATE_ROOT") : ".";
    static char dir[1024];
    memset(&worker, 0, sizeof worker);
    memset(&settings, 0, sizeof settings);
    snprintf(dir, sizeof dir, "%s/spec/unit/lua", root);
    dirs[0] = str_from(dir);
    settings.plugin_dirs = dirs;
    settings.n_plugin_dirs = 1;
    settings.prefix = settings.lua_path = STR("");
    settings.workers = 1;
    settings.trusted_plugins = STR("*"); // its plugins are of this program
    settings.plugin_budget_ms = fake_budget_ms;
    worker.settings = &settings;
    worker.loop = loop_create();
    list_init(&worker.requests);
    list_init(&worker.conns);
    worker.script = &script_lua;
    worker_self = &worker;
    lua_set_share(root);
    return script_lua.open(&worker, why, why_cap);
}

int fake_install(const char *routes, const char *plugins, char *why, size_t why_cap)
{
    static uint64_t number;
    char text[8192];
    int n = snprintf(text, sizeof text, document, routes, plugins);
    generation_t *g = NULL;
    if (generation_create(str_make(text, (size_t)n), ++number, &g, why, why_cap) != 0)
        return -1;
    if (script_lua.install(&worker, g, why, why_cap) != 0) {
        generation_release(g);
        return -1;
    }
    if (worker.gen)
        generation_release(worker.gen);
    worker.gen = g;
    return 0;
}

void fake_close(void)
{
    if (worker.gen)
        generation_release(worker.gen);
    worker.gen = NULL;
    script_lua.close(&worker);
    loop_turn(worker.loop, 0);
    CHECK_ALIVE(loop_live(worker.loop));
    loop_destroy(worker.loop);
    worker_self = NULL;
}

loop_t *fake_loop(void)
{
    return worker.loop;
}

uint64_t fake_lua_bytes(void)
{
    return script_lua.memory(&worker);
}

request_t *fake_request(uint32_t route)
{
    request_t *r = mem_alloc(sizeof *r);
    memset(r, 0, offsetof(request_t, arena));
    arena_init(&r->arena);
    r->worker = &worker;
    r->gen = generation_acquire(worker.gen);
    r->ops_tail = &r->ops;
    r->consumer = r->credential = -1;
    r->method = r->head.method_name = STR("GET");
    r->path = r->head.raw_path = r->head.target = STR("/");
    r->head.host = STR("example.test");
    r->route = &r->gen->routes[route];
    r->service = r->route->service;
    r->phases = r->route->phases;
    r->body.complete = true;
    memcpy(r->id, "0123456789abcdef0123456789abcdef", 33);
    list_push_back(&worker.requests, &r->links);
    r->holds = 1;
    return r;
}

void fake_free(request_t *r)
{
    if (!r->finished)
        request_finish(r);
    request_drop(r);
}

void fake_header(request_t *r, const char *name, const char *value)
{
    str_t n = str_from(name);
    headers_add(&r->head.headers, &r->arena, hdr_lookup(n), n, str_from(value));
}

fake_note_t *fake_note(request_t *r)
{
    for (arena_cleanup_t *c = r->arena.cleanups; c; c = c->next)
        if (c->fn == NULL)
            return c->arg;
    fake_note_t *note = arena_zalloc(&r->arena, sizeof *note);
    arena_cancel(arena_defer(&r->arena, NULL, note));
    return note;
}

// ---- core, as its headers promise ----

void request_drop(request_t *r)
{
    ASSERT(r->holds > 0, "a request is dropped once for each hold");
    if (--r->holds || !r->finished)
        return;
    script_lua.release(r);
    list_unlink(&r->links);
    buf_dispose(&r->body.data);
    buf_dispose(&r->collected);
    if (r->tap)
        tap_dispose(r->tap);
    free(r->tap);
    arena_dispose(&r->arena);
    generation_release(r->gen);
    free(r);
}

void request_finish(request_t *r)
{
    r->finished = true;
    if (r->phases & PHASE_LOG)
        fake_note(r)->log_result = script_lua.enter(r, PHASE_LOG);
}

void request_after_plugins(request_t *r)
{
    fake_note(r)->proxied++;
}

void request_watch(request_t *r, tap_kind_t kind, bool hide_usage)
{
    if (r->tap)
        tap_dispose(r->tap);
    else
        r->tap = mem_alloc(sizeof *r->tap);
    tap_init(r->tap, kind, hide_usage);
}

void request_read_body(request_t *r, uint64_t max_bytes, void (*fn)(request_t *r, int err))
{
    (void)max_bytes;
    if (r->body.complete)
        fn(r, 0);
    else
        r->on_body = fn;
}

str_t request_body_text(request_t *r)
{
    return r->new_body.p ? r->new_body : buf_str(&r->body.data);
}

int respond_begin(request_t *r, unsigned status, uint64_t length)
{
    (void)length;
    r->status = (uint16_t)status;
    fake_note_t *note = fake_note(r);
    if (r->phases & PHASE_HEADER_FILTER)
        note->header_filter_result = script_lua.enter(r, PHASE_HEADER_FILTER);
    note->status = r->status;
    r->head_sent = true;
    return 0;
}

int respond_body(request_t *r, str_t data)
{
    fake_note_t *note = fake_note(r);
    bool eof = false;
    if (r->phases & PHASE_BODY_FILTER)
        note->body_filter_result = script_lua.body_filter(r, data, &eof, &data);
    size_t n = strlen(note->body);
    ASSERT(n + data.n < sizeof note->body, "a test's body is short");
    memcpy(note->body + n, data.p, data.n);
    return 0;
}

void respond_flush(request_t *r)
{
    (void)r;
}

void respond_end(request_t *r)
{
    request_finish(r);
}

size_t respond_pending(const request_t *r)
{
    (void)r;
    return 0;
}

void respond_exit(request_t *r, unsigned status, str_t body, str_t content_type)
{
    (void)content_type;
    r->source = SOURCE_EXIT;
    fake_note(r)->exits++;
    respond_begin(r, status, body.n);
    if (body.n)
        respond_body(r, body);
    respond_end(r);
}

void respond_error(request_t *r, unsigned status, const char *message)
{
    r->source = SOURCE_ERROR;
    fake_note(r)->errors++;
    respond_begin(r, status, 0);
    if (message)
        respond_body(r, str_from(message));
    respond_end(r);
}

void respond_refusal(request_t *r, unsigned status, const char *message)
{
    respond_error(r, status, message);
}

void respond_abort(request_t *r, const char *why)
{
    r->exit_reason = str_from(why);
    request_finish(r);
}

int respond_header_set(request_t *r, str_t name, str_t value)
{
    headers_set(&r->headers, &r->arena, hdr_lookup(name), arena_dup(&r->arena, name),
                arena_dup(&r->arena, value));
    return 0;
}

int respond_header_add(request_t *r, str_t name, str_t value)
{
    headers_add(&r->headers, &r->arena, hdr_lookup(name), arena_dup(&r->arena, name),
                arena_dup(&r->arena, value));
    return 0;
}

int respond_header_remove(request_t *r, str_t name)
{
    headers_remove(&r->headers, hdr_lookup(name), name);
    return 0;
}

int respond_header_on_success(request_t *r, str_t name, str_t value)
{
    return respond_header_set(r, name, value);
}

void respond_close(request_t *r, unsigned status)
{
    r->status = (uint16_t)status;
    r->ended = true;
}

void respond_apply_ops(request_t *r)
{
    (void)r;
}

int upstreams_select(request_t *r, str_t name)
{
    (void)r;
    (void)name;
    return -1;
}

// No Upstream is known here.
const upstream_t *upstream_health_find(const worker_t *w, str_t name_or_id)
{
    (void)w;
    (void)name_or_id;
    return NULL;
}

void upstream_health_json(worker_t *w, const upstream_t *u, buf_t *out)
{
    (void)w;
    (void)u;
    buf_append(out, STR("{}"));
}

void upstream_health_summary(worker_t *w, const upstream_t *u, buf_t *out)
{
    upstream_health_json(w, u, out);
}

void upstream_health_metrics(worker_t *w, buf_t *out)
{
    (void)w;
    (void)out;
}

int upstream_health_set(worker_t *w, const upstream_t *u, str_t target, str_t address,
                        bool healthy, const char **why)
{
    (void)w;
    (void)u;
    (void)target;
    (void)address;
    (void)healthy;
    *why = "no such target";
    return -1;
}

void record_write(buf_t *out, request_t *r)
{
    (void)r;
    buf_append(out, STR("{}"));
}

void identity_set_cert(request_t *r, tls_cert_t *cert)
{
    r->up.tls_cert = cert;
}

void identity_set_store(request_t *r, tls_store_t *store)
{
    r->up.tls_store = store;
}

int fake_hello_ended, fake_hello_ok;

void hello_end(hello_t *h, bool ok)
{
    ASSERT(!h->script, "the phase's task has ended");
    fake_hello_ended++;
    fake_hello_ok = ok;
}

hello_t fake_hello(void)
{
    return (hello_t){.worker = &worker, .gen = worker.gen};
}

// ---- the Admin API's process, which this one is not ----

int control_load(control_t *c, int fd, control_loaded_fn done, void *arg)
{
    (void)c, (void)fd, (void)done, (void)arg;
    return -1;
}

void control_load_forget(control_t *c)
{
    (void)c;
}

int control_set_level(control_t *c, log_level_t level)
{
    (void)c, (void)level;
    return -1;
}

void status_put_json(worker_t *w, buf_t *b)
{
    (void)w;
    buf_append(b, STR("{}"));
}

void status_put_metrics(worker_t *w, buf_t *b)
{
    (void)w, (void)b;
}

// ---- raw sockets: there is no connection to lend ----

const char *raw_refusal(const request_t *r)
{
    (void)r;
    return "no connection";
}

sock_t *raw_begin(request_t *r, const sock_events_t *events, void *owner, buf_t *early)
{
    (void)r, (void)events, (void)owner, (void)early;
    UNREACHABLE("nothing is lent");
}

void raw_end(request_t *r)
{
    (void)r;
    UNREACHABLE("nothing was lent");
}

// A request that waits long for the rest of its answer: what it gives back, what it keeps, and that it ends as if nothing had happened.
#include "gateway.h"

#include "core/record.h"
#include "http/json.h"

#define EVENT(size, text) size "\r\ndata: " text "\n\n\r\n"
#define LAST_CHUNK "0\r\n\r\n"

static request_t *only_request(gateway_t *g)
{
    CHECK_EQ_INT(g->w.n_requests, 1);
    return CONTAINER_OF(g->w.requests.next, request_t, links);
}

// The client's request is at the upstream.
static request_t *under_way(gateway_t *g, peer_t *c, peer_t **u, const char *request)
{
    say(c, request);
    *u = gw_accept(g);
    GW_UNTIL(g, heard(*u, "\r\n\r\n"));
    return only_request(g);
}

TEST(a_quiet_stream_gives_its_memory_back)
{
    if (STRESSED)
        return;
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g), *u;
    request_t *r = under_way(&g, c, &u, POST("/chat?x=1", "2") "hi");
    CHECK(!r->light && arena_size(&r->arena) > 0);
    r->phases = 0;
    say(u, STREAM_HEAD EVENT("9", "a"));
    GW_UNTIL(&g, ends_with(c, "data: a\n\n\r\n"));
    CHECK(r->light);
    CHECK_EQ_INT(arena_size(&r->arena), 0);
    CHECK_EQ_INT(r->body.data.cap, 0);
    for (int i = 0; i < 20; i++) {
        forget(c);
        say(u, EVENT("9", "b") EVENT("9", "c"));
        GW_UNTIL(&g, ends_with(c, "data: c\n\n\r\n"));
    }
    CHECK_EQ_INT(arena_size(&r->arena), 0); // however long it lasts
    say(u, LAST_CHUNK);
    GW_UNTIL(&g, ends_with(c, LAST_CHUNK));
    GW_UNTIL(&g, g.w.n_requests == 0 && pools_idle(g.w.pools) == 1);
    forget(c);
    forget(u);
    say(c, GET("/next")); // the connection goes on
    GW_UNTIL(&g, heard(u, "GET /next HTTP/1.1\r\n"));
    say(u, OK_2);
    GW_UNTIL(&g, ends_with(c, "ok"));
    gw_close(&g);
}

typedef struct ending {
    const char *name;
    bool client, keeps_log;
} ending_t;

// However it ends: the upstream breaks off, or the client leaves.
TEST(a_light_request_may_end_badly)
{
    static const ending_t ENDINGS[] = {{"upstream", false, false},
                                       {"upstream, logged", false, true},
                                       {"client", true, false},
                                       {"client, logged", true, true}};
    if (STRESSED)
        return;
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        const ending_t *e = &ENDINGS[i];
        gateway_t g;
        gw_open(&g, NULL);
        peer_t *c = gw_dial(&g), *u;
        request_t *r = under_way(&g, c, &u, GET("/x"));
        r->phases = e->keeps_log ? PHASE_LOG : 0;
        say(u, STREAM_HEAD EVENT("9", "a"));
        GW_UNTIL(&g, ends_with(c, "data: a\n\n\r\n"));
        if (!CHECK(r->light))
            TEST_NOTE("%s", e->name);
        if (e->keeps_log)
            CHECK_EQ_STR(r->path, STR("/x"));
        hang_up(e->client ? c : u);
        GW_UNTIL(&g, g.w.n_requests == 0);
        CHECK_EQ_INT(g.n_logged, e->keeps_log ? 1 : 0);
        gw_close(&g);
    }
}

TEST(what_may_still_be_read_is_not_given_back)
{
    if (STRESSED)
        return;
    gateway_t g;
    gw_open(&g, NULL);
    peer_t *c = gw_dial(&g), *u;
    request_t *r =
        under_way(&g, c, &u, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhi");
    r->phases = 0;
    say(u, STREAM_HEAD EVENT("9", "a"));
    GW_UNTIL(&g, ends_with(c, "data: a\n\n\r\n"));
    CHECK(!r->light); // its body goes on
    say(c, "ho");
    GW_UNTIL(&g, ends_with(u, "ho"));
    say(u, EVENT("9", "b"));
    GW_UNTIL(&g, ends_with(c, "data: b\n\n\r\n"));
    CHECK(r->light);
    say(u, LAST_CHUNK);
    GW_UNTIL(&g, g.w.n_requests == 0);
    gw_close(&g);
}

// ---- the log's copy ----

static str_t in(request_t *r, const char *text)
{
    return arena_dup(&r->arena, str_from(text));
}

static void add_try(request_t *r, const char *ip, int err)
{
    try_record_t *t = arena_zalloc(&r->arena, sizeof *t);
    *t = (try_record_t){
        .next = r->tries, .ip = in(r, ip), .port = 80, .err = err, .at_us = 5000000};
    r->tries = t;
    r->n_tries++;
}

static void add_line(request_t *r, headers_t *h, const char *name, const char *value)
{
    headers_add(h, &r->arena, hdr_lookup(str_from(name)), in(r, name), in(r, value));
}

// Everything a record says, out of the arena.
static request_t *streaming(worker_t *w, generation_t *gen)
{
    request_t *r = calloc(1, sizeof *r);
    arena_init(&r->arena);
    *r = (request_t){.worker = w,
                     .gen = gen,
                     .id = "0123456789abcdef0123456789abcdef",
                     .start_us = 1000000,
                     .upstream_start_us = 1003000,
                     .end_us = 1061000,
                     .client_ip = "192.0.2.7",
                     .status = 200,
                     .upstream_status = 200,
                     .source = SOURCE_SERVICE,
                     .consumer = -1,
                     .credential = -1,
                     .head_sent = true,
                     .holds = 1,
                     .body.complete = true};
    str_t target = in(r, "/a%20b?x=1&apikey=s");
    r->head.target = target;
    r->head.raw_path = str_make(target.p, 6);
    r->head.query = str_from_at(target, 7);
    r->head.method_name = r->method = in(r, "PURGE");
    r->head.host = in(r, "api.test");
    r->path = in(r, "/a b");
    r->up.path = in(r, "/up");
    r->up.query = r->head.query;
    r->log_fields = in(r, "{\"own\":{\"a\":1}}");
    r->exit_reason = in(r, "because");
    add_line(r, &r->head.headers, "Host", "api.test");
    add_line(r, &r->head.headers, "content-type", "text/plain");
    add_line(r, &r->head.headers, "X-Gone", "x");
    add_line(r, &r->head.headers, "X-Mine", "1");
    add_line(r, &r->head.headers, "X-Mine", "");
    headers_remove(&r->head.headers, HDR_OTHER, STR("X-Gone"));
    add_line(r, &r->headers, "Content-Type", "text/event-stream");
    add_line(r, &r->upstream_headers, "Server", "u");
    add_try(r, "10.0.0.1", -2003);
    add_try(r, "10.0.0.2", 0);
    return r;
}

static void check_copy(uint32_t phases, const char *access_log)
{
    script_t script = script_none;
    generation_t gen = {.number = 3};
    worker_t w = {.script = &script, .access_log = (access_log_t *)(uintptr_t)access_log};
    request_t *r = streaming(&w, &gen);
    r->phases = phases;
    buf_t before = {0}, after = {0};
    record_write(&before, r);
    size_t was = arena_size(&r->arena);
    CHECK(request_lighten(r));
    CHECK(arena_size(&r->arena) > 0 && arena_size(&r->arena) < was);
    record_write(&after, r);
    CHECK_EQ_STR(buf_str(&after), buf_str(&before));
    CHECK(heard(&(peer_t){.in = after}, "\"x-mine\":[\"1\",\"\"]"));
    CHECK_EQ_STR(r->path, STR("/a b"));
    CHECK_EQ_STR(headers_get(&r->head.headers, HDR_HOST), STR("api.test"));
    CHECK(!headers_find(&r->head.headers, HDR_OTHER, STR("X-Gone"), 0));
    CHECK_EQ_INT(r->upstream_headers.n, phases & PHASE_LOG ? 1 : 0);
    CHECK(!request_lighten(r)); // once is enough
    buf_dispose(&before);
    buf_dispose(&after);
    arena_dispose(&r->arena);
    free(r);
}

TEST(the_log_reads_the_same_of_a_light_request)
{
    check_copy(PHASE_LOG, NULL);
    check_copy(0, "only whether there is one is asked");
}

TEST(plugins_that_look_on_keep_everything)
{
    script_t script = script_none;
    generation_t gen = {.number = 3};
    worker_t w = {.script = &script};
    json_doc_t doc = {.n_edits = 1};
    request_t *r = streaming(&w, &gen);
    r->phases = PHASE_BODY_FILTER;
    CHECK(!request_lighten(r));
    r->phases = PHASE_LOG;
    r->doc = &doc;
    CHECK(!request_lighten(r));
    r->doc = NULL;
    r->holds = 2;
    CHECK(!request_lighten(r));
    r->holds = 1;
    CHECK(request_lighten(r));
    arena_dispose(&r->arena);
    free(r);
}

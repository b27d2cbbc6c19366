// The log record: fields, redaction, merging; and the access log: lines whole and in order, dropped and counted when they cannot be written.
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/record.h"
#include "core/redact.h"
#include "core/stats.h"
#include "http/json.h"
#include "io/loop.h"

// ---- a finished request ----

static route_t route = {.json = STR("{\"name\":\"r\",\"service\":0}")};
static service_t service = {.id = STR("s-id"), .json = STR("{\"id\":\"s-id\",\"name\":\"s\"}")};
static consumer_t consumer = {.id = STR("c-id"),
                              .json = STR("{\"id\":\"c-id\",\"username\":\"bob\"}")};
static credential_t credential = {.id = STR("k-id"), .key = STR("secret-key")};
static plugin_t key_auth = {.name = STR("key-auth"),
                            .config = STR("{\"key_names\":[\"X-My-Key\",\"mykey\"]}")};
static generation_t gen = {.number = 7,
                           .consumers = &consumer,
                           .n_consumers = 1,
                           .credentials = &credential,
                           .n_credentials = 1,
                           .plugins = &key_auth,
                           .n_plugins = 1};
static try_record_t tries[2] = {
    {.next = &tries[1],
     .ip = STR("10.0.0.2"),
     .port = 81,
     .at_us = 2000000,
     .connect_us = 1500},
    {.ip = STR("10.0.0.1"), .port = 80, .err = -2003, .at_us = 1000000},
};

static request_t *finished(void)
{
    request_t *r = calloc(1, sizeof *r);
    *r = (request_t){.gen = &gen,
                     .id = "0123456789abcdef0123456789abcdef",
                     .start_wall_us = 1700000000123456,
                     .start_us = 1000000,
                     .upstream_start_us = 1003000,
                     .upstream_head_us = 1050000,
                     .upstream_end_us = 1060000,
                     .end_us = 1061000,
                     .head = {.method = METHOD_GET,
                              .method_name = STR("GET"),
                              .raw_path = STR("/a%20b"),
                              .query = STR("x=1&x=2&y&z=a%20b+c"),
                              .host = STR("api.test"),
                              .port = 8000},
                     .method = STR("GET"),
                     .client_ip = "192.0.2.7",
                     .received_bytes = 100,
                     .sent_bytes = 200,
                     .route = &route,
                     .service = &service,
                     .up = {.path = STR("/up"), .query = STR("q=1")},
                     .tries = tries,
                     .n_tries = 2,
                     .upstream_status = 201,
                     .status = 200,
                     .source = SOURCE_SERVICE,
                     .consumer = 0,
                     .credential = 0};
    route.service = &service;
    arena_init(&r->arena);
    headers_add(&r->head.headers, &r->arena, HDR_HOST, STR("Host"), STR("api.test:8000"));
    headers_add(&r->headers, &r->arena, HDR_CONTENT_TYPE, STR("Content-Type"),
                STR("text/plain"));
    return r;
}

static void add_field(request_t *r, const char *name, const char *value)
{
    headers_add(&r->head.headers, &r->arena, hdr_lookup(str_from(name)), str_from(name),
                str_from(value));
}

static str_t written(request_t *r, buf_t *out)
{
    json_error_t err;
    buf_clear(out);
    record_write(out, r);
    if (!CHECK(json_validate(buf_str(out), &err) == 0))
        TEST_NOTE("%s at %zu: %.*s", err.why, err.at, STR_FMT(buf_str(out)));
    return buf_str(out);
}

static void drop(request_t *r, buf_t *out)
{
    arena_dispose(&r->arena);
    free(r);
    buf_dispose(out);
    redact_forget();
}

TEST(writes_every_field_as_kong_does)
{
    request_t *r = finished();
    buf_t out = {0};
    CHECK_EQ_STR(
        written(r, &out),
        "{\"request\":{\"id\":\"0123456789abcdef0123456789abcdef\",\"uri\":\"/"
        "a%20b?x=1&x=2&y&z=a%20b+c\","
        "\"url\":\"http://api.test:8000/a%20b?x=1&x=2&y&z=a%20b+c\","
        "\"querystring\":{\"x\":[\"1\",\"2\"],\"y\":true,\"z\":\"a b c\"},\"method\":\"GET\","
        "\"headers\":{\"host\":\"api.test:8000\"},\"size\":100},\"upstream_uri\":\"/"
        "up?q=1\",\"upstream_status\":\"201\","
        "\"response\":{\"status\":200,\"headers\":{\"content-type\":\"text/"
        "plain\"},\"size\":200},"
        "\"latencies\":{\"kong\":3,\"proxy\":47,\"request\":61,\"receive\":10},"
        "\"tries\":[{\"balancer_start\":1000,\"balancer_start_ns\":1000000000,\"balancer_"
        "latency\":0,\"balancer_latency_ns\":0,"
        "\"ip\":\"10.0.0.1\",\"port\":80,\"state\":\"failed\",\"reason\":\"connection "
        "refused\"},"
        "{\"balancer_start\":2000,\"balancer_start_ns\":2000000000,\"balancer_latency\":1,"
        "\"balancer_latency_ns\":1500000,"
        "\"ip\":\"10.0.0.2\",\"port\":81}],"
        "\"route\":{\"name\":\"r\",\"service\":{\"id\":\"s-id\"}},\"service\":{\"id\":\"s-id\","
        "\"name\":\"s\"},"
        "\"consumer\":{\"id\":\"c-id\",\"username\":\"bob\"},\"authenticated_entity\":{\"id\":"
        "\"k-id\",\"consumer_id\":\"c-id\"},"
        "\"client_ip\":\"192.0.2.7\",\"started_at\":1700000000123,\"source\":\"upstream\","
        "\"workspace\":\"default\","
        "\"workspace_name\":\"default\"}");
    drop(r, &out);
}

TEST(a_request_without_a_route_is_shorter)
{
    request_t *r = finished();
    buf_t out = {0};
    r->route = NULL;
    r->service = NULL;
    r->consumer = r->credential = -1;
    r->n_tries = 0;
    r->upstream_start_us = r->upstream_head_us = r->upstream_end_us = 0;
    r->source = SOURCE_ERROR;
    r->exit_reason = STR("no \"route\"");
    str_t text = written(r, &out), value;
    CHECK(!json_get(text, STR("route"), &value) && !json_get(text, STR("consumer"), &value));
    CHECK(json_get(text, STR("tries"), &value));
    CHECK_EQ_STR(value, "[]");
    CHECK(json_get(text, STR("latencies"), &value));
    CHECK_EQ_STR(value, "{\"kong\":61,\"proxy\":-1,\"request\":61,\"receive\":0}");
    CHECK(json_get(text, STR("source"), &value));
    CHECK_EQ_STR(value, "\"kong\"");
    CHECK(json_get(text, STR("exit_reason"), &value));
    CHECK_EQ_STR(value, "\"no \\\"route\\\"\"");
    drop(r, &out);
}

TEST(no_secret_gets_through)
{
    static const char *const FIELDS[] = {
        "Authorization", "proxy-authorization", "apikey",   "Cookie", "X-Api-Key",
        "api-key",       "x-goog-api-key",      "X-MY-KEY", "MyKey"};
    request_t *r = finished();
    buf_t out = {0};
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
        add_field(r, FIELDS[i], "s3cret");
    add_field(r, "Authorization", "s3cret-too");
    headers_add(&r->headers, &r->arena, HDR_SET_COOKIE, STR("Set-Cookie"), STR("sid=s3cret"));
    r->head.query = STR("apikey=s3cret&a=1&my%6bey=s3cret&access_token=s3cret&b&key=");
    r->up.query = STR("key=s3cret");
    str_t text = written(r, &out), request, value;
    CHECK_EQ_INT(str_find(text, STR("s3cret")), -1);
    CHECK(json_get(text, STR("request"), &request) && json_get(request, STR("uri"), &value));
    CHECK_EQ_STR(
        value,
        "\"/a%20b?apikey=REDACTED&a=1&my%6bey=REDACTED&access_token=REDACTED&b&key=REDACTED\"");
    CHECK(json_get(request, STR("querystring"), &value));
    CHECK_EQ_STR(value, "{\"apikey\":\"REDACTED\",\"a\":\"1\",\"mykey\":\"REDACTED\",\"access_"
                        "token\":\"REDACTED\",\"b\":true,\"key\":\"REDACTED\"}");
    CHECK(json_get(text, STR("upstream_uri"), &value));
    CHECK_EQ_STR(value, "\"/up?key=REDACTED\"");
    drop(r, &out);
}

TEST(repeated_fields_are_arrays_and_removed_ones_absent)
{
    request_t *r = finished();
    buf_t out = {0};
    add_field(r, "X-A", "1");
    add_field(r, "X-Gone", "1");
    add_field(r, "x-a", "2");
    headers_remove(&r->head.headers, HDR_OTHER, STR("x-gone"));
    str_t request, value;
    CHECK(json_get(written(r, &out), STR("request"), &request) &&
          json_get(request, STR("headers"), &value));
    CHECK_EQ_STR(value, "{\"host\":\"api.test:8000\",\"x-a\":[\"1\",\"2\"]}");
    drop(r, &out);
}

TEST(bytes_of_any_kind_stay_json)
{
    request_t *r = finished();
    buf_t out = {0};
    add_field(r, "X-Odd", "a\"b\\c\x01\xff\xe2\x80\xa8");
    r->head.query = STR("%00=%ff&\"=\\&%zz=%");
    written(r, &out);
    drop(r, &out);
}

TEST(plugin_fields_are_merged_and_win)
{
    request_t *r = finished();
    buf_t out = {0};
    r->log_fields =
        STR("{\"ai\":{\"proxy\":{\"usage\":{\"total_tokens\":5}}},\"client_ip\":\"hidden\"}");
    str_t text = written(r, &out), value;
    CHECK(json_get(text, STR("ai"), &value));
    CHECK_EQ_STR(value, "{\"proxy\":{\"usage\":{\"total_tokens\":5}}}");
    CHECK(json_get(text, STR("client_ip"), &value));
    CHECK_EQ_STR(value, "\"hidden\"");
    r->log_fields = STR("not json");
    text = written(r, &out);
    CHECK(json_get(text, STR("client_ip"), &value));
    CHECK_EQ_STR(value, "\"192.0.2.7\"");
    drop(r, &out);
}

TEST(plugin_fields_reach_inside_members)
{
    static const struct {
        const char *fields, *member, *value;
    } CASES[] = {
        {"{\"service.extra.deep\":[1]}", "service",
         "{\"id\":\"s-id\",\"name\":\"s\",\"extra\":{\"deep\":[1]}}"},
        {"{\"request.method\":\"X\"}", "method", "\"X\""},
        {"{\"+request.method\":\"X\"}", "method", "\"GET\""},
        {"{\"+request.new\":1}", "new", "1"},
        {"{\"~request.new\":1}", "new", ""},
        {"{\"~request.method\":\"Y\"}", "method", "\"Y\""},
        {"{\"request.method\":null}", "method", ""},
        {"{\"~service\":null}", "service", ""},
        {"{\"request.none.at.all\":null}", "none", ""},
        {"{\"+client_ip\":\"x\",\"request.a\":1,\"request.b\":2}", "b", "2"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        request_t *r = finished();
        buf_t out = {0};
        str_t value = {0}, request = {0};
        r->log_fields = str_from(CASES[i].fields);
        str_t text = written(r, &out);
        CHECK(json_get(text, STR("request"), &request));
        if (!json_get(request, str_from(CASES[i].member), &value))
            json_get(text, str_from(CASES[i].member), &value);
        CHECK_EQ_STR(value, CASES[i].value);
        drop(r, &out);
    }
}

// ---- the access log ----

static char dir[64];

static str_t temp_path(const char *name)
{
    static char path[128];
    if (!dir[0]) {
        strcpy(dir, "/tmp/test_record-XXXXXX");
        if (!mkdtemp(dir))
            abort();
    }
    return str_make(path, (size_t)snprintf(path, sizeof path, "%s/%s", dir, name));
}

static char *read_file(str_t path, size_t *n)
{
    char name[128];
    snprintf(name, sizeof name, "%.*s", STR_FMT(path));
    int fd = open(name, O_RDONLY);
    char *text = calloc(1, 4 << 20);
    ssize_t got = fd < 0 ? -1 : read(fd, text, (4 << 20) - 1);
    if (fd >= 0)
        close(fd);
    *n = got > 0 ? (size_t)got : 0;
    return text;
}

// Turns the loop until the file holds `want` bytes; what it holds then.
static size_t wait_bytes(loop_t *l, str_t path, size_t want)
{
    size_t n = 0;
    for (int i = 0; i < 2000 && n < want; i++) {
        loop_turn(l, 5);
        free(read_file(path, &n));
    }
    return n;
}

TEST(lines_are_written_after_a_while)
{
    loop_t *l = loop_create();
    int err = 1;
    str_t path = temp_path("timer.log");
    access_log_t *log = access_log_open(l, path, &err);
    CHECK(log && err == 0);
    access_log_line(log, STR("one"));
    access_log_line(log, STR("two"));
    CHECK_EQ_INT(wait_bytes(l, path, 8), 8);
    access_log_line(log, STR("three"));
    access_log_close(log);
    size_t n;
    char *text = read_file(path, &n);
    CHECK_EQ_STR(str_make(text, n), "one\ntwo\nthree\n");
    free(text);
    loop_destroy(l);
    unlink(path.p);
}

TEST(many_lines_are_whole_and_in_order)
{
    enum { LINES = 20000 };
    loop_t *l = loop_create();
    int err;
    str_t path = temp_path("many.log");
    access_log_t *log = access_log_open(l, path, &err);
    char line[64];
    for (int i = 0; i < LINES; i++) {
        access_log_line(log,
                        str_make(line, (size_t)snprintf(line, sizeof line,
                                                        "line %d with some more text", i)));
        if (i % 500 == 0)
            loop_turn(l, 0);
    }
    access_log_close(log);
    loop_destroy(l);
    size_t n;
    char *text = read_file(path, &n), *at = text;
    int good = 0;
    for (; good < LINES; good++) {
        int len = snprintf(line, sizeof line, "line %d with some more text\n", good);
        if (strncmp(at, line, (size_t)len) != 0)
            break;
        at += len;
    }
    CHECK_EQ_INT(good, LINES);
    free(text);
    unlink(path.p);
}

TEST(reopen_follows_a_rotation)
{
    loop_t *l = loop_create();
    int err;
    char old[128];
    str_t path = temp_path("rotate.log");
    access_log_t *log = access_log_open(l, path, &err);
    access_log_line(log, STR("before"));
    CHECK_EQ_INT(wait_bytes(l, path, 7), 7);
    snprintf(old, sizeof old, "%s.1", path.p);
    rename(path.p, old);
    access_log_reopen(log);
    for (int i = 0; i < 2000 && access(path.p, F_OK) != 0; i++)
        loop_turn(l, 5);
    access_log_line(log, STR("after"));
    CHECK_EQ_INT(wait_bytes(l, path, 6), 6);
    access_log_close(log);
    loop_destroy(l);
    unlink(old);
    unlink(path.p);
}

TEST(a_full_disk_costs_lines_only)
{
    loop_t *l = loop_create();
    int err;
    access_log_t *log = access_log_open(l, STR("/dev/full"), &err);
    if (!CHECK(log != NULL))
        return;
    int64_t before = stat_fixed_get(SF_LOG_DROPPED);
    access_log_line(log, STR("one"));
    access_log_line(log, STR("two"));
    access_log_flush(log);
    for (int i = 0; i < 1000 && stat_fixed_get(SF_LOG_DROPPED) == before; i++)
        loop_turn(l, 5);
    CHECK_EQ_INT(stat_fixed_get(SF_LOG_DROPPED) - before, 2);
    access_log_close(log);
    loop_destroy(l);
}

TEST(a_blocked_pipe_costs_lines_only)
{
    loop_t *l = loop_create();
    int err;
    str_t path = temp_path("pipe");
    mkfifo(path.p, 0600);
    int reader = open(path.p, O_RDONLY | O_NONBLOCK);
    access_log_t *log = access_log_open(l, path, &err);
    if (!CHECK(log != NULL))
        return;
    char *big = malloc(100000);
    memset(big, 'x', 100000);
    int64_t before = stat_fixed_get(SF_LOG_DROPPED);
    for (int i = 0; i < 40; i++)
        access_log_line(log, str_make(big, 100000));
    CHECK(stat_fixed_get(SF_LOG_DROPPED) - before >= 20); // the backlog is bounded
    access_log_close(log);
    CHECK_EQ_INT(stat_fixed_get(SF_LOG_DROPPED) - before, 40);
    loop_destroy(l);
    close(reader);
    unlink(path.p);
    free(big);
}

TEST(off_and_errors_are_told_apart)
{
    loop_t *l = loop_create();
    int err = 1;
    CHECK(access_log_open(l, STR("off"), &err) == NULL && err == 0);
    CHECK(access_log_open(l, STR("/no/such/dir/x.log"), &err) == NULL && err < 0);
    loop_destroy(l);
    if (dir[0])
        rmdir(dir);
}

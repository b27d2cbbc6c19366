// The bridge over a fake core: chains, exits, errors, waits, recycling, isolation between requests.
#include "test.h"

#include "core/respond.h"
#include "fake_core.h"

static const char ROUTE[] = "{\"id\":\"r-1\",\"name\":\"a\",\"service\":1,\"paths\":[\"/a\"]}";

// Opens the script with one route and one probe plugin whose phases are given as JSON members.
static bool open_with(const char *members)
{
    char why[2048] = "", plugin[4096];
    snprintf(plugin, sizeof plugin,
             "{\"id\":\"p-1\",\"name\":\"probe\",\"enabled\":true,\"config\":{%s}}", members);
    if (fake_open(why, sizeof why) == 0 && fake_install(ROUTE, plugin, why, sizeof why) == 0)
        return true;
    TEST_NOTE("%s", why);
    return CHECK(false);
}

static script_result_t access_of(request_t *r)
{
    script_result_t result = script_lua.enter_access(r);
    if (result == SCRIPT_DONE)
        request_after_plugins(r);
    else if (result == SCRIPT_FAILED)
        respond_error(r, 500, NULL);
    return result;
}

static void turn_until(const request_t *r, int *what)
{
    (void)r;
    for (int i = 0; i < 200 && *what == 0; i++)
        loop_turn(fake_loop(), 10);
}

TEST(phases_run_and_see_the_request)
{
    if (!open_with(
            "\"rewrite\":\"h.seen.rewrite = ngx.get_phase()\","
            "\"access\":\"h.seen.access = ngx.get_phase() .. ngx.req.get_headers()['x-who']\","
            "\"log\":\"ngx.req.set_header('x-log', h.seen.rewrite .. h.seen.access .. "
            "h.seen.init_worker)\""))
        return;
    request_t *r = fake_request(0);
    fake_header(r, "X-Who", "me");
    CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
    CHECK_EQ_INT(fake_note(r)->proxied, 1);
    request_finish(r);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "rewriteaccessme1");
    fake_free(r);
    fake_close();
}

TEST(a_handshake_runs_the_certificate_phase_without_a_request)
{
    if (!open_with("\"certificate\":\"assert(ngx.get_phase() == 'ssl_cert') "
                   "assert(not pcall(require('moongate.abi.request').path)) "
                   "h.seen.hellos = (h.seen.hellos or 0) + 1\","
                   "\"access\":\"assert(h.seen.hellos == 1)\""))
        return;
    hello_t h = fake_hello();
    CHECK_EQ_INT(script_lua.enter_certificate(&h), SCRIPT_DONE);
    CHECK(h.script == NULL);
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
    fake_free(r);
    fake_close();
}

TEST(a_handshake_waits_goes_on_fails_and_is_given_up)
{
    if (!open_with("\"certificate\":\"h.seen.n = (h.seen.n or 0) + 1 ngx.sleep(0.001) "
                   "if h.seen.n == 2 then error('no') end h.seen.after = h.seen.n\","
                   "\"access\":\"assert(h.seen.after == 1)\""))
        return;
    hello_t h = fake_hello();
    for (int i = 1; i <= 2; i++) {
        fake_hello_ended = 0;
        CHECK_EQ_INT(script_lua.enter_certificate(&h), SCRIPT_WAITING);
        CHECK(h.script != NULL);
        turn_until(NULL, &fake_hello_ended);
        CHECK_EQ_INT(fake_hello_ended, 1);
        CHECK_EQ_INT(fake_hello_ok, i == 1);
    }
    fake_hello_ended = 0;
    CHECK_EQ_INT(script_lua.enter_certificate(&h), SCRIPT_WAITING);
    script_lua.abort_certificate(&h);
    for (int i = 0; i < 3; i++)
        loop_turn(fake_loop(), 5);
    CHECK_EQ_INT(fake_hello_ended, 0);
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
    fake_free(r);
    fake_close();
}

TEST(exit_answers_and_never_returns)
{
    if (!open_with("\"access\":\"pcall(function() require('moongate.abi.response').exit(403, "
                   "'no') end) h.seen.after = true\","
                   "\"log\":\"ngx.req.set_header('x-log', tostring(h.seen.after))\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_RESPONDED);
    CHECK_EQ_INT(fake_note(r)->status, 403);
    CHECK_EQ_STR(fake_note(r)->body, "no");
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "nil");
    fake_free(r);
    fake_close();
}

TEST(exit_leaves_nested_coroutines_and_threads)
{
    if (!open_with("\"access\":\"local co = coroutine.wrap(function() "
                   "coroutine.wrap(function() ngx.sleep(0.001)"
                   " ngx.thread.spawn(function() ngx.sleep(0.001) ngx.exit(418) end) "
                   "ngx.sleep(10) end)() end) co() h.seen.after = 1\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    turn_until(r, &fake_note(r)->errors);
    CHECK_EQ_INT(fake_note(r)->status, 418);
    fake_free(r);
    fake_close();
}

TEST(generators_that_wait_work)
{
    if (!open_with("\"access\":\"local gen = coroutine.wrap(function() for i = 1, 3 do "
                   "ngx.sleep(0.001) coroutine.yield(i) end end)"
                   " local sum = 0 for v in gen do sum = sum + v end "
                   "ngx.req.set_header('x-sum', sum)\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    turn_until(r, &fake_note(r)->proxied);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-sum"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "6");
    fake_free(r);
    fake_close();
}

TEST(an_error_in_access_fails_the_chain)
{
    if (!open_with(
            "\"access\":\"error('boom')\",\"log\":\"ngx.req.set_header('x-log', 'ran')\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_FAILED);
    CHECK_EQ_INT(fake_note(r)->status, 500);
    CHECK(headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0) != NULL);
    fake_free(r);
    fake_close();
}

TEST(an_error_after_a_wait_answers_500)
{
    if (!open_with("\"access\":\"ngx.sleep(0) error({})\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    turn_until(r, &fake_note(r)->errors);
    CHECK_EQ_INT(fake_note(r)->status, 500);
    fake_free(r);
    fake_close();
}

TEST(errors_in_the_filters_are_reported)
{
    if (!open_with("\"access\":\"ngx.exit(200)\",\"header_filter\":\"error('hf')\",\"log\":"
                   "\"error('log')\""))
        return;
    request_t *r = fake_request(0);
    access_of(r);
    CHECK_EQ_INT(fake_note(r)->header_filter_result, SCRIPT_FAILED);
    fake_free(r);
    fake_close();
}

TEST(body_filter_changes_chunks)
{
    if (!open_with("\"access\":\"require('moongate.abi.response').exit(200, 'abc')\","
                   "\"body_filter\":\"ngx.arg[1] = {ngx.arg[1]:upper(), {'!', 1}}\""))
        return;
    request_t *r = fake_request(0);
    access_of(r);
    CHECK_EQ_STR(fake_note(r)->body, "ABC!1");
    fake_free(r);
    fake_close();
}

TEST(phases_on_the_main_state_cannot_wait)
{
    if (!open_with(
            "\"log\":\"local ok, err = pcall(ngx.sleep, 0) ngx.req.set_header('x-log', err)\""))
        return;
    request_t *r = fake_request(0);
    request_finish(r);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0);
    if (CHECK(h != NULL))
        CHECK(str_ends(h->value, STR("API disabled in the context of log_by_lua*")));
    fake_free(r);
    fake_close();
}

TEST(a_request_sees_only_its_own_tables)
{
    if (!open_with(
            "\"access\":\"local who = ngx.req.get_headers()['x-who'] assert(next(ngx.ctx) == "
            "nil) ngx.ctx.who = who"
            " local function mine() return who end ngx.sleep(0.001)"
            " assert(mine() == ngx.req.get_headers()['x-who']) assert(ngx.ctx.who == who)"
            " ngx.req.set_header('x-out', mine())\""))
        return;
    enum { N = 40 };
    request_t *r[N];
    char who[N][32];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < N; i++) {
            r[i] = fake_request(0);
            snprintf(who[i], sizeof who[i], "%d-%d", round, i);
            fake_header(r[i], "X-Who", who[i]);
            CHECK_EQ_INT(access_of(r[i]), SCRIPT_WAITING);
        }
        turn_until(r[N - 1], &fake_note(r[N - 1])->proxied);
        for (int i = 0; i < N; i++) {
            turn_until(r[i], &fake_note(r[i])->proxied);
            const header_t *h = headers_find(&r[i]->head.headers, HDR_OTHER, STR("x-out"), 0);
            if (CHECK(h != NULL))
                CHECK_EQ_STR(h->value, who[i]);
            fake_free(r[i]);
        }
    }
    fake_close();
}

TEST(a_recycled_coroutine_keeps_closures_apart)
{
    // Closures made by one request are called by later ones, after their coroutine was used again.
    if (!open_with(
            "\"access\":\"local who = ngx.req.get_headers()['x-who'] h.seen.fns = h.seen.fns "
            "or {}"
            " for name, fn in pairs(h.seen.fns) do assert(fn() == name, 'mixed up') end"
            " h.seen.fns[who] = function() return who end"
            " if who == 'f' then error('failed') elseif who == 's' then ngx.sleep(30) end\""))
        return;
    const char *const names[] = {"a", "f", "b", "s", "c", "f", "d", "s", "e"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        request_t *r = fake_request(0);
        fake_header(r, "X-Who", names[i]);
        script_result_t want = names[i][0] == 'f'   ? SCRIPT_FAILED
                               : names[i][0] == 's' ? SCRIPT_WAITING
                                                    : SCRIPT_DONE;
        CHECK_EQ_INT(access_of(r), want);
        if (want == SCRIPT_WAITING)
            script_lua.abort(r);
        fake_free(r);
    }
    fake_close();
}

TEST(abort_cancels_what_waits_and_nothing_runs_after)
{
    if (!open_with("\"access\":\"ngx.thread.spawn(function() ngx.sleep(0.01) h.seen.thread = "
                   "true end) ngx.sleep(0.01) h.seen.after = true\","
                   "\"log\":\"ngx.req.set_header('x-log', tostring(h.seen.after) .. "
                   "tostring(h.seen.thread))\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    script_lua.abort(r);
    for (int i = 0; i < 5; i++)
        loop_turn(fake_loop(), 10);
    CHECK_EQ_INT(fake_note(r)->proxied, 0);
    request_finish(r);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "nilnil");
    fake_free(r);
    fake_close();
}

TEST(the_body_is_waited_for)
{
    if (!open_with("\"access\":\"ngx.req.read_body() ngx.req.set_header('x-body', "
                   "ngx.req.get_body_data())\""))
        return;
    request_t *r = fake_request(0);
    r->body.complete = false;
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    buf_append(&r->body.data, STR("hello"));
    r->body.complete = true;
    void (*fn)(request_t *, int) = r->on_body;
    r->on_body = NULL;
    fn(r, 0);
    CHECK_EQ_INT(fake_note(r)->proxied, 1);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-body"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "hello");
    fake_free(r);
    fake_close();
}

TEST(threads_give_their_results_in_the_order_they_end)
{
    if (!open_with(
            "\"access\":\"local a = ngx.thread.spawn(function() ngx.sleep(0.02) return 'a' end)"
            " local b = ngx.thread.spawn(function() ngx.sleep(0.005) return 'b', 2 end)"
            " local c = ngx.thread.spawn(function() error('c') end)"
            " local _, x, n = ngx.thread.wait(a, b) local _, y = ngx.thread.wait(a) local ok, "
            "z = ngx.thread.wait(c)"
            " ngx.req.set_header('x-out', x .. n .. y .. tostring(ok) .. "
            "tostring(ngx.thread.wait(c)))\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    turn_until(r, &fake_note(r)->proxied);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-out"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "b2afalsenil");
    fake_free(r);
    fake_close();
}

TEST(semaphores_wake_in_order_and_time_out)
{
    if (!open_with("\"access\":\"local s = require('moongate.ngx.thread').new_semaphore(0) "
                   "local out = {}"
                   " local t = ngx.thread.spawn(function() out[1] = tostring(s:wait(5)) end)"
                   " local ok, err = s:wait(0.005) out[2] = err s:post(1) ngx.thread.wait(t)"
                   " ngx.req.set_header('x-out', table.concat(out, ','))\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_WAITING);
    turn_until(r, &fake_note(r)->proxied);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-out"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "true,timeout");
    fake_free(r);
    fake_close();
}

TEST(timers_run_without_a_request)
{
    if (!open_with("\"access\":\"ngx.timer.at(0, function(premature, v) ngx.sleep(0.001) "
                   "h.seen.timer = v .. tostring(premature)"
                   " .. tostring(pcall(ngx.req.get_method)) end, 'x')\","
                   "\"log\":\"ngx.req.set_header('x-log', tostring(h.seen.timer))\""))
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
    for (int i = 0; i < 20; i++)
        loop_turn(fake_loop(), 5);
    request_finish(r);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "xfalsefalse");
    fake_free(r);
    fake_close();
}

TEST(a_missing_plugin_is_a_clear_error)
{
    char why[2048] = "";
    if (!CHECK(fake_open(why, sizeof why) == 0))
        return;
    CHECK_EQ_INT(
        fake_install(ROUTE,
                     "{\"id\":\"p\",\"name\":\"no-such\",\"enabled\":true,\"config\":{}}", why,
                     sizeof why),
        -1);
    CHECK(strstr(why, "plugin 'no-such': no handler found") != NULL);
    TEST_NOTE("%.60s...", why);
    fake_close();
}

TEST(a_new_generation_leaves_old_requests_alone)
{
    if (!open_with("\"access\":\"ngx.sleep(0.005) ngx.req.set_header('x-out', 'old')\""))
        return;
    request_t *old = fake_request(0);
    CHECK_EQ_INT(access_of(old), SCRIPT_WAITING);
    char why[512] = "";
    CHECK_EQ_INT(fake_install(ROUTE,
                              "{\"id\":\"p-1\",\"name\":\"probe\",\"enabled\":true,\"config\":{"
                              "\"access\":\"ngx.req.set_header('x-out', 'new')\"}}",
                              why, sizeof why),
                 0);
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
    turn_until(old, &fake_note(old)->proxied);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-out"), 0);
    const header_t *o = headers_find(&old->head.headers, HDR_OTHER, STR("x-out"), 0);
    if (CHECK(h && o)) {
        CHECK_EQ_STR(h->value, "new");
        CHECK_EQ_STR(o->value, "old");
    }
    fake_free(old);
    fake_free(r);
    fake_close();
}

TEST(the_most_specific_instance_runs)
{
    char why[512] = "";
    const char *plugins =
        "{\"id\":\"global\",\"name\":\"probe\",\"enabled\":true,\"config\":{"
        "\"rewrite\":\"local who = ngx.req.get_headers()['x-who'] if who then "
        "require('moongate.abi.route').set_consumer(tonumber(who)) end\","
        "\"access\":\"ngx.req.set_header('x-out', 'global')\"}},"
        "{\"id\":\"service\",\"name\":\"probe\",\"enabled\":true,\"service\":1,\"config\":{"
        "\"access\":\"ngx.req.set_header('x-out', 'service')\"}},"
        "{\"id\":\"off\",\"name\":\"probe\",\"enabled\":false,\"route\":1,\"config\":{"
        "\"access\":\"ngx.req.set_header('x-out', 'off')\"}},"
        "{\"id\":\"consumer\",\"name\":\"probe\",\"enabled\":true,\"consumer\":2,\"config\":{"
        "\"access\":\"ngx.req.set_header('x-out', 'bob')\"}}";
    if (!CHECK(fake_open(why, sizeof why) == 0) ||
        !CHECK(fake_install(ROUTE, plugins, why, sizeof why) == 0)) {
        TEST_NOTE("%s", why);
        return;
    }
    const struct {
        const char *who, *want;
    } cases[] = {{NULL, "service"}, {"0", "service"}, {"1", "bob"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        request_t *r = fake_request(0);
        if (cases[i].who)
            fake_header(r, "X-Who", cases[i].who);
        CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
        const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-out"), 0);
        if (CHECK(h != NULL))
            CHECK_EQ_STR(h->value, cases[i].want);
        fake_free(r);
    }
    fake_close();
}

static bool open_wanting(void)
{
    char why[512] = "";
    return CHECK(fake_open(why, sizeof why) == 0) &&
           CHECK(fake_install(
                     ROUTE,
                     "{\"id\":\"1\",\"name\":\"wanting\",\"enabled\":true,\"config\":{}}", why,
                     sizeof why) == 0);
}

TEST(an_optional_phase_runs_when_asked_for)
{
    if (!open_wanting())
        return;
    for (int wants = 0; wants < 2; wants++) {
        request_t *r = fake_request(0);
        if (wants)
            fake_header(r, "X-Want", "1");
        CHECK_EQ_INT((r->phases & PHASE_HEADER_FILTER) != 0, 0);
        CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
        CHECK_EQ_INT((r->phases & PHASE_HEADER_FILTER) != 0, wants);
        respond_begin(r, 200, 0);
        CHECK((headers_find(&r->headers, HDR_OTHER, STR("x-filtered"), 0) != NULL) == wants);
        fake_free(r);
    }
    fake_close();
}

TEST(the_response_phase_sees_and_replaces_the_collected_body)
{
    if (!open_wanting())
        return;
    request_t *r = fake_request(0);
    CHECK_EQ_INT(access_of(r), SCRIPT_DONE);
    CHECK(r->buffering);
    buf_append(&r->collected, STR("body"));
    CHECK_EQ_INT(script_lua.enter(r, PHASE_RESPONSE), SCRIPT_DONE);
    CHECK_EQ_STR(buf_str(&r->collected), "BODY");
    buf_clear(&r->collected);
    buf_append(&r->collected, STR("leave"));
    CHECK_EQ_INT(script_lua.enter(r, PHASE_RESPONSE), SCRIPT_RESPONDED);
    CHECK_EQ_INT(fake_note(r)->status, 503);
    CHECK_EQ_STR(fake_note(r)->body, "left");
    fake_free(r);
    fake_close();
}

TEST(an_exit_in_header_filter_replaces_status_and_body)
{
    if (!open_with("\"access\":\"ngx.exit(200)\","
                   "\"header_filter\":\"require('moongate.abi.response').exit(404, 'gone')"
                   " ngx.ctx.after = true\","
                   "\"log\":\"ngx.req.set_header('x-log', tostring(ngx.ctx.after))\""))
        return;
    request_t *r = fake_request(0);
    r->source = SOURCE_SERVICE;
    respond_begin(r, 200, 3);
    CHECK_EQ_INT(fake_note(r)->status, 404);
    respond_body(r, STR("old"));
    respond_body(r, STR("more"));
    CHECK_EQ_STR(fake_note(r)->body, "gone");
    request_finish(r);
    const header_t *h = headers_find(&r->head.headers, HDR_OTHER, STR("x-log"), 0);
    if (CHECK(h != NULL))
        CHECK_EQ_STR(h->value, "true");
    fake_free(r);
    fake_close();
}

TEST(a_cosocket_of_another_request_is_refused)
{
    if (!open_with(
            "\"access\":\"if not h.seen.sock then h.seen.sock = ngx.socket.tcp() else"
            " ngx.req.set_header('x-out', select(2, pcall(h.seen.sock.connect, h.seen.sock,"
            " '127.0.0.1', 1))) end\""))
        return;
    request_t *first = fake_request(0), *second = fake_request(0);
    access_of(first);
    access_of(second);
    const header_t *h = headers_find(&second->head.headers, HDR_OTHER, STR("x-out"), 0);
    if (CHECK(h != NULL))
        CHECK(str_ends(h->value, STR("bad request")));
    fake_free(first);
    fake_free(second);
    fake_close();
}

// Native functions about the request that are cold: what goes upstream, TLS, captures, the body as a string, the tap.
// Strings are copied into the request's arena. Hot getters and setters are FFI functions (abi_request.c).
#include "lua/bridge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "core/conn.h"
#include "core/respond.h"
#include "core/upstreams.h"
#include "io/hello.h"

static int ok(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}

static bool printable(str_t s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

// ---- target ----

static int l_set_method(lua_State *L)
{
    request_t *r = request_check(L);
    str_t m = arg_str(L, 1);
    if (!header_name_valid(m))
        return push_error(L, "invalid method");
    r->up.method = arena_dup(&r->arena, m);
    return ok(L);
}

static int l_set_target(lua_State *L)
{
    request_t *r = request_check(L);
    str_t host = arg_str(L, 1);
    lua_Number port = luaL_checknumber(L, 2);
    if (host.n == 0 || !printable(host))
        return push_error(L, "host must be a name or an address");
    if (!(port >= 0 && port <= 65535))
        return push_error(L, "port must be between 0 and 65535");
    r->up.host = arena_dup(&r->arena, host);
    r->up.port = (uint16_t)port;
    r->up.balancer = NULL;
    r->up.set = true;
    if (!lua_isnoneornil(L, 3))
        r->up.https = lua_toboolean(L, 3);
    return ok(L);
}

static int l_ask_on_retry(lua_State *L)
{
    request_check(L)->up.ask_on_retry = true;
    return ok(L);
}

static int l_set_scheme(lua_State *L)
{
    request_t *r = request_check(L);
    str_t s = arg_str(L, 1);
    if (!str_eq(s, STR("http")) && !str_eq(s, STR("https")))
        return push_error(L, "scheme must be http or https");
    r->up.https = s.n == 5;
    return ok(L);
}

static int l_set_path(lua_State *L)
{
    request_t *r = request_check(L);
    str_t path = arg_str(L, 1);
    if (path.n == 0 || path.p[0] != '/' || !printable(path) || str_chr(path, '?') >= 0)
        return push_error(L, "path must begin with / and be escaped, without a query");
    r->up.path = arena_dup(&r->arena, path);
    r->up.raw_path = true;
    return ok(L);
}

static int l_set_query(lua_State *L)
{
    request_t *r = request_check(L);
    str_t query = arg_str_opt(L, 1);
    if (!printable(query))
        return push_error(L, "query must be escaped");
    r->up.query = query.n ? arena_dup(&r->arena, query) : str_make(NULL, 0);
    return ok(L);
}

static int l_set_host_header(lua_State *L)
{
    request_t *r = request_check(L);
    str_t host = arg_str(L, 1);
    if (!printable(host))
        return push_error(L, "invalid host");
    r->up.host_header = arena_dup(&r->arena, host);
    return ok(L);
}

static int l_set_sni(lua_State *L)
{
    request_t *r = request_check(L);
    r->up.sni = arena_dup(&r->arena, arg_str(L, 1));
    return ok(L);
}

static void set_timeout(lua_State *L, int i, uint32_t *ms)
{
    if (lua_isnoneornil(L, i))
        return;
    lua_Number n = luaL_checknumber(L, i);
    luaL_argcheck(L, n >= 1 && n <= 2147483646, i, "must be between 1 and 2147483646 ms");
    *ms = (uint32_t)n;
}

static int l_set_timeouts(lua_State *L)
{
    request_t *r = request_check(L);
    set_timeout(L, 1, &r->up.connect_timeout_ms);
    set_timeout(L, 2, &r->up.write_timeout_ms);
    set_timeout(L, 3, &r->up.read_timeout_ms);
    return ok(L);
}

static int l_set_retries(lua_State *L)
{
    request_t *r = request_check(L);
    lua_Number n = luaL_checknumber(L, 1);
    luaL_argcheck(L, n >= 0 && n <= 32767, 1, "must be between 0 and 32767");
    r->up.retries = (uint32_t)n;
    return ok(L);
}

static int l_set_upstream(lua_State *L)
{
    request_t *r = request_check(L);
    str_t name = arg_str(L, 1);
    if (upstreams_select(r, name) != 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "could not find an Upstream named '%s'", name.p);
        return 2;
    }
    return ok(L);
}

static int l_set_tls_verify(lua_State *L)
{
    request_t *r = request_check(L);
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    r->up.tls_verify = lua_toboolean(L, 1) ? 1 : 0;
    return ok(L);
}

static int l_enable_buffering(lua_State *L)
{
    request_t *r = request_check(L);
    if (r->head_sent)
        return push_error(L, "headers have already been sent");
    r->buffering = true;
    return ok(L);
}

// ---- body ----

// limit_body(max_bytes): a longer body is an error of the request (413), while it streams too.
static int l_limit_body(lua_State *L)
{
    request_t *r = request_check(L);
    lua_Number max = luaL_checknumber(L, 1);
    luaL_argcheck(L, max >= 1 && max < 9007199254740992.0, 1, "bytes, at least 1");
    if (r->body.limit == 0 || (uint64_t)max < r->body.limit)
        r->body.limit = (uint64_t)max;
    return r->body.received > r->body.limit ? push_error(L, "too large") : ok(L);
}

static int l_body_get(lua_State *L)
{
    request_t *r = request_check(L);
    if (!r->new_body.p && !r->body.complete)
        return push_error(L, "the body has not been read");
    push_str(L, request_body_text(r));
    return 1;
}

static int l_body_set(lua_State *L)
{
    request_t *r = request_check(L);
    str_t body = arg_str(L, 1);
    if (r->exchange || r->head_sent)
        return push_error(L, "the request has gone upstream already");
    r->new_body = arena_dup(&r->arena, body);
    r->doc = NULL;
    return ok(L);
}

// ---- client ----

static void push_cstr(lua_State *L, const char *s)
{
    if (s)
        lua_pushstring(L, s);
    else
        lua_pushnil(L);
}

// The client's connection: of the request, or of the handshake under way. NULL when it has gone.
static sock_t *client_sock(lua_State *L)
{
    hello_t *h = current_hello();
    if (h)
        return h->sock;
    request_t *r = request_check(L);
    return r->conn ? r->conn->sock : NULL;
}

// tls() -> true, version, cipher, sni | false
static int l_tls(lua_State *L)
{
    sock_t *s = client_sock(L);
    lua_pushboolean(L, s && sock_is_tls(s));
    if (!lua_toboolean(L, -1))
        return 1;
    push_cstr(L, sock_tls_version(s));
    push_cstr(L, sock_tls_cipher(s));
    push_str(L, sock_sni(s));
    return 4;
}

// tls_handle() -> OpenSSL's SSL * of the client's connection (light userdata) | nil
static int l_tls_handle(lua_State *L)
{
    sock_t *s = client_sock(L);
    void *handle = s ? sock_tls_handle(s) : NULL;
    if (!handle)
        return 0;
    lua_pushlightuserdata(L, handle);
    return 1;
}

// tls_client_chain() -> the client's certificates as PEM | nil
static int l_tls_client_chain(lua_State *L)
{
    sock_t *s = client_sock(L);
    char *pem = s ? sock_client_chain(s) : NULL;
    if (!pem)
        return 0;
    lua_pushstring(L, pem);
    free(pem);
    return 1;
}

// tls_client_verify() -> "NONE" | "SUCCESS" | "FAILED:reason": what a plugin said, else what the handshake found
static int l_tls_client_verify(lua_State *L)
{
    request_t *r = request_check(L);
    if (r->client_verify.n)
        push_str(L, r->client_verify);
    else
        lua_pushstring(L, r->conn ? sock_client_verdict(r->conn->sock) : "NONE");
    return 1;
}

static int l_set_tls_client_verify(lua_State *L)
{
    request_t *r = request_check(L);
    r->client_verify = arena_dup(&r->arena, arg_str(L, 1));
    return ok(L);
}

static int l_captures(lua_State *L)
{
    request_t *r = request_check(L);
    const route_match_t *m = r->captured;
    if (!m)
        return 0;
    lua_createtable(L, 0, 2);
    lua_newtable(L);
    lua_newtable(L);
    for (uint32_t i = 0; i < m->n_captures; i++) {
        if (!m->captures[i].p)
            continue;
        push_str(L, m->captures[i]);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, (int)i);
        if (m->capture_names[i].n) {
            push_str(L, m->capture_names[i]);
            lua_insert(L, -2);
            lua_rawset(L, -3);
        } else {
            lua_pop(L, 1);
        }
    }
    lua_setfield(L, -3, "named");
    lua_setfield(L, -2, "unnamed");
    return 1;
}

// ---- tap ----

static int l_tap(lua_State *L)
{
    request_t *r = request_check(L);
    str_t kind = arg_str(L, 1);
    if (!str_eq(kind, STR("openai")))
        return push_error(L, "unknown kind of response to watch");
    request_watch(r, TAP_OPENAI, lua_toboolean(L, 2));
    return ok(L);
}

static void set_count(lua_State *L, const char *name, double v)
{
    if (v < 0)
        return;
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void set_flag(lua_State *L, const char *name, bool v)
{
    lua_pushboolean(L, v);
    lua_setfield(L, -2, name);
}

static void set_text(lua_State *L, const char *name, const char *v)
{
    if (!v[0])
        return;
    lua_pushstring(L, v);
    lua_setfield(L, -2, name);
}

static int l_tap_result(lua_State *L)
{
    request_t *r = request_check(L);
    const tap_t *t = r->tap;
    if (!t)
        return 0;
    lua_createtable(L, 0, 16);
    set_count(L, "prompt_tokens", t->prompt_tokens);
    set_count(L, "completion_tokens", t->completion_tokens);
    set_count(L, "total_tokens", t->total_tokens);
    set_count(L, "cached_tokens", t->cached_tokens);
    set_count(L, "reasoning_tokens", t->reasoning_tokens);
    set_count(L, "events", t->events);
    set_count(L, "content_bytes", (double)t->content_bytes);
    if (t->first_event_us)
        set_count(L, "first_event_ms", (double)(t->first_event_us - r->start_us) / 1000.0);
    set_text(L, "model", t->model);
    set_text(L, "finish_reason", t->finish_reason);
    set_flag(L, "stream", t->stream);
    set_flag(L, "terminal", t->done);
    set_flag(L, "failed", t->failed);
    set_flag(L, "overflow", t->overflow);
    return 1;
}

const luaL_Reg native_request[] = {
    {"set_method", l_set_method},
    {"set_target", l_set_target},
    {"ask_on_retry", l_ask_on_retry},
    {"set_scheme", l_set_scheme},
    {"set_path", l_set_path},
    {"set_query", l_set_query},
    {"set_host_header", l_set_host_header},
    {"set_sni", l_set_sni},
    {"set_timeouts", l_set_timeouts},
    {"set_retries", l_set_retries},
    {"set_upstream", l_set_upstream},
    {"set_tls_verify", l_set_tls_verify},
    {"limit_body", l_limit_body},
    {"enable_buffering", l_enable_buffering},
    {"body_get", l_body_get},
    {"body_set", l_body_set},
    {"tls", l_tls},
    {"tls_handle", l_tls_handle},
    {"tls_client_chain", l_tls_client_chain},
    {"tls_client_verify", l_tls_client_verify},
    {"set_tls_client_verify", l_set_tls_client_verify},
    {"captures", l_captures},
    {"tap", l_tap},
    {"tap_result", l_tap_result},
    {NULL, NULL},
};

// Native functions about the node: log, identity, settings, metrics, the request's record. Cold.
#include "lua/bridge.h"

#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "core/stats.h"
#include "core/upstream_health.h"
#include "lua/script.h"

// log(level, text)
static int l_log(lua_State *L)
{
    lua_Number level = luaL_checknumber(L, 1);
    str_t text = arg_str(L, 2);
    luaL_argcheck(L, level >= LOG_STDERR && level <= LOG_DEBUG, 1, "bad log level");
    const request_t *r = current_request();
    if (!log_wants((log_level_t)level))
        return 0;
    if (r)
        log_write((log_level_t)level, "%.*s, client: %s, request_id: %s", STR_FMT(text),
                  r->client_ip, r->id);
    else
        log_write((log_level_t)level, "%.*s", STR_FMT(text));
    return 0;
}

static int l_log_level(lua_State *L)
{
    lua_pushnumber(L, log_level());
    return 1;
}

static int l_worker_id(lua_State *L)
{
    lua_pushnumber(L, worker_self->index);
    return 1;
}

static int l_worker_pid(lua_State *L)
{
    lua_pushnumber(L, getpid());
    return 1;
}

// worker_pids(): those of all workers that the master counts; the own alone without a master.
static int l_worker_pids(lua_State *L)
{
    const unsigned n = worker_self->settings->workers ? worker_self->settings->workers : 1;
    int put = 0, pid;
    uint64_t lua_bytes;
    lua_newtable(L);
    for (unsigned i = 0; i < n; i++) {
        if (i != worker_self->index && !stats_slot_get(i, &pid, &lua_bytes))
            continue;
        lua_pushnumber(L, i == worker_self->index ? getpid() : pid);
        lua_rawseti(L, -2, ++put);
    }
    return 1;
}

static int l_worker_count(lua_State *L)
{
    unsigned n = worker_self->settings->workers;
    lua_pushnumber(L, n ? n : 1);
    return 1;
}

static int l_exiting(lua_State *L)
{
    const bridge_t *b = bridge_self();
    lua_pushboolean(L, worker_self->stopping || worker_self->draining || b->closing ||
                           (b->retired && b->finish_at_ms));
    return 1;
}

// exit_time() -> seconds until what waits is cancelled | nil while the worker goes on
static int l_exit_time(lua_State *L)
{
    uint64_t at_ms = bridge_self()->finish_at_ms, now_ms = loop_now_ms(worker_self->loop);
    if (!at_ms)
        return 0;
    lua_pushnumber(L, at_ms > now_ms ? (double)(at_ms - now_ms) / 1000 : 0);
    return 1;
}

static int l_node_id(lua_State *L)
{
    lua_pushstring(L, worker_self->node_id);
    return 1;
}

static int l_hostname(lua_State *L)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    lua_pushstring(L, name);
    return 1;
}

static int l_version(lua_State *L)
{
    lua_pushliteral(L, MOONGATE_VERSION);
    return 1;
}

static int l_prefix(lua_State *L)
{
    push_str(L, worker_self->settings->prefix);
    return 1;
}

static int l_share(lua_State *L)
{
    lua_pushstring(L, lua_share());
    return 1;
}

static int l_memory(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)lua_gc(L, LUA_GCCOUNT, 0) * 1024);
    return 1;
}

// ---- settings ----

static int push_list(lua_State *L, const str_t *v, uint32_t n)
{
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        push_str(L, v[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

// setting(name): those that Lua code has a use for.
static int l_setting(lua_State *L)
{
    const settings_t *s = worker_self->settings;
    const struct {
        const char *name;
        str_t text;
    } TEXTS[] = {{"prefix", s->prefix},
                 {"log_level", s->log_level},
                 {"lua_path", s->lua_path},
                 {"ca_file", s->ca_file},
                 {"access_log", s->access_log},
                 {"dns_servers", s->dns_servers},
                 {"ai_model_mismatch", s->ai_model_mismatch},
                 {"config_redis", s->config_redis},
                 {"config_redis_cluster", s->config_redis_cluster},
                 {"config_redis_password", s->config_redis_password},
                 {"config_redis_public_key", s->config_redis_public_key},
                 {"plugin_fail_open", s->plugin_fail_open},
                 {"trusted_plugins", s->trusted_plugins},
                 {"admin_key", s->admin_key},
                 {"admin_client_ca", s->admin_client_ca},
                 {"admin_store", s->admin_store},
                 {"tracing_instrumentations", s->tracing_instrumentations},
                 {"tracing_sampling_rate", s->tracing_sampling_rate}};
    const struct {
        const char *name;
        double number;
    } NUMBERS[] = {{"workers", s->workers},
                   {"body_max_bytes", (double)s->body_max_bytes},
                   {"body_buffer_max_bytes", (double)s->body_buffer_max_bytes},
                   {"plugin_budget_ms", s->plugin_budget_ms}};
    const char *name = luaL_checkstring(L, 1);
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        if (strcmp(TEXTS[i].name, name) == 0) {
            push_str(L, TEXTS[i].text);
            return 1;
        }
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        if (strcmp(NUMBERS[i].name, name) == 0) {
            lua_pushnumber(L, NUMBERS[i].number);
            return 1;
        }
    if (strcmp(name, "plugin_dirs") == 0)
        return push_list(L, s->plugin_dirs, s->n_plugin_dirs);
    if (strcmp(name, "config_paths") == 0)
        return push_list(L, s->config_paths, s->n_config_paths);
    if (strcmp(name, "trusted_ips") == 0)
        return push_list(L, s->trusted_ips, s->n_trusted_ips);
    const struct {
        const char *name;
        bool on;
    } SWITCHES[] = {{"admin_unprotected", s->admin_unprotected},
                    {"lua_pipe", s->lua_pipe},
                    {"tls_verify", s->tls_verify}};
    for (size_t i = 0; i < sizeof SWITCHES / sizeof *SWITCHES; i++)
        if (strcmp(SWITCHES[i].name, name) == 0) {
            lua_pushboolean(L, SWITCHES[i].on);
            return 1;
        }
    return 0;
}

// ---- record and metrics ----

static int push_buf(lua_State *L, buf_t *b)
{
    push_str(L, buf_str(b));
    buf_dispose(b);
    return 1;
}

static int l_serialize(lua_State *L)
{
    request_t *r = request_check(L);
    buf_t out = {0};
    record_write(&out, r);
    return push_buf(L, &out);
}

static int l_set_log_fields(lua_State *L)
{
    request_t *r = request_check(L);
    r->log_fields = arena_dup(&r->arena, arg_str(L, 1));
    return 0;
}

static int l_metrics_render(lua_State *L)
{
    buf_t out = {0};
    upstream_health_metrics(worker_self, &out);
    stats_render(&out);
    return push_buf(L, &out);
}

static int l_connections(lua_State *L)
{
    static const struct {
        const char *name;
        stat_fixed_t field;
    } FIELDS[] = {
        {"accepted", SF_CONN_ACCEPTED}, {"handled", SF_CONN_HANDLED},
        {"active", SF_CONN_ACTIVE},     {"reading", SF_CONN_READING},
        {"writing", SF_CONN_WRITING},   {"waiting", SF_CONN_WAITING},
        {"requests", SF_REQUESTS},
    };
    lua_createtable(L, 0, 7);
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        lua_pushnumber(L, (lua_Number)stat_fixed_get(FIELDS[i].field));
        lua_setfield(L, -2, FIELDS[i].name);
    }
    return 1;
}

// ---- series ----

static int l_stat_counter(lua_State *L)
{
    lua_pushnumber(L, stat_counter(arg_str(L, 1), arg_str_opt(L, 2), luaL_optstring(L, 3, "")));
    return 1;
}

static int l_stat_gauge(lua_State *L)
{
    lua_pushnumber(L, stat_gauge(arg_str(L, 1), arg_str_opt(L, 2), luaL_optstring(L, 3, "")));
    return 1;
}

static int l_stat_histogram(lua_State *L)
{
    enum { BOUNDS_MAX = 64 };
    double bounds[BOUNDS_MAX];
    luaL_checktype(L, 4, LUA_TTABLE);
    size_t n = lua_objlen(L, 4);
    luaL_argcheck(L, n > 0 && n <= BOUNDS_MAX, 4, "1 to 64 bounds");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 4, (int)i + 1);
        bounds[i] = lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pushnumber(L, stat_histogram(arg_str(L, 1), arg_str_opt(L, 2), luaL_optstring(L, 3, ""),
                                     bounds, (unsigned)n));
    return 1;
}

static int l_stat_label(lua_State *L)
{
    buf_t out = {0};
    stat_label(&out, arg_str(L, 1), arg_str(L, 2));
    return push_buf(L, &out);
}

const luaL_Reg native_node[] = {
    {"log", l_log},
    {"log_level", l_log_level},
    {"worker_id", l_worker_id},
    {"worker_pid", l_worker_pid},
    {"worker_pids", l_worker_pids},
    {"worker_count", l_worker_count},
    {"exiting", l_exiting},
    {"exit_time", l_exit_time},
    {"node_id", l_node_id},
    {"hostname", l_hostname},
    {"version", l_version},
    {"prefix", l_prefix},
    {"share", l_share},
    {"memory", l_memory},
    {"setting", l_setting},
    {"serialize", l_serialize},
    {"set_log_fields", l_set_log_fields},
    {"metrics_render", l_metrics_render},
    {"connections", l_connections},
    {"stat_counter", l_stat_counter},
    {"stat_gauge", l_stat_gauge},
    {"stat_histogram", l_stat_histogram},
    {"stat_label", l_stat_label},
    {NULL, NULL},
};

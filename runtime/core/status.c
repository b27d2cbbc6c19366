// The status listener's answers. Liveness is /status (200 as long as this process turns), readiness /status/ready.
// Not the metrics of plugins (plugins/prometheus puts those into core/stats.h); not an Admin API.
#include "core/status.h"

#include <stdio.h>

#include "base/check.h"
#include "core/config_state.h"
#include "core/respond.h"
#include "core/quarantine.h"
#include "core/shdict.h"
#include "core/status_config.h"
#include "core/stats.h"
#include "core/upstream_health.h"
#include "core/worker.h"
#include "http/uri.h"

static const double MIB = 1024 * 1024;

// What a controller takes for "this gateway has no configuration yet, push it".
static const char ZERO_HASH[] = "00000000000000000000000000000000";

// ---- /status ----

static void put_server(buf_t *b)
{
    static const struct {
        const char *name;
        stat_fixed_t stat;
    } ROWS[] = {
        {"connections_accepted", SF_CONN_ACCEPTED},
        {"connections_active", SF_CONN_ACTIVE},
        {"connections_handled", SF_CONN_HANDLED},
        {"connections_reading", SF_CONN_READING},
        {"connections_waiting", SF_CONN_WAITING},
        {"connections_writing", SF_CONN_WRITING},
        {"total_requests", SF_REQUESTS},
    };
    buf_append(b, STR("\"server\":{"));
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        buf_printf(b, "%s\"%s\":%lld", i ? "," : "", ROWS[i].name,
                   (long long)stat_fixed_get(ROWS[i].stat));
    buf_putc(b, '}');
}

static void put_memory(buf_t *b)
{
    buf_append(b, STR("\"memory\":{\"workers_lua_vms\":["));
    int pid;
    uint64_t lua_bytes;
    for (unsigned i = 0, put = 0; i < STATS_SLOTS_MAX; i++) {
        if (stats_slot_get(i, &pid, &lua_bytes))
            buf_printf(b, "%s{\"pid\":%d,\"http_allocated_gc\":\"%.2f MiB\"}", put++ ? "," : "",
                       pid, (double)lua_bytes / MIB);
    }
    buf_append(b, STR("],\"lua_shared_dicts\":{"));
    for (unsigned i = 0, put = 0; i < SHDICTS_MAX; i++) {
        shdict_t *d = shdict_at(i);
        if (!d)
            continue;
        uint64_t capacity = shdict_capacity(d), used = capacity - shdict_free_space(d);
        buf_printf(b, "%s\"%.*s\":{\"allocated_slabs\":\"%.2f MiB\",\"capacity\":\"%.2f MiB\"}",
                   put++ ? "," : "", STR_FMT(shdict_name(d)), (double)used / MIB,
                   (double)capacity / MIB);
    }
    buf_append(b, STR("}}"));
}

// Of the configuration in use; its own process of the Admin API has another one.
static void put_hash(const worker_t *w, buf_t *b)
{
    config_state_t s;
    config_state_get(&s);
    const char *hash = w->admin && s.hash[0] ? s.hash : w->gen->hash;
    buf_printf(b, "\"configuration_hash\":\"%s\"",
               s.files == 0 ? ZERO_HASH
                            : hash); // also until the master has said what it loaded
}

void status_put_json(worker_t *w, buf_t *b)
{
    buf_putc(b, '{');
    put_server(b);
    buf_putc(b, ',');
    quarantine_json(b);
    buf_putc(b, ',');
    put_memory(b);
    buf_append(b, STR(",\"database\":{\"reachable\":true},"));
    put_hash(w, b);
    buf_putc(b, ',');
    status_config_json(w, b);
    buf_putc(b, '}');
}

// ---- /metrics ----

typedef struct family {
    buf_t *b;
    const char *name;
} family_t;

static family_t family(buf_t *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    return (family_t){b, name};
}

static void line(family_t f, const char *labels, double value)
{
    buf_printf(f.b, "%s%s %.0f\n", f.name, labels, value);
}

static void put_connections(buf_t *b, const char *node)
{
    static const struct {
        const char *state;
        stat_fixed_t stat;
    } ROWS[] = {
        {"accepted", SF_CONN_ACCEPTED}, {"active", SF_CONN_ACTIVE},
        {"handled", SF_CONN_HANDLED},   {"reading", SF_CONN_READING},
        {"waiting", SF_CONN_WAITING},   {"writing", SF_CONN_WRITING},
    };
    family_t f = family(b, "kong_nginx_connections_total", "gauge",
                        "Number of connections by subsystem");
    char labels[160];
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        snprintf(labels, sizeof labels, "{node_id=\"%s\",subsystem=\"http\",state=\"%s\"}",
                 node, ROWS[i].state);
        line(f, labels, (double)stat_fixed_get(ROWS[i].stat));
    }
    snprintf(labels, sizeof labels, "{node_id=\"%s\",subsystem=\"http\",state=\"total\"}",
             node);
    line(f, labels, (double)stat_fixed_get(SF_REQUESTS));
}

static void put_timers(buf_t *b, const char *node)
{
    family_t f = family(b, "kong_nginx_timers", "gauge", "Number of timers of plugins");
    char labels[128];
    snprintf(labels, sizeof labels, "{node_id=\"%s\",state=\"pending\"}", node);
    line(f, labels, (double)stat_fixed_get(SF_TIMERS_PENDING));
    snprintf(labels, sizeof labels, "{node_id=\"%s\",state=\"running\"}", node);
    line(f, labels, (double)stat_fixed_get(SF_TIMERS_RUNNING));
}

static void put_dicts(buf_t *b, const char *node, bool total)
{
    family_t f = total ? family(b, "kong_memory_lua_shared_dict_total_bytes", "gauge",
                                "Total capacity in bytes of a shared_dict")
                       : family(b, "kong_memory_lua_shared_dict_bytes", "gauge",
                                "Allocated slabs in bytes in a shared_dict");
    char labels[200];
    for (unsigned i = 0; i < SHDICTS_MAX; i++) {
        shdict_t *d = shdict_at(i);
        if (!d)
            continue;
        uint64_t capacity = shdict_capacity(d);
        snprintf(labels, sizeof labels,
                 "{node_id=\"%s\",shared_dict=\"%.*s\",kong_subsystem=\"http\"}", node,
                 STR_FMT(shdict_name(d)));
        line(f, labels, (double)(total ? capacity : capacity - shdict_free_space(d)));
    }
}

static void put_vms(buf_t *b, const char *node)
{
    family_t f = family(b, "kong_memory_workers_lua_vms_bytes", "gauge",
                        "Allocated bytes in worker Lua VM");
    char labels[160];
    int pid;
    uint64_t lua_bytes;
    for (unsigned i = 0; i < STATS_SLOTS_MAX; i++) {
        if (!stats_slot_get(i, &pid, &lua_bytes))
            continue;
        snprintf(labels, sizeof labels, "{node_id=\"%s\",pid=\"%d\",kong_subsystem=\"http\"}",
                 node, pid);
        line(f, labels, (double)lua_bytes);
    }
}

static void put_own(buf_t *b, const worker_t *w)
{
    line(family(b, "moongate_worker_respawns_total", "counter",
                "Workers replaced after a crash or a hang"),
         "", (double)stat_fixed_get(SF_RESPAWNS));
    line(family(b, "moongate_access_log_dropped_total", "counter",
                "Access log lines dropped because the disk did not keep up"),
         "", (double)stat_fixed_get(SF_LOG_DROPPED));
    line(family(b, "moongate_tls_handshake_errors_total", "counter",
                "TLS handshakes that failed"),
         "", (double)stat_fixed_get(SF_TLS_ERRORS));
    line(family(b, "moongate_metrics_dropped_total", "counter",
                "Additions to metrics that had no room"),
         "", (double)stats_dropped());
    quarantine_metrics(b);
    status_config_metrics(w, b);
}

void status_put_metrics(worker_t *w, buf_t *b)
{
    const char *node = w->node_id;
    char labels[128];
    put_connections(b, node);
    snprintf(labels, sizeof labels, "{node_id=\"%s\",subsystem=\"http\"}", node);
    line(family(b, "kong_nginx_requests_total", "gauge", "Total number of requests"), labels,
         (double)stat_fixed_get(SF_REQUESTS));
    put_timers(b, node);
    snprintf(labels, sizeof labels, "{node_id=\"%s\",version=\"%s\"}", node, MOONGATE_VERSION);
    line(family(b, "kong_node_info", "gauge", "Node metadata information"), labels, 1);
    line(
        family(b, "kong_datastore_reachable", "gauge", "Datastore reachable, 0 is unreachable"),
        "", 1);
    put_dicts(b, node, false);
    put_dicts(b, node, true);
    put_vms(b, node);
    put_own(b, w);
    upstream_health_metrics(w, b);
    stats_render(b);
}

// ---- answering ----

static void answer(request_t *r, unsigned status, buf_t *body, str_t type)
{
    str_t copy = arena_dup(&r->arena, buf_str(body));
    buf_dispose(body);
    respond_exit(r, status, copy, type);
}

static void answer_message(request_t *r, unsigned status, const char *message)
{
    buf_t body = {0};
    buf_printf(&body, "{\"message\":\"%s\"}", message);
    answer(r, status, &body, STR("application/json; charset=utf-8"));
}

// Before the first configuration has come (config_redis, the Admin API) there is nothing to serve.
static bool is_waiting_for_configuration(void)
{
    config_state_t s;
    config_state_get(&s);
    return s.files == 0;
}

static void answer_ready(request_t *r)
{
    if (r->worker->draining || r->worker->stopping || config_state_drained())
        answer_message(r, 503, "draining");
    else if (is_waiting_for_configuration())
        answer_message(r, 503, "no configuration available");
    else
        answer_message(r, 200, "ready");
}

static void answer_made(request_t *r, void (*make)(worker_t *w, buf_t *b), str_t type)
{
    buf_t body = {0};
    make(r->worker, &body);
    answer(r, 200, &body, type);
}

// The name in /upstreams/{name}/health; empty for other paths.
static str_t upstream_in(str_t path)
{
    const str_t before = STR("/upstreams/"), after = STR("/health");
    if (path.n <= before.n + after.n || !str_starts(path, before) || !str_ends(path, after))
        return STR("");
    str_t name = str_make(path.p + before.n, path.n - before.n - after.n);
    return str_chr(name, '/') < 0 ? name : STR("");
}

static void answer_upstream(request_t *r, str_t name)
{
    const upstream_t *u = upstream_health_find(r->worker, name);
    buf_t body = {0};
    str_t asked;
    if (!u) {
        answer_message(r, 404, "Not found");
        return;
    }
    if (r->head.query.p && query_get(r->head.query, STR("balancer_health"), &asked, NULL) &&
        str_eq(asked, STR("1")))
        upstream_health_summary(r->worker, u, &body);
    else
        upstream_health_json(r->worker, u, &body);
    answer(r, 200, &body, STR("application/json; charset=utf-8"));
}

void status_handle(request_t *r)
{
    ASSERT(r->gen, "a worker serves only with a configuration");
    bool reading = r->head.method == METHOD_GET || r->head.method == METHOD_HEAD;
    bool status = str_eq(r->path, STR("/status")),
         ready = str_eq(r->path, STR("/status/ready")),
         metrics = str_eq(r->path, STR("/metrics"));
    str_t upstream = upstream_in(r->path);
    if (!status && !ready && !metrics && upstream.n == 0) {
        answer_message(r, 404, "Not found");
    } else if (!reading) {
        respond_header_set(r, STR("Allow"), STR("GET, HEAD"));
        answer_message(r, 405, "Method not allowed");
    } else if (upstream.n) {
        answer_upstream(r, upstream);
    } else if (ready) {
        answer_ready(r);
    } else if (status) {
        answer_made(r, status_put_json, STR("application/json; charset=utf-8"));
    } else {
        answer_made(r, status_put_metrics, STR("text/plain; version=0.0.4; charset=utf-8"));
    }
}

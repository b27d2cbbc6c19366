// Settings of this node (not of routes): listeners, workers, logs, limits, timeouts. From flags, then environment (MOONGATE_X, then
// KONG_X where Kong has the same setting; either as X_FILE too, which names a file with the value), then a YAML file (conf/gateway.yaml), then defaults; each remembers where it came from.
// Not the configuration of services and routes: that is the loader's (lua/loader.h), from config_paths.
#pragma once

#include <limits.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

typedef struct listen_setting {
    str_t address; // "127.0.0.1:8000", "[::1]:8000", "unix:/path"; numeric
    bool tls, reuseport;
    int backlog; // 0: the system's
} listen_setting_t;

enum { LISTEN_MAX = 16, SETTINGS_MAX = 128, DICT_SETTINGS_MAX = 16 };

// A shared dictionary that plugins asked for.
typedef struct dict_setting {
    str_t name;
    uint64_t bytes;
} dict_setting_t;

typedef struct settings {
    arena_t arena; // owns every str below
    listen_setting_t proxy_listen[LISTEN_MAX], status_listen[LISTEN_MAX],
        admin_listen[LISTEN_MAX];
    uint32_t n_proxy_listen, n_status_listen, n_admin_listen; // "off": 0
    uint32_t workers;                       // 0: by the cgroup's CPU limit (settings_workers)
    bool master;                            // false: --no-master
    str_t prefix;                           // run directory (pid file, sockets)
    str_t log_level, access_log, error_log; // paths; access_log "off", "-" (stdout)
    str_t *trusted_ips;                     // CIDRs
    uint32_t n_trusted_ips;
    str_t *config_paths; // -c FILE|DIR in order
    uint32_t n_config_paths;
    str_t *plugin_dirs; // extra directories holding plugins/<name>/
    uint32_t n_plugin_dirs;
    str_t lua_path; // extra package.path
    str_t watch;    // how changes of those are noticed: "auto", "inotify", "poll", "off"
    uint32_t watch_interval_ms;
    bool
        last_good; // the last configuration that worked is kept in the prefix, and used when the files are invalid at start
    str_t config_redis,        // URL of a Redis that the configuration comes from; empty: none
        config_redis_cluster,  // whose configuration
        config_redis_password, // empty: the URL's
        config_redis_public_key; // file; empty: unsigned ones are taken
    // limits
    uint32_t head_max_bytes, target_max_bytes, fields_max;
    uint64_t body_max_bytes;        // any request body; 0: unlimited
    uint64_t body_buffer_max_bytes; // a body held in memory for a plugin
    uint32_t connections_max;       // per worker; over it 503 + Retry-After
    uint32_t keepalive_requests_max;
    // timeouts, ms
    uint32_t header_timeout_ms, body_timeout_ms, keepalive_timeout_ms, send_timeout_ms,
        lingering_ms;
    uint32_t upstream_keepalive_ms, upstream_keepalive_pool, upstream_keepalive_requests;
    uint32_t drain_delay_ms, drain_timeout_ms;
    uint32_t max_connection_age_ms, max_connection_age_jitter;          // 0: no limit; per cent
    uint32_t max_stream_age_ms, stream_ping_ms, stream_idle_timeout_ms; // 0: off
    uint32_t worker_hang_ms;   // heartbeat older than this: the worker is killed
    uint32_t plugin_budget_ms; // CPU a plugin may use between two awaits
    uint32_t plugin_kills;     // so many workers within the window switch it off; 0: never
    uint32_t plugin_kills_window_ms;
    str_t plugin_fail_open;       // names of plugins without which requests pass then
    str_t trusted_plugins;        // names of plugins from files that run as the gateway's own
    bool lua_pipe;                // plugins that are trusted may start programs (ngx.pipe)
    uint64_t plugin_memory_bytes; // Lua memory it may take between two awaits
    // behaviour
    bool client_half_close; // a client that ends its side still gets its answer
    bool tls_verify;        // upstream certificates, default on
    str_t ca_file;          // trust anchors, empty: system
    str_t ssl_cert,
        ssl_cert_key; // default certificate of TLS listeners (files); empty: self-signed
    // the Admin API
    str_t admin_key; // what Kong-Admin-Token must hold; empty: nothing is asked for
    str_t
        admin_client_ca; // file of CAs that sign its clients' certificates; empty: none is asked for
    bool admin_unprotected;                   // neither of these is needed beyond loopback
    str_t admin_ssl_cert, admin_ssl_cert_key; // empty: ssl_cert, ssl_cert_key
    str_t admin_access_log;
    str_t admin_store; // directory of what is written through it; empty: read only
    str_t dns_servers; // empty: system's
    bool
        retry_non_idempotent; // replay a POST when a reused connection closed before any answer
    bool server_header;       // Server/Via/X-Kong-* latency headers
    str_t error_default_type;
    str_t ai_model_mismatch; // "reject" or "replace"
    str_t tracing_instrumentations, tracing_sampling_rate;
    uint32_t shared_dict_bytes;
    dict_setting_t lua_shared_dicts[DICT_SETTINGS_MAX];
    uint32_t n_lua_shared_dicts;
    const char *origins[SETTINGS_MAX]; // beside settings_rows
} settings_t;

typedef enum setting_type {
    SETTING_LISTEN, // "ADDRESS:PORT [ssl] [reuseport] [backlog=N], ..." or "off"
    SETTING_COUNT,
    SETTING_BYTES, // 8k, 10m, 1g
    SETTING_TIME,  // 250ms, 10s, 5m, 1h; a bare number is milliseconds
    SETTING_SWITCH,
    SETTING_TEXT,
    SETTING_LEVEL,
    SETTING_CHOICE, // one word of the row's kind, "this or that"
    SETTING_CIDRS,
    SETTING_PATHS,
    SETTING_DICTS, // "NAME SIZE, ..."
} setting_type_t;

// Every setting as one row: flags (--proxy-listen), env names (MOONGATE_PROXY_LISTEN), file keys (proxy_listen), --help
// and docs come from it.
typedef struct setting_row {
    const char *name;
    const char *kind;     // what to write, for people: "a time", "a size", "on or off" ...
    const char *fallback; // the default as text
    const char *help;     // one sentence
    const char
        *kong; // name behind KONG_ in the environment, NULL: Kong has none with this meaning
    setting_type_t type;
    size_t at, n_at;   // offsets in settings_t; n_at: of a list's count
    uint64_t min, max; // max over 2^32-1: the field is a uint64_t
} setting_row_t;
const setting_row_t *settings_rows(unsigned *n);

// The directory for what comes from config_redis: the last of config_paths then.
void settings_remote_dir(const settings_t *s, char path[PATH_MAX]);

// Reads. `flags` are name=value pairs from the command line (name with '-' or '_'; given twice, lists grow and others take the last).
// 0; -1 with all problems as lines in *why (owned, free()): the setting, where it came from, what is wrong, what to write.
int settings_load(settings_t *out, const char *file_or_null, char **flags, unsigned n_flags,
                  char *const *environ_or_null, char **why);
void settings_dispose(settings_t *s);
// Appends the value as one would write it in the environment; an empty list or text as nothing.
void settings_text(const settings_t *s, const setting_row_t *row, buf_t *out);
// "flag", "environment MOONGATE_X", "conf/gateway.yaml:3", "default". NULL: no such setting.
const char *settings_origin(const settings_t *s, const char *name);

// How many workers to start: `workers`, or the CPUs this process may use (cgroup quota rounded up, CPU affinity), at least 1.
uint32_t settings_workers(const settings_t *s);

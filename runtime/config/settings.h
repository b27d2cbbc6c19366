// Settings of this node (not of routes): listeners, workers, logs, limits, timeouts. From flags, then environment (MOONGATE_X),
// then a YAML file (conf/gateway.yaml), then defaults; each remembers where it came from.
#pragma once

#include "base/arena.h"
#include "base/str.h"

typedef struct listen_setting {
    str_t address; // "127.0.0.1:8000"
    bool tls, reuseport;
    int backlog;
} listen_setting_t;

enum { LISTEN_MAX = 16 };

typedef struct settings {
    arena_t arena; // owns every str below
    listen_setting_t proxy_listen[LISTEN_MAX], status_listen[LISTEN_MAX],
        admin_listen[LISTEN_MAX];
    uint32_t n_proxy_listen, n_status_listen, n_admin_listen; // "off": 0
    uint32_t workers;                                         // 0: by the cgroup's CPU limit
    bool master;                                              // false: --no-master
    str_t prefix;                           // run directory (pid file, sockets)
    str_t log_level, access_log, error_log; // paths; access_log "off", "-" (stdout)
    str_t *trusted_ips;                     // CIDRs
    uint32_t n_trusted_ips;
    str_t *config_paths; // -c FILE|DIR in order
    uint32_t n_config_paths;
    str_t *plugin_dirs; // extra directories holding plugins/<name>/
    uint32_t n_plugin_dirs;
    str_t lua_path; // extra package.path
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
    uint32_t worker_hang_ms;   // heartbeat older than this: the worker is killed
    uint32_t plugin_budget_ms; // CPU a plugin may use between two awaits
    // behaviour
    bool tls_verify; // upstream certificates, default on
    str_t ca_file;   // trust anchors, empty: system
    str_t ssl_cert,
        ssl_cert_key;  // default certificate of TLS listeners (files); empty: self-signed
    str_t dns_servers; // empty: system's
    bool
        retry_non_idempotent; // replay a POST when a reused connection closed before any answer
    bool server_header;       // Server/Via/X-Kong-* latency headers
    str_t error_default_type;
    uint32_t shared_dict_bytes;
} settings_t;

// Every setting as one row (name, type, default, unit, one sentence): flags, env names, file keys, --help and docs come from it.
typedef struct setting_row {
    const char *name, *kind, *fallback, *help;
} setting_row_t;
const setting_row_t *settings_rows(unsigned *n);

// Reads. `flags` are name=value pairs from the command line (name with '-' or '_'). 0; -1 with all problems as lines in *why (owned, free()).
int settings_load(settings_t *out, const char *file_or_null, char **flags, unsigned n_flags,
                  char *const *environ_or_null, char **why);
void settings_dispose(settings_t *s);
// "flag", "environment MOONGATE_X", "conf/gateway.yaml:3", "default".
const char *settings_origin(const settings_t *s, const char *name);

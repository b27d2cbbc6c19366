// The table of settings, and nothing else: flags, environment, file and help are made from it.
#include "config/settings.h"

#define AT(field) offsetof(settings_t, field)
#define LISTEN(name, fallback, kong, help)                                                     \
    {                                                                                          \
#name, "listeners", fallback, help, kong, SETTING_LISTEN, AT(name), AT(n_##name), 0, 0 \
    }
#define COUNT(name, field, fallback, kong, min, max, help)                                     \
    {                                                                                          \
        name, "a number", fallback, help, kong, SETTING_COUNT, AT(field), 0, min, max          \
    }
#define BYTES(name, fallback, min, max, help)                                                  \
    {                                                                                          \
#name, "a size", fallback, help, NULL, SETTING_BYTES, AT(name), 0, min, max            \
    }
#define TIME(name, field, fallback, min, max, help)                                            \
    {                                                                                          \
        name, "a time", fallback, help, NULL, SETTING_TIME, AT(field), 0, min, max             \
    }
#define SWITCH(name, fallback, help)                                                           \
    {                                                                                          \
#name, "on or off", fallback, help, NULL, SETTING_SWITCH, AT(name), 0, 0, 0            \
    }
#define TEXT(name, fallback, kong, help)                                                       \
    {                                                                                          \
#name, "text", fallback, help, kong, SETTING_TEXT, AT(name), 0, 0, 0                   \
    }

enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };
#define MIB (1024ULL * 1024)

static const setting_row_t rows[] = {
    LISTEN(proxy_listen, "0.0.0.0:8000, 0.0.0.0:8443 ssl", "PROXY_LISTEN",
           "Where clients connect."),
    LISTEN(status_listen, "127.0.0.1:8100", "STATUS_LISTEN",
           "Where health, readiness and metrics are served."),
    LISTEN(admin_listen, "off", "ADMIN_LISTEN",
           "For the Admin API; Kong's address is 127.0.0.1:8001. Beyond loopback it needs "
           "admin_key or "
           "admin_client_ca."),
    COUNT("workers", workers, "auto", "NGINX_WORKER_PROCESSES", 0, 1024,
          "Worker processes; auto: one for each CPU that the cgroup and the affinity allow."),
    SWITCH(
        master, "on",
        "A master process that owns sockets and watches the workers; off: one plain process."),
    TEXT(prefix, "auto", "PREFIX",
         "Run directory: pid file and what is kept of earlier runs; auto: /run/moongate for "
         "root, "
         "else $XDG_RUNTIME_DIR/moongate, else /tmp/moongate-UID."),
    {"log_level", "a level", "notice", "The least level that the error log takes.", "LOG_LEVEL",
     SETTING_LEVEL, AT(log_level), 0, 0, 0},
    TEXT(access_log, "-", "PROXY_ACCESS_LOG",
         "Access log file; - is standard output, off is none."),
    TEXT(error_log, "stderr", "PROXY_ERROR_LOG", "Error log file, or stderr."),
    {"trusted_ips", "addresses", "", "Peers whose X-Forwarded-* fields are believed.",
     "TRUSTED_IPS", SETTING_CIDRS, AT(trusted_ips), AT(n_trusted_ips), 0, 0},
    {"config_paths", "paths", "", "Configuration files and directories, in order.",
     "DECLARATIVE_CONFIG", SETTING_PATHS, AT(config_paths), AT(n_config_paths), 0, 0},
    {"plugin_dirs", "paths", "",
     "Directories with more plugins, as NAME/handler.lua and NAME/schema.lua.", NULL,
     SETTING_PATHS, AT(plugin_dirs), AT(n_plugin_dirs), 0, 0},
    TEXT(lua_path, "", "LUA_PACKAGE_PATH", "Put in front of Lua's package.path."),
    {"watch", "auto or inotify or poll or off", "auto",
     "How changes of configuration files and plugins are noticed while serving; auto is "
     "inotify and "
     "a look now and then; off: only SIGHUP.",
     NULL, SETTING_CHOICE, AT(watch), 0, 0, 0},
    TIME("watch_interval", watch_interval_ms, "15s", 100, DAY,
         "Between two looks at the files (watch: auto or poll)."),
    SWITCH(
        last_good, "off",
        "The last configuration that worked is kept in the prefix, secrets and all, and used "
        "when the files are invalid at start."),
    TEXT(config_redis, "", NULL,
         "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] (rediss:// with TLS): the "
         "configuration that "
         "`moongate config push` put there is in use, and followed."),
    TEXT(config_redis_cluster, "default", NULL,
         "Gateways of one cluster share one configuration in config_redis."),
    TEXT(config_redis_password, "", NULL,
         "Password of config_redis, when it is not in the URL."),
    TEXT(config_redis_public_key, "", NULL,
         "File with an Ed25519 public key (PEM): only configurations signed with its private "
         "key are "
         "taken, and those may hold plugins."),

    BYTES(head_max_bytes, "16k", 1024, MIB, "Largest request head; over it 431."),
    BYTES(target_max_bytes, "8k", 256, MIB, "Longest request target; over it 414."),
    COUNT("fields_max", fields_max, "100", NULL, 8, 10000,
          "Most field lines of a head; over it 431."),
    {"body_max_bytes", "a size", "0",
     "Largest request body; over it 413; 0: no limit, since bodies are streamed.",
     "NGINX_HTTP_CLIENT_MAX_BODY_SIZE", SETTING_BYTES, AT(body_max_bytes), 0, 0, 1ULL << 50},
    BYTES(body_buffer_max_bytes, "64m", 1024, 1ULL << 40,
          "Largest body that a plugin may hold in memory; over it 413."),
    COUNT("connections_max", connections_max, "16384", NULL, 1, 10000000,
          "Client connections of one worker; over it 503."),
    COUNT("keepalive_requests", keepalive_requests_max, "10000",
          "NGINX_HTTP_KEEPALIVE_REQUESTS", 1, UINT32_MAX, "Requests of one client connection."),

    TIME("header_timeout", header_timeout_ms, "10s", 1, DAY,
         "For a whole request head, from its first byte."),
    TIME("body_timeout", body_timeout_ms, "30s", 1, DAY,
         "Between two reads of a request body."),
    TIME("keepalive_timeout", keepalive_timeout_ms, "75s", 0, DAY,
         "Between two requests of a connection; 0: none is kept."),
    TIME("send_timeout", send_timeout_ms, "60s", 1, DAY,
         "Between two writes to a client that does not read."),
    TIME("lingering_time", lingering_ms, "2s", 0, HOUR,
         "How long a refused body is read and dropped before the close."),
    TIME("upstream_keepalive", upstream_keepalive_ms, "60s", 0, DAY,
         "How long an idle upstream connection is kept."),
    COUNT("upstream_keepalive_pool", upstream_keepalive_pool, "512",
          "UPSTREAM_KEEPALIVE_POOL_SIZE", 0, 1000000,
          "Idle connections kept for each upstream address."),
    COUNT("upstream_keepalive_requests", upstream_keepalive_requests, "10000",
          "UPSTREAM_KEEPALIVE_MAX_REQUESTS", 1, UINT32_MAX,
          "Requests of one upstream connection."),
    TIME("drain_delay", drain_delay_ms, "0", 0, HOUR,
         "After SIGTERM, how long new connections are still taken (Kubernetes: 10s)."),
    TIME("drain_timeout", drain_timeout_ms, "240s", 0, DAY,
         "How long requests under way may take to end before they are cut."),
    TIME("max_connection_age", max_connection_age_ms, "0", 0, DAY,
         "After it a client connection is closed at its next answer, or when idle; 0: never."),
    COUNT("max_connection_age_jitter", max_connection_age_jitter, "10", NULL, 0, 100,
          "Per cent by which that age is longer at most, by chance, so that not all end at "
          "once."),
    TIME("max_stream_age", max_stream_age_ms, "0", 0, DAY,
         "After it an event stream is ended with an error event; 0: never."),
    TIME("stream_ping", stream_ping_ms, "0", 0, DAY,
         "An event stream that was quiet for so long gets a comment (: ping); 0: none."),
    TIME(
        "stream_idle_timeout", stream_idle_timeout_ms, "0", 0, DAY,
        "An upstream may be silent for so long within an event stream, which then ends with an "
        "error event; 0: the service's read_timeout, which breaks it off."),
    SWITCH(client_half_close, "off",
           "A client that ends its side of the connection after its request still gets the "
           "answer; off: it is taken for gone, as nginx does."),
    TIME("worker_hang", worker_hang_ms, "2s", 100, HOUR,
         "A worker that has not answered for so long is killed and replaced."),
    TIME("plugin_budget", plugin_budget_ms, "100ms", 1, HOUR,
         "CPU time that a plugin may use between two waits."),
    {"plugin_memory", "a size", "64m",
     "Memory that a plugin's Lua code may take between two waits; over it 500.", NULL,
     SETTING_BYTES, AT(plugin_memory_bytes), 0, MIB, 1ULL << 33},
    COUNT("plugin_kills", plugin_kills, "3", NULL, 0, 16,
          "A plugin in whose code so many workers were killed or crashed within "
          "plugin_kills_window is switched off; 0: never."),
    TIME("plugin_kills_window", plugin_kills_window_ms, "60s", SECOND, DAY,
         "The time that plugin_kills counts."),
    TEXT(plugin_fail_open, "", NULL,
         "Names of plugins without which requests pass while they are switched off, or *; "
         "requests of others get 503."),
    TEXT(trusted_plugins, "", NULL,
         "Names of plugins from files that may use all of Lua (ffi, os.execute, debug), or *."),
    SWITCH(
        lua_pipe, "off",
        "Plugins that may use all of Lua may start programs with ngx.pipe, without blocking."),

    SWITCH(tls_verify, "on",
           "Certificates of upstreams are checked, unless a service says otherwise."),
    TEXT(ca_file, "", NULL, "File of trusted CA certificates; empty: the system's."),
    TEXT(ssl_cert, "", "SSL_CERT",
         "Default certificate file of ssl listeners; empty: a self-signed one."),
    TEXT(ssl_cert_key, "", "SSL_CERT_KEY", "Key file of ssl_cert."),
    TEXT(admin_key, "", NULL,
         "What requests to the Admin API must carry in Kong-Admin-Token; empty: nothing."),
    TEXT(admin_client_ca, "", NULL,
         "File of the CA certificates that sign the clients of the Admin API's ssl listeners; "
         "empty: none is asked for a certificate."),
    SWITCH(admin_unprotected, "off",
           "admin_listen may be other than loopback without admin_key and admin_client_ca: "
           "whoever "
           "reaches it owns the gateway."),
    TEXT(admin_ssl_cert, "", "ADMIN_SSL_CERT",
         "Certificate file of the Admin API's ssl listeners; empty: ssl_cert."),
    TEXT(admin_ssl_cert_key, "", "ADMIN_SSL_CERT_KEY", "Key file of admin_ssl_cert."),
    TEXT(admin_access_log, "off", "ADMIN_ACCESS_LOG",
         "Access log file of the Admin API; - is standard output, off is none."),
    TEXT(admin_store, "", NULL,
         "Directory that holds the configuration written through the Admin API; empty: it is "
         "read "
         "only."),
    TEXT(dns_servers, "", "DNS_RESOLVER",
         "Name servers as ADDRESS[:PORT], separated by commas; empty: the system's."),
    SWITCH(
        retry_non_idempotent, "off",
        "Also POST and PATCH are sent again when a kept connection closed before any answer."),
    SWITCH(server_header, "on", "Server, Via and the X-Kong-* fields are sent."),
    TEXT(error_default_type, "text/plain", "ERROR_DEFAULT_TYPE",
         "Media type of errors for clients that accept anything."),
    {"ai_model_mismatch", "reject or replace", "reject",
     "What ai-proxy does when a client names another model than the configured one: refuse the "
     "request, or use the configured model.",
     NULL, SETTING_CHOICE, AT(ai_model_mismatch), 0, 0, 0},
    TEXT(tracing_instrumentations, "all", "TRACING_INSTRUMENTATIONS",
         "off: opentelemetry records nothing, it only passes trace headers on."),
    TEXT(tracing_sampling_rate, "0.01", "TRACING_SAMPLING_RATE",
         "Part of the traces that opentelemetry records, unless the plugin says otherwise."),
    BYTES(shared_dict_bytes, "16m", 65536, 1ULL << 31,
          "Memory that all workers share (counters, limits, caches)."),
    {"lua_shared_dicts", "names and sizes", "",
     "More shared dictionaries for plugins, ngx.shared.NAME: \"NAME SIZE, ...\".",
     "NGINX_HTTP_LUA_SHARED_DICT", SETTING_DICTS, AT(lua_shared_dicts), AT(n_lua_shared_dicts),
     0, 0},
};

_Static_assert(sizeof rows / sizeof *rows <= SETTINGS_MAX,
               "settings_t has an origin for each row");

const setting_row_t *settings_rows(unsigned *n)
{
    *n = sizeof rows / sizeof *rows;
    return rows;
}

-- The name guests know: require "kong.constants": names of header fields and the like that plugins share.
-- Only what plugins use; others are nil.

return {
  HEADERS = {
    HOST_OVERRIDE = "X-Host-Override",
    PROXY_LATENCY = "X-Kong-Proxy-Latency",
    RESPONSE_LATENCY = "X-Kong-Response-Latency",
    ADMIN_LATENCY = "X-Kong-Admin-Latency",
    UPSTREAM_LATENCY = "X-Kong-Upstream-Latency",
    UPSTREAM_STATUS = "X-Kong-Upstream-Status",
    CONSUMER_ID = "X-Consumer-ID",
    CONSUMER_CUSTOM_ID = "X-Consumer-Custom-ID",
    CONSUMER_USERNAME = "X-Consumer-Username",
    CONSUMER_GROUPS = "X-Consumer-Groups",
    AUTHENTICATED_GROUPS = "X-Authenticated-Groups",
    CREDENTIAL_USERNAME = "X-Credential-Username",
    CREDENTIAL_IDENTIFIER = "X-Credential-Identifier",
    ANONYMOUS = "X-Anonymous-Consumer",
    RATELIMIT_LIMIT = "X-RateLimit-Limit",
    RATELIMIT_REMAINING = "X-RateLimit-Remaining",
    VIA = "Via",
    SERVER = "Server",
    REQUEST_ID = "X-Kong-Request-Id",
    FORWARDED_FOR = "X-Forwarded-For",
    FORWARDED_HOST = "X-Forwarded-Host",
    FORWARDED_PATH = "X-Forwarded-Path",
    FORWARDED_PREFIX = "X-Forwarded-Prefix",
    REAL_IP = "X-Real-IP",
    KONG_REQUEST_DEBUG = "X-Kong-Request-Debug",
  },
  RATELIMIT = {
    PERIODS = { "second", "minute", "hour", "day", "month", "year" },
  },
  PROTOCOLS = {
    "http", "https", "tcp", "tls", "udp", "grpc", "grpcs", "tls_passthrough",
  },
  PROTOCOLS_WITH_SUBSYSTEM = {
    http = "http", https = "http", grpc = "http", grpcs = "http",
    tcp = "stream", tls = "stream", udp = "stream", tls_passthrough = "stream",
  },
  CORE_ENTITIES = {
    "workspaces", "consumers", "certificates", "services", "routes", "snis", "upstreams", "targets", "plugins",
    "tags", "ca_certificates", "vaults",
  },
  PLUGIN_NAMES = {},
  RESPONSE_SOURCE = {
    TYPES = { EXIT = "exit", ERROR = "error", SERVICE = "service" },
    NAMES = { EXIT = "exit", ERROR = "error", SERVICE = "service" },
  },
  DICTS = { "kong", "kong_cluster_events", "kong_rate_limiting_counters" },
}

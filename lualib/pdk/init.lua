-- The global `kong`: one table of namespaces, the same for all plugins and requests.
-- Each namespace is a file beside this one. Not Kong's own core: `kong.db` and `kong.cache` are what plugins use of it.
-- Invariant: nothing here is of a request.

local VERSION, VERSION_NUMBER = "3.9.0", 3009000

local kong = {
  version = VERSION,
  version_num = VERSION_NUMBER,
  pdk_version = VERSION,
  pdk_major_version = 1,
  default_workspace = "default",
}

for name, module in pairs({
  client = "client",
  cluster = "cluster",
  configuration = "configuration",
  ctx = "ctx",
  db = "db",
  ip = "ip",
  log = "log",
  nginx = "nginx",
  node = "node",
  plugin = "plugin",
  request = "request",
  response = "response",
  router = "router",
  service = "service",
  table = "table",
  telemetry = "telemetry",
  timer = "timer",
  tracing = "tracing",
  vault = "vault",
  worker_events = "events",
}) do
  kong[name] = require("moongate.pdk." .. module)
end

local caches = require("moongate.pdk.cache")
kong.cache, kong.core_cache = caches.cache, caches.core_cache
kong.cluster_events = kong.worker_events

return kong

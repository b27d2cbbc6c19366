-- The global `kong`: one table of namespaces, the same for all plugins and requests.
-- Each namespace is a file beside this one. Not Kong's own core: `kong.db` and `kong.cache` are what plugins use of it.
-- Invariant: nothing here is of a request.

local phase = require("moongate.abi.phase")

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
  dns = "dns",
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

-- ---- what must fail with a clear word ----

local ENTERPRISE = {
  websocket = "the WebSocket PDK and its ws_* phases are Kong Enterprise's and not supported here",
  jwe = "JSON Web Encryption is Kong Enterprise's and not supported here",
}

local function missing(name, why)
  return setmetatable({}, { __index = function(_, key)
    error(("kong.%s.%s: %s"):format(name, tostring(key), why), 2)
  end })
end

for name, why in pairs(ENTERPRISE) do
  kong[name] = missing(name, why)
end

-- ---- names of functions, for errors ----

-- The dotted name of a function below `t`, or nil. Only errors ask for it.
local function name_below(t, name, fn, depth)
  for key, value in pairs(t) do
    if value == fn then
      return name .. "." .. tostring(key)
    elseif type(value) == "table" and type(key) == "string" and depth > 0 then
      local found = name_below(value, name .. "." .. key, fn, depth - 1)
      if found then
        return found
      end
    end
  end
end

function phase.name_of(fn)
  return name_below(kong, "kong", fn, 2)
end

local caches = require("moongate.pdk.cache")
kong.cache, kong.core_cache = caches.cache, caches.core_cache
kong.cluster_events = kong.worker_events

return kong

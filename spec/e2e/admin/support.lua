-- A client of the Admin API for specs: JSON in, JSON out. With a store, or with files only.

local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")

local Api = {}
Api.__index = Api

local M = {}

-- Status, decoded body (nil when it is none), response. spec: json, body, headers.
function Api:ask(method, path, spec)
  spec = spec or {}
  local headers = { Host = "localhost" }
  for name, value in pairs(self.headers) do
    headers[name] = value
  end
  for name, value in pairs(spec.headers or {}) do
    headers[name] = value
  end
  local body = spec.json and cjson.encode(spec.json) or spec.body
  if spec.json then
    headers["Content-Type"] = "application/json"
  end
  local response = client.request({ to = self.to, method = method, path = path, headers = headers, body = body, tls = self.tls })
  local ok, value = pcall(cjson.decode, response.body)
  return response.status, ok and value or nil, response
end

for _, method in ipairs({ "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD" }) do
  Api[method:lower()] = function(self, path, json, spec)
    spec = spec or {}
    spec.json = json
    return self:ask(method, path, spec)
  end
end

function M.api(gw, opts)
  opts = opts or {}
  return setmetatable({ to = { host = "127.0.0.1", port = gw.admin_port }, headers = opts.headers or {}, tls = opts.tls }, Api)
end

-- A gateway with an Admin API, and a client of it. opts: gateway.start's; store: the directory it writes.
function M.start(opts)
  opts.admin = opts.admin or true
  opts.settings = opts.settings or {}
  opts.settings.admin_store = opts.store
  local gw = gateway.start(opts)
  return gw, M.api(gw, opts)
end

function M.directory()
  return assert(require("posix.stdlib").mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-store-XXXXXX"))
end

-- Waits until the proxy answers a path with a status.
function M.wait_proxy(gw, path, status, headers)
  return sched.wait_until(function()
    local response = client.get(gw, path, headers)
    return response.status == status and response
  end, nil, function()
    return path .. " does not answer " .. status .. ":\n" .. gw:errors():sub(-2000)
  end)
end

return M

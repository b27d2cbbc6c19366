-- A gateway in the spec's own process: own configuration, own ports, the same event loop. It is ready
-- when start returns, and its plugins' modules are fresh.
-- One at a time: starting another ends the first. Settings of the process itself (workers, logs) are not settable.

local json = require "moongate.util.json_encode"
local client = require "moongate.spec.client"
local host = require "moongate.spec.host"
local logs = require "moongate.spec.logs"
local runloop = require "moongate.runloop"
local shdict = require "moongate.abi.shdict"

local Gateway = {}
Gateway.__index = Gateway

local _M = {}

local current
local count = 0

local DENIED = { prefix = true, error_log = true, access_log = true, workers = true, master = true,
  proxy_listen = true, status_listen = true, admin_listen = true, config_paths = true }

-- Plugins' modules and what they stored are forgotten.
local function refresh()
  for name in pairs(package.loaded) do
    if name:find("^kong%.plugins%.") or name:find("^moongate%.plugins%.") then
      package.loaded[name] = nil
    end
  end
  runloop.forget_plugins()
  for _, name in ipairs(shdict.names()) do
    shdict.flush_all(shdict.find(name))
  end
  if kong.cache.purge then
    kong.cache:purge()
  end
end

local function flags_of(opts, path)
  local flags = { "config_paths=" .. path, "plugin_budget=1h", "log_level=" .. (opts.log_level or "debug"),
    "prefix=" .. host.program.prefix() }
  for _, dir in ipairs(host.plugin_dirs) do
    flags[#flags + 1] = "plugin_dirs=" .. dir
  end
  for name, value in pairs(opts.settings or {}) do
    if DENIED[name] then
      error(("gw.start: the setting %s belongs to the whole process: test it with `moongate start`"):format(name), 3)
    end
    if value == true or value == false then
      value = value and "on" or "off"
    end
    flags[#flags + 1] = name .. "=" .. tostring(value)
  end
  return flags
end

local function config_text(config)
  if config == nil then
    return '_format_version: "3.0"\n'
  elseif type(config) == "table" then
    local copy = { _format_version = "3.0" }
    for name, value in pairs(config) do
      copy[name] = value
    end
    return json.encode(copy)
  end
  return config
end

-- Starts it. opts: config (YAML text, or a table of entities), plugins (directory or list of directories that hold
-- plugins), settings ({trusted_ips = "127.0.0.1"}). Raises with the problems of the configuration.
function _M.start(opts)
  opts = opts or {}
  if type(opts) == "string" then
    opts = { config = opts }
  end
  if current then
    current:stop()
  end
  local dirs = opts.plugins or {}
  for _, dir in ipairs(type(dirs) == "table" and dirs or { dirs }) do
    host.add_plugin_dir(dir)
  end
  refresh()
  count = count + 1
  local path = host.temporary("config-" .. count .. ".yaml")
  host.write_file(path, config_text(opts.config))
  local self = setmetatable({ host = "127.0.0.1", mark = logs.mark(), clients = {} }, Gateway)
  local port, tls = host.program.open_gateway(flags_of(opts, path))
  os.remove(path)
  if not port then
    error("the gateway did not start:\n" .. (tls:gsub(path:gsub("%p", "%%%0"), "config")), 2)
  end
  self.port, self.tls_port = port, tls
  self.url = "http://127.0.0.1:" .. port
  current = self
  host.on_end(function()
    self:stop()
  end)
  return self
end

-- The one that runs, or nil.
function _M.current()
  return current
end

-- A client of it. opts: tls (true), sni, timeout_ms.
function Gateway.client(self, opts)
  local made = client.new(self.host, opts and opts.tls and self.tls_port or self.port, opts)
  table.insert(self.clients, made)
  return made
end

-- What it and its plugins logged since it started: {level =, message =}.
function Gateway.logs(self)
  return logs.since(self.mark)
end

-- Forgets what was logged so far.
function Gateway.clear_logs(self)
  self.mark = logs.mark()
end

-- Ends it; the connections of clients are reset.
function Gateway.stop(self)
  if current ~= self then
    return
  end
  current = nil
  for _, made in ipairs(self.clients) do
    pcall(made.close, made)
  end
  host.program.close_gateway()
end

return _M

-- "spec.helpers" for specs written for Kong: the names that specs of plugins use most, over a gateway in this
-- process and entities in tables. There is no database and no Admin API; what is missing says so by name.
-- Invariant: each spec file has a mock upstream and a store of its own.

local asserts = require "moongate.spec.asserts"
local check = require "moongate.config.check"
local client = require "moongate.spec.client"
local gateway = require "moongate.spec.gateway"
local host = require "moongate.spec.host"
local json = require "moongate.util.json_encode"
local logs = require "moongate.spec.logs"
local node = require "moongate.abi.node"
local store = require "moongate.spec.store"
local upstream = require "moongate.spec.upstream"

asserts.register()

local _M = {}

local WAIT_S = 5

-- ---- the mock upstream ----

local function mock(request)
  local status = request.path:match("^/status/(%d%d%d)$")
  local delay = request.path:match("^/delay/(%d+%.?%d*)$")
  local answer = upstream.echo(request)
  if status then
    answer.status = tonumber(status)
  elseif delay then
    answer.delay = tonumber(delay)
  elseif request.path == "/response-headers" then
    for name, value in pairs(require("moongate.spec.message").parse_form(request.query)) do
      answer.headers[name] = value
    end
  end
  return answer
end

local mock_upstream = upstream.start(mock)

_M.mock_upstream_host = mock_upstream.host
_M.mock_upstream_hostname = "localhost"
_M.mock_upstream_port = mock_upstream.port
_M.mock_upstream_url = mock_upstream.url
_M.mock_upstream_protocol = "http"
-- What it was asked, oldest first.
_M.mock_upstream_requests = mock_upstream.requests

-- ---- entities ----

local entities

--- bp, db: both insert into the same tables. The arguments (strategy, tables, plugins) choose nothing here.
function _M.get_db_utils()
  entities = store.new({ host = mock_upstream.host, port = mock_upstream.port })
  return entities.blueprint, entities.db
end

--- Writes the entities so far into a declarative file; its path.
function _M.make_yaml_file(content)
  local path = host.temporary("declarative-" .. node.uuid() .. ".yml")
  host.write_file(path, content or json.encode(entities and entities:config() or { _format_version = "3.0" }))
  return path
end

-- ---- the gateway ----

local SETTINGS = { trusted_ips = true, log_level = true, ssl_cert = true, ssl_cert_key = true, lua_path = true }
local IGNORED = {}
for name in ([[database nginx_conf plugins declarative_config prefix proxy_listen admin_listen admin_gui_listen status_listen
  stream_listen db_update_frequency db_update_propagation db_cache_ttl anonymous_reports nginx_worker_processes pg_database
  nginx_main_worker_processes mem_cache_size lua_package_path dns_resolver untrusted_lua cluster_listen
  role vitals portal license_path headers stream_plugins lua_ssl_trusted_certificate router_flavor]]):gmatch("%S+") do
  IGNORED[name] = true
end

local noted = {}

local function settings_of(env)
  local settings = {}
  for name, value in pairs(env or {}) do
    if SETTINGS[name] then
      settings[name] = value
    elseif not IGNORED[name] and not noted[name] then
      noted[name] = true
      io.stderr:write(("spec.helpers: start_kong: '%s' is no setting of this gateway: ignored\n"):format(name))
    end
  end
  local level = settings.log_level
  settings.log_level = nil
  return settings, level
end

local function config_of(env)
  local path = env and env.declarative_config
  if path then
    return assert(host.read_file(path), "declarative_config " .. path .. " cannot be read")
  end
  return entities and entities:config() or { _format_version = "3.0" }
end

--- Starts a gateway with the entities inserted so far, or with env.declarative_config. true | nil, why
function _M.start_kong(env)
  local settings, level = settings_of(env)
  local ok, err = pcall(gateway.start, { config = config_of(env), settings = settings, log_level = level })
  if not ok then
    return nil, tostring(err)
  end
  return true
end

function _M.stop_kong()
  local current = gateway.current()
  if current then
    current:stop()
  end
  return true
end

function _M.restart_kong(env)
  _M.stop_kong()
  return _M.start_kong(env)
end

_M.reload_kong = function(_, _, env)
  return _M.restart_kong(env)
end

local function running(what)
  return gateway.current() or error("helpers." .. what .. ": no gateway runs (helpers.start_kong comes first)", 3)
end

--- A client of the proxy.
function _M.proxy_client(timeout)
  return running("proxy_client"):client({ timeout_ms = timeout })
end

--- The same through TLS, without verification.
function _M.proxy_ssl_client(timeout, sni)
  return running("proxy_ssl_client"):client({ tls = true, sni = sni, timeout_ms = timeout })
end

--- A client of anything.
function _M.http_client(address, port, timeout)
  if type(address) == "table" then
    return client.new(address.host, address.port, { timeout_ms = address.timeout })
  end
  return client.new(address, port, { timeout_ms = timeout })
end

function _M.get_proxy_ip()
  return "127.0.0.1"
end

function _M.get_proxy_port(tls)
  local current = running("get_proxy_port")
  return tls and current.tls_port or current.port
end

local NO_ADMIN = "there is no Admin API here: insert entities before helpers.start_kong, or restart with others"

--- Exists so that specs may open and close it; asking it raises.
function _M.admin_client()
  return setmetatable({ close = function()
    return true
  end }, { __index = function(_, name)
    return function()
      error("helpers.admin_client():" .. tostring(name) .. ": " .. NO_ADMIN, 2)
    end
  end })
end

_M.admin_ssl_client = _M.admin_client

-- ---- strategies ----

local function iterate(list)
  return function(_, i)
    i = i + 1
    if list[i] then
      return i, list[i]
    end
  end, nil, 0
end

--- One round, named after a database that specs know; nothing is stored in one.
function _M.each_strategy()
  return iterate({ "postgres" })
end

function _M.all_strategies()
  return iterate({ "off" })
end

-- ---- waiting, files, logs ----

local function until_true(fn, timeout_s, step_s)
  local ends = ngx.now() + (timeout_s or WAIT_S)
  local last
  repeat
    local ok, value = pcall(fn)
    if ok and value then
      return value
    end
    last = not ok and value or "the condition did not hold"
    ngx.sleep(step_s or 0.01)
    ngx.update_time()
  until ngx.now() >= ends
  return nil, tostring(last)
end

--- Waits until fn() is true. Raises after timeout seconds (5).
function _M.wait_until(fn, timeout_s, step_s)
  local value, err = until_true(fn, timeout_s, step_s)
  if not value then
    error("wait_until() timeout: " .. err .. " (after " .. (timeout_s or WAIT_S) .. " s)", 2)
  end
end

--- The same; fn may also raise until it is content.
_M.pwait_until = function(fn, timeout_s, step_s)
  return _M.wait_until(function()
    fn()
    return true
  end, timeout_s, step_s)
end

local lfs = require "lfs"

--- kind: "file" or "directory".
function _M.wait_for_file(kind, path, timeout_s)
  _M.wait_until(function()
    return lfs.attributes(path, "mode") == kind
  end, timeout_s)
end

--- The contents of a file once it has some.
function _M.wait_for_file_contents(path, timeout_s)
  local text
  _M.wait_until(function()
    text = host.read_file(path)
    return text and text ~= ""
  end, timeout_s)
  return text
end

--- Forgets what was logged so far.
function _M.clean_logfile()
  local current = gateway.current()
  if current then
    current:clear_logs()
  end
end

--- The log's lines as text.
function _M.get_log()
  local out = {}
  for _, entry in ipairs(logs.since(gateway.current() and gateway.current().mark or 0)) do
    out[#out + 1] = "[" .. entry.level .. "] " .. entry.message
  end
  return table.concat(out, "\n")
end

function _M.clean_prefix() end

_M.test_conf = {
  prefix = host.program.prefix(),
  nginx_err_logs = host.temporary("error.log"),
  nginx_acc_logs = host.temporary("access.log"),
  loaded_plugins = {},
  database = "off",
}

-- ---- schemas ----

--- Checks a plugin's configuration: the entity with defaults, or nil and the errors by field.
function _M.validate_plugin_config_schema(config, definition, extra_fields)
  local schema, err = check.plugin_schema(definition)
  if not schema then
    return nil, err
  end
  local entity = { name = definition.name, config = config, id = node.uuid() }
  for name, value in pairs(extra_fields or {}) do
    entity[name] = value
  end
  local out, failed = schema:process(entity)
  if not out then
    return nil, failed
  end
  return out
end

-- ---- small things ----

_M.path = require "pl.path"
_M.file = require "pl.file"
_M.dir = require "pl.dir"
_M.utils = setmetatable({ uuid = node.uuid }, { __index = function(_, name)
  return require("kong.tools.utils")[name]
end })

--- Takes the common indentation away.
function _M.unindent(text)
  local least
  for spaces in ("\n" .. text):gmatch("\n([ \t]*)[^%s]") do
    least = math.min(least or #spaces, #spaces)
  end
  local out = ("\n" .. text):gsub("\n" .. (" "):rep(least or 0), "\n"):sub(2)
  return (out:gsub("^\n", ""))
end

--- Runs a shell command: true | false, its output.
function _M.execute(command)
  local path = host.temporary("output")
  local code = os.execute(command .. " >" .. path .. " 2>&1")
  local text = host.read_file(path)
  os.remove(path)
  return code == 0 or code == true, text
end

return setmetatable(_M, { __index = function(_, name)
  error(("spec.helpers.%s is not there: this gateway has the helpers of docs/plugin-tutorial.md"):format(tostring(name)), 2)
end })

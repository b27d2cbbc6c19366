-- What the Admin API answers about the node: its identity, status, metrics, plugins, timers, log level, the cache of proxy-cache.
-- Handlers as in entities_api.lua.

local admin = require("moongate.abi.admin")
local errors = require("moongate.admin.errors")
local json = require("moongate.util.json_encode")
local kong_meta = require("kong.meta")
local node = require("moongate.abi.node")
local pdk_json = require("moongate.pdk.json")
local plugins = require("moongate.admin.plugins")
local publish = require("moongate.admin.publish")
local wait = require("moongate.abi.wait")
local cache = require("moongate.cache.store")
local upstreams = require("moongate.abi.upstream")

local _M = {}

local CACHE = "kong_db_cache" -- where proxy-cache keeps responses unless told otherwise

local function listeners()
  local out = json.array()
  for i, listener in ipairs(admin.proxy_listeners()) do
    local ip, port = listener.address:match("^%[?(.-)%]?:(%d+)$")
    out[i] = { listener = listener.address .. (listener.ssl and " ssl" or ""), ip = ip or listener.address,
      port = tonumber(port) or 0, ssl = listener.ssl, http2 = false }
  end
  return out
end

local function available()
  local out = {}
  for _, name in ipairs(plugins.names()) do
    out[name] = plugins.facts(name)
  end
  return out
end

local function in_use()
  local names, seen = json.array(), {}
  local index = publish.store().kinds.plugins
  for _, id in ipairs(index.ids) do
    local name = index.by_id[id].name
    if not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function pids()
  local workers = json.array()
  for i, vm in ipairs(pdk_json.decode(admin.status_json()).memory.workers_lua_vms) do
    workers[i] = vm.pid
  end
  return { workers = workers }
end

--- GET /: `version` is Kong's that this gateway is compatible with, which clients compare; our own is beside it.
function _M.root()
  local timers, running = wait.timer_counts()
  return { status = 200, body = {
    version = kong_meta._VERSION, moongate_version = node.version(), edition = "community",
    tagline = "Welcome to Moongate", hostname = node.hostname(), node_id = node.node_id(), lua_version = jit.version,
    configuration = {
      -- "off" is what clients take for read only, and what controllers that POST /config need.
      database = publish.is_writable() and "postgres" or "off", router_flavor = "traditional_compatible", role = "traditional",
      proxy_listeners = listeners(), stream_listeners = json.array(),
    },
    plugins = { available_on_server = available(), enabled_in_cluster = in_use() },
    timers = { pending = timers, running = running },
    pids = pids(),
  } }
end

function _M.status()
  return { status = 200, text = admin.status_json() }
end

-- /metrics of this process shows targets when the workers' does.
local function tells_targets()
  local index = publish.store().kinds.plugins
  for _, id in ipairs(index.ids) do
    local entity = index.by_id[id]
    if entity.name == "prometheus" and entity.enabled ~= false and entity.config.upstream_health_metrics == true then
      return true
    end
  end
  return false
end

function _M.metrics()
  upstreams.export(tells_targets())
  return { status = 200, text = admin.status_metrics(), type = "text/plain; version=0.0.4; charset=utf-8" }
end

function _M.enabled_plugins()
  return { status = 200, body = { enabled_plugins = json.array(plugins.names()) } }
end

function _M.timers()
  local status = pdk_json.decode(admin.status_json())
  local pending, running = wait.timer_counts()
  return { status = 200, body = { worker = { id = node.worker_id(), count = #status.memory.workers_lua_vms },
    stats = { sys = { pending = pending, running = running, total = pending + running } } } }
end

-- the log level -------------------------------------------------------------------------------------

local LEVELS = { debug = true, info = true, notice = true, warn = true, error = true, crit = true, alert = true, emerg = true,
  err = "error" }

function _M.log_level()
  return { status = 200, body = { message = "log level: " .. admin.level() } }
end

--- PUT /debug/node/log-level/{level}: of all processes, until the next start.
function _M.set_log_level(call)
  local wanted = call.params[1]
  local known = LEVELS[wanted]
  if not known then
    return errors.message(400, "unknown log level: " .. wanted)
  end
  local ok, why = admin.set_level(known == true and wanted or known)
  if not ok then
    return errors.message(500, "cannot set the log level: " .. tostring(why))
  end
  return { status = 200, body = { message = "log level changed" } }
end

-- the cache of proxy-cache ----------------------------------------------------------------------------

-- Dictionaries that instances of the plugin use.
local function dictionaries(id)
  local names, seen = {}, {}
  local index = publish.store().kinds.plugins
  for _, each in ipairs(index.ids) do
    local entity = index.by_id[each]
    local memory = entity.name == "proxy-cache" and (not id or id == entity.id) and entity.config.memory
    local name = memory and (type(memory) == "table" and memory.dictionary_name or CACHE)
    if name and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  return names
end

-- /proxy-cache/{key} and /proxy-cache/{plugin id}/caches/{key}
local function scope(call)
  local key = call.params[2] or call.params[1]
  return dictionaries(call.params[2] and call.params[1] or nil), key
end

--- GET shows an entry, DELETE takes it out.
function _M.cache_entry(call)
  local names, key = scope(call)
  for _, name in ipairs(names) do
    local entry = cache.fetch(name, key)
    if entry and call.method == "DELETE" then
      cache.purge(name, key)
      return { status = 204 }
    elseif entry then
      local headers = {}
      for i = 1, #entry.headers, 2 do
        headers[entry.headers[i]] = entry.headers[i + 1]
      end
      return { status = 200, body = { status = entry.status, headers = headers, body = entry.body, ttl = entry.ttl,
        timestamp = entry.stored_at, body_len = #entry.body } }
    end
  end
  return errors.not_found()
end

--- DELETE /proxy-cache: all entries.
function _M.cache_flush()
  for _, name in ipairs(dictionaries()) do
    cache.flush(name)
  end
  return { status = 204 }
end

--- GET /workspaces/{name}: there is one.
function _M.workspace(call)
  if call.params[1] ~= "default" then
    return errors.not_found()
  end
  return { status = 200, body = { name = "default", id = "00000000-0000-4000-8000-000000000000", comment = json.null,
    created_at = 0, updated_at = 0, meta = {}, config = {} } }
end

return _M

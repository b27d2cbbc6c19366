-- A request in Lua tables behind the names of lualib/abi: what specs of the PDK run against.
-- abi/phase and abi/task are the real ones, over a fake state. Not a proxy: nothing is sent.
-- Invariant: install() forgets every pdk module, so that each spec file loads its own.

local fake_shdict = require("moongate.spec.fake_shdict")

local M = {}

local SENT = "headers have already been sent"

local function lines_find(lines, name)
  for _, line in ipairs(lines) do
    if line[1]:lower() == name:lower() then
      return line[2]
    end
  end
end

local function lines_clear(lines, name)
  for i = #lines, 1, -1 do
    if lines[i][1]:lower() == name:lower() then
      table.remove(lines, i)
    end
  end
  return true
end

-- The functions of abi/headers over fake[list]; recorded with `recorder` (the response): refused once sent.
local function header_functions(fake, list)
  local function refused(value)
    if list == "response_lines" and fake.head_sent then
      return SENT
    elseif value and tostring(value):find("[\r\n%z]") then
      return "invalid name or value"
    end
  end
  return {
    header = function(name)
      return lines_find(fake[list], name)
    end,
    headers = function(max)
      local out = {}
      for i, line in ipairs(fake[list]) do
        if max and i > max then
          return out, true
        end
        out[#out + 1], out[#out + 2] = line[1], line[2]
      end
      return out, false
    end,
    set_header = function(name, value)
      local why = refused(value)
      if why then
        return nil, why
      end
      lines_clear(fake[list], name)
      table.insert(fake[list], { name, tostring(value) })
      return true
    end,
    add_header = function(name, value)
      local why = refused(value)
      if why then
        return nil, why
      end
      table.insert(fake[list], { name, tostring(value) })
      return true
    end,
    clear_header = function(name)
      local why = refused()
      if why then
        return nil, why
      end
      return lines_clear(fake[list], name)
    end,
  }
end

local function merged(...)
  local out = {}
  for _, t in ipairs({ ... }) do
    for key, value in pairs(t) do
      out[key] = value
    end
  end
  return out
end

local function getters(fake, names)
  local out = {}
  for name in names:gmatch("%S+") do
    out[name] = function()
      return fake[name]
    end
  end
  return out
end

local function recorders(fake, names)
  local out = {}
  for name in names:gmatch("%S+") do
    out[name] = function(...)
      fake.calls[name] = { ... }
      return true
    end
  end
  return out
end

local function request_of(fake)
  return merged(getters(fake, [[method path raw_path query scheme host port http_minor id start_time client_ip
    client_port peer_ip peer_port trusted forwarded_proto forwarded_host forwarded_port forwarded_path prefix captures
    content_length]]),
    recorders(fake, "set_method"), header_functions(fake, "request_lines"))
end

local function exchange_of(fake)
  local upstream = header_functions(fake, "upstream_lines")
  local out = merged(
    getters(fake, "body_complete upstream_status buffering port"),
    recorders(fake, [[set_target set_scheme set_path set_query set_host_header set_sni set_timeouts set_retries
      set_upstream set_tls_verify enable_buffering ask_on_retry]]))
  out.upstream_header, out.upstream_headers = upstream.header, upstream.headers
  function out.query()
    return fake.query
  end
  function out.read_body()
    if fake.read_error then
      return nil, fake.read_error
    end
    fake.body_complete = true
    return true
  end
  function out.body_get()
    if fake.body_complete then
      return fake.body
    end
    return nil, "the body has not been read"
  end
  function out.body_set(text)
    fake.body, fake.body_complete = text, true
    return true
  end
  function out.body_size()
    return #fake.body
  end
  return out
end

local function response_of(fake)
  local out = merged(getters(fake, "status source head_sent collected"),
    header_functions(fake, "response_lines"))
  function out.set_status(status)
    if fake.head_sent then
      return nil, SENT
    end
    fake.status = status
    return true
  end
  function out.exit(status, body, content_type)
    fake.exited = { status = status, body = body, content_type = content_type }
    error(fake.exited)
  end
  function out.error(status, message)
    fake.exited = { status = status, message = message }
    error(fake.exited)
  end
  function out.chunk()
    return fake.chunk, fake.last
  end
  function out.set_chunk(text, last)
    fake.chunk = text
    if last ~= nil then
      fake.last = last
    end
  end
  return out
end

local function find_by(list, name)
  for i, item in ipairs(list) do
    if item.id == name or item.name == name or item.username == name then
      return item, i - 1
    end
  end
end

local function route_of(fake)
  local LISTS = {
    consumer = "consumers", service = "services", route = "routes", credential = "credentials",
    upstream = "upstreams", plugin = "plugins",
  }
  local out = {}
  local function entity(kind, index)
    return (fake[LISTS[kind]] or {})[(index or -1) + 1]
  end
  out.entity = entity
  function out.count(kind)
    return #(fake[LISTS[kind]] or {})
  end
  function out.find(kind, name)
    return find_by(fake[LISTS[kind]] or {}, name)
  end
  function out.find_consumer(name, custom)
    for i, item in ipairs(fake.consumers) do
      if custom and item.custom_id == name or not custom and (item.id == name or item.username == name) then
        return item, i - 1
      end
    end
  end
  function out.find_credential(kind, key)
    for i, item in ipairs(fake.credentials) do
      if fake.credential_kinds[i] == kind and (item.key or item.username) == key then
        return item, i - 1, 0
      end
    end
  end
  function out.set_consumer(consumer, credential)
    fake.consumer_index, fake.credential_index = consumer, credential
    return true
  end
  function out.consumer()
    return entity("consumer", fake.consumer_index)
  end
  function out.credential()
    return entity("credential", fake.credential_index)
  end
  function out.route()
    return fake.route
  end
  function out.service()
    return fake.service
  end
  function out.id(kind, index)
    local item = entity(kind, index)
    if kind ~= "credential" then
      return item.id
    end
    local _, consumer = out.find_consumer(item.consumer and item.consumer.id)
    return item.id, fake.credential_kinds[index + 1], consumer
  end
  function out.list(name)
    return fake.lists[name] or {}
  end
  function out.memo(name)
    fake.memos[name] = fake.memos[name] or {}
    return fake.memos[name]
  end
  function out.raw(kind)
    return fake.raw[kind] or "[]"
  end
  function out.generation()
    return fake.generation
  end
  function out.hash()
    return "hash" .. fake.generation
  end
  return out
end

local function tls_of(fake)
  local out = recorders(fake, "set_upstream_certificate set_upstream_store set_upstream_depth")
  for _, kind in ipairs({ "chain", "key", "store" }) do
    out["is_" .. kind] = function(value)
      return value == kind
    end
  end
  function out.certificate(chain, key)
    return chain .. " and " .. key
  end
  return out
end

local function node_of(fake)
  return {
    log_wants = function(level)
      return level <= fake.log_level
    end,
    log = function(level, text)
      table.insert(fake.logged, { level = level, text = text })
    end,
    mono = function()
      return fake.mono
    end,
    now = function()
      fake.turn = fake.turn + 1
      return fake.turn
    end,
    worker_count = function()
      return fake.workers
    end,
    uuid = function()
      return "00000000-0000-4000-8000-000000000000"
    end,
    node_id = function()
      return "node"
    end,
    hostname = function()
      return "host"
    end,
    worker_pid = function()
      return fake.pid
    end,
    memory = function()
      return 3 * 1024 * 1024
    end,
    setting = function(name)
      return fake.settings[name]
    end,
    serialize = function()
      return fake.record
    end,
    set_log_fields = function(text)
      fake.log_fields = text
    end,
    connections = function()
      return { active = 1, reading = 2, writing = 3, waiting = 4, accepted = 5, handled = 6, requests = 7 }
    end,
  }
end

-- A new request. Fields are what a spec may set and read.
local function defaults()
  return {
    method = "GET", path = "/", raw_path = "/", query = nil, scheme = "http", host = "example.test", port = 8000,
    http_minor = 1, start_time = 1700000000.123, client_ip = "1.1.1.1", client_port = 11, peer_ip = "2.2.2.2",
    peer_port = 22, trusted = false, body = "", body_complete = false, head_sent = false, buffering = false,
    request_lines = {}, response_lines = {}, upstream_lines = {}, calls = {}, logged = {}, log_level = 6,
    consumers = {}, credentials = {}, credential_kinds = {}, services = {}, routes = {},
    upstreams = {}, plugins = {}, raw = {}, lists = {}, memos = {}, settings = {},
    generation = 1, turn = 0, workers = 1, pid = 1, mono = 100, record = "{}",
  }
end

local function reset(fake, over)
  for key in pairs(fake) do
    fake[key] = nil
  end
  for key, value in pairs(merged(defaults(), over or {})) do
    fake[key] = value
  end
end

--- Stubs the abi and returns kong and the fake: fake:reset{field = ...}, fake:phase(name), fake:plugin(record).
function M.install()
  for name in pairs(package.loaded) do
    if name:find("^moongate%.pdk") or name:find("^moongate%.abi") or name == "moongate.runloop.vault"
      or name == "moongate.runloop.retry" then
      package.loaded[name] = nil
    end
  end
  local state = { phase = 0x20, slot = 1, has_request = 1, may_wait = 1 }
  local tables
  package.loaded["moongate.abi.c"] = {
    state = state,
    C = { mg_slot_used = function() end },
    native = {
      set_slot_tables = function(list)
        tables = list
      end,
    },
  }
  local fake = setmetatable({}, { __index = {
    reset = function(self, over)
      reset(self, over)
      state.phase = 0x20
      self:end_task()
    end,
    -- What C does when a task ends: its slot's tables go.
    end_task = function()
      for _, t in ipairs(tables) do
        t[1] = nil
      end
    end,
    phase = function(_, name)
      state.phase = name == "init" and 0 or assert(require("moongate.abi.phase").number(name))
    end,
    plugin = function(_, record)
      require("moongate.abi.task").set_current(record)
    end,
    set_may_wait = function(_, may)
      state.may_wait = may and 1 or 0
    end,
  } })
  require("moongate.abi.task")
  package.loaded["moongate.abi.request"] = request_of(fake)
  package.loaded["moongate.abi.exchange"] = exchange_of(fake)
  package.loaded["moongate.abi.response"] = response_of(fake)
  package.loaded["moongate.abi.tls"] = tls_of(fake)
  package.loaded["moongate.abi.route"] = route_of(fake)
  package.loaded["moongate.abi.node"] = node_of(fake)
  package.loaded["moongate.abi.wait"] = recorders(fake, "timer_at timer_every")
  package.loaded["moongate.abi.shdict"] = fake_shdict.new({ now = function()
    return fake.mono
  end })
  fake:reset()
  return require("moongate.pdk"), fake
end

return M

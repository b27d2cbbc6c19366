-- A request in Lua tables behind the names of lualib/abi: what plugins run against in unit mode. The PDK and
-- ngx above it are the real ones, with their phase checks. Nothing is sent.
-- Invariant: every function acts on `world.now`, the request whose phase runs.

local host = require "moongate.spec.host"
local identity = require "moongate.spec.identity"
local json = require "moongate.util.json_encode"
local kinds = require "moongate.config.kinds"
local node = require "moongate.abi.node"

local SENT = "headers have already been sent"

local _M = {}

-- ---- field lines ----

local function lines_find(lines, name)
  name = name:lower()
  for _, line in ipairs(lines) do
    if line[1]:lower() == name then
      return line[2]
    end
  end
  return nil
end

local function lines_clear(lines, name)
  name = name:lower()
  for i = #lines, 1, -1 do
    if lines[i][1]:lower() == name then
      table.remove(lines, i)
    end
  end
end

local function apply(lines, op)
  if op.kind ~= "add" then
    lines_clear(lines, op.name)
  end
  if op.kind ~= "clear" then
    lines[#lines + 1] = { op.name, op.value }
  end
end

-- Field lines of a table of headers.
function _M.lines(headers)
  local names, out = {}, {}
  for name in pairs(headers or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = headers[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      out[#out + 1] = { name, tostring(one) }
    end
  end
  return out
end

-- The response's lines and what phases before the response have recorded for it.
function _M.begin_response(request, status, lines, source)
  request.response_lines = lines
  for _, op in ipairs(request.ops) do
    if not (op.on_success and status ~= 200) then
      apply(request.response_lines, op)
    end
  end
  request.ops = {}
  request.status = request.wanted_status or status
  request.source, request.begun = source, true
end

-- ---- the abi ----

local function header_functions(world, list)
  local function change(kind)
    return function(name, value)
      local request = world.now()
      value = value ~= nil and tostring(value) or nil
      if value and value:find("[\r\n%z]") or not name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
        return nil, "invalid name or value"
      end
      local op = { kind = kind, name = name, value = value }
      if list == "response_lines" then
        if request.head_sent then
          return nil, SENT
        elseif not request.begun then
          table.insert(request.ops, op)
          return true
        end
      end
      apply(request[list], op)
      return true
    end
  end
  local out = { set_header = change("set"), add_header = change("add"), clear_header = change("clear") }
  function out.header(name)
    return lines_find(world.now()[list], name)
  end
  function out.headers(max)
    local flat = {}
    for i, line in ipairs(world.now()[list]) do
      if max and max > 0 and i > max then
        return flat, true
      end
      flat[#flat + 1], flat[#flat + 2] = line[1], line[2]
    end
    return flat, false
  end
  function out.header_count()
    return #world.now()[list]
  end
  function out.header_lines(name)
    local n = 0
    for _, line in ipairs(world.now()[list]) do
      n = n + (line[1]:lower() == name:lower() and 1 or 0)
    end
    return n
  end
  return out
end

local function getters(world, out, names)
  for name in names:gmatch("%S+") do
    out[name] = function()
      return world.now()[name]
    end
  end
end

-- Functions that only note what they were told, in request.up.
local function recorders(world, out, names)
  for name in names:gmatch("%S+") do
    out["set_" .. name] = function(...)
      world.now().up[name] = select("#", ...) > 1 and { ... } or (...)
      return true
    end
  end
end

local function request_of(world)
  local out = header_functions(world, "request_lines")
  getters(world, out, [[method path raw_path query raw_target scheme host port http_minor id start_time client_ip client_port
    peer_ip peer_port trusted forwarded_proto forwarded_host forwarded_port forwarded_path prefix server_addr
    server_port captures content_length aborted]])
  function out.bytes_in()
    return #world.now().body
  end
  function out.tls()
    local request = world.now()
    return request.scheme == "https", "TLSv1.3", "TLS_AES_256_GCM_SHA384", request.host
  end
  recorders(world, out, "method")
  return out
end

local function body_functions(world, out)
  function out.read_body(max_bytes)
    local request = world.now()
    if max_bytes and max_bytes > 0 and #request.body > max_bytes then
      return nil, "too large"
    end
    request.body_complete = true
    return true
  end
  function out.body_get()
    local request = world.now()
    if not request.body_complete then
      return nil, "the body has not been read"
    end
    return request.up.body or request.body
  end
  function out.body_set(text)
    local request = world.now()
    request.up.body, request.body_complete = text, true
    return true
  end
  function out.body_size()
    local request = world.now()
    return #(request.up.body or request.body)
  end
  function out.body_complete()
    return world.now().body_complete
  end
end

local function exchange_of(world)
  local out = {}
  body_functions(world, out)
  recorders(world, out, "scheme path query host_header timeouts retries tls_verify sni")
  function out.set_target(name, port, https)
    local up = world.now().up
    up.host, up.port = name, port
    if https ~= nil then
      up.scheme = https and "https" or "http"
    end
    return true
  end
  function out.set_upstream(name)
    local request = world.now()
    for _, upstream in ipairs(request.upstreams) do
      if upstream == name or upstream.name == name then
        request.up.upstream = name
        return true
      end
    end
    return nil, "could not find an Upstream named '" .. name .. "'"
  end
  function out.enable_buffering()
    world.now().buffering = true
    return true
  end
  getters(world, out, "buffering upstream_status")
  function out.path()
    local request = world.now()
    return request.up.path or request.path
  end
  function out.query()
    local request = world.now()
    if request.up.query ~= nil then
      return request.up.query
    end
    return request.query
  end
  function out.host_header()
    return world.now().up.host_header
  end
  function out.latencies()
    return 0, 0, 0, 0
  end
  function out.on_success_header(name, value)
    table.insert(world.now().ops, { kind = "set", name = name, value = tostring(value), on_success = true })
    return true
  end
  local upstream = header_functions(world, "upstream_lines")
  out.upstream_header, out.upstream_headers = upstream.header, upstream.headers
  out.drop_response_header = header_functions(world, "response_lines").clear_header
  function out.want(name)
    local phase = type(name) == "number" and name or world.phase.number(name)
    world.task.want(phase)
    return phase
  end
  return out
end

local function response_of(world)
  local out = header_functions(world, "response_lines")
  getters(world, out, "status source head_sent")
  function out.set_status(status)
    local request = world.now()
    if request.head_sent then
      return nil, SENT
    end
    request.wanted_status = status
    request.status = request.begun and status or request.status
    return true
  end
  function out.collected()
    return world.now().collected or ""
  end
  function out.set_collected(text)
    world.now().collected = text
    return true
  end
  function out.exit(status, body, content_type)
    return world.leave({ status = status, body = body, content_type = content_type, source = "exit" })
  end
  function out.error(status, message)
    return world.leave({ status = status, source = "error", content_type = "application/json; charset=utf-8",
      body = json.encode({ message = message or "An unexpected error occurred" }) })
  end
  function out.stop()
    return world.leave(nil)
  end
  function out.begin(status)
    world.now().printed = { status = status }
    return true
  end
  out.print = function(text)
    local printed = world.now().printed or { status = 200 }
    world.now().printed = printed
    printed[#printed + 1] = text
    return true
  end
  function out.flush()
    return true
  end
  function out.finish()
    local printed = world.now().printed or { status = 200 }
    return world.leave({ status = printed.status, body = table.concat(printed), source = "exit" })
  end
  function out.bytes_out()
    return 0
  end
  function out.chunk()
    local request = world.now()
    return request.chunk, request.last
  end
  function out.set_chunk(text, last)
    local request = world.now()
    request.chunk = text
    if last ~= nil then
      request.last = last
    end
  end
  return out
end

local LISTS = { consumer = "consumers", service = "services", route = "routes", credential = "credentials" }

local declared -- what plugins' daos.lua declare

local function route_of(world)
  local out = {}
  local function list_of(kind)
    return world.now()[LISTS[kind] or ""] or {}
  end
  function out.entity(kind, index)
    return list_of(kind)[(index or -1) + 1]
  end
  function out.count(kind)
    return #list_of(kind)
  end
  local function find(kind, fits)
    for i, item in ipairs(list_of(kind)) do
      if fits(item) then
        return item, i - 1
      end
    end
  end
  function out.find(kind, name)
    return find(kind, function(item)
      return item.id == name or item.name == name
    end)
  end
  function out.find_consumer(name, custom)
    return find("consumer", function(item)
      return custom and item.custom_id == name or not custom and (item.id == name or item.username == name)
    end)
  end
  function out.find_credential(kind, key)
    local item, index = find("credential", function(item)
      return (item.kind == nil or item.kind == kind) and (item.key == key or item.username == key)
    end)
    if item then
      local owner = item.consumer and (item.consumer.id or item.consumer.username)
      local _, consumer = out.find_consumer(owner)
      return item, index, consumer
    end
  end
  function out.set_consumer(consumer, credential)
    local request = world.now()
    request.consumer_index, request.credential_index = consumer, credential
    return true
  end
  function out.consumer_index()
    return world.now().consumer_index or -1
  end
  function out.consumer()
    return out.entity("consumer", world.now().consumer_index)
  end
  function out.credential()
    return out.entity("credential", world.now().credential_index)
  end
  getters(world, out, "route service")
  function out.raw()
    return "[]"
  end
  -- Entities that a spec gives by their kind's name; a consumer's groups are acls too.
  function out.list(name)
    if name == "daos" then
      declared = declared or kinds.new(host.plugin_daos()):daos()
      return declared
    end
    local given = world.now()[name]
    if given or name ~= "acls" then
      return given or {}
    end
    local acls = {}
    for _, consumer in ipairs(list_of("consumer")) do
      for _, group in ipairs(consumer.groups or {}) do
        acls[#acls + 1] = { group = group, consumer = { id = consumer.id } }
      end
    end
    return acls
  end
  function out.id(kind, index)
    local item = out.entity(kind, index) or {}
    local owner = item.consumer and (item.consumer.id or item.consumer.username)
    local _, consumer = out.find_consumer(owner)
    return item.id, item.kind, consumer
  end
  -- Nothing is kept: a spec may change its entities from request to request.
  function out.memo()
    return {}
  end
  function out.generation()
    return 1
  end
  function out.hash()
    return "made-up"
  end
  function out.forget() end
  return out
end

-- What kong.log.serialize gives: the members that a made-up request can have.
local function record_of(request)
  local headers = {}
  for _, line in ipairs(request.request_lines) do
    headers[line[1]:lower()] = line[2]
  end
  local response_headers = {}
  for _, line in ipairs(request.response_lines) do
    response_headers[line[1]:lower()] = line[2]
  end
  return json.encode({
    request = { id = request.id, method = request.method, uri = request.raw_target, headers = headers, querystring = {},
      url = request.scheme .. "://" .. request.host .. ":" .. request.port .. request.raw_target, size = #request.body },
    response = { status = request.status, headers = response_headers, size = 0 },
    latencies = { kong = 0, proxy = 0, request = 0 }, client_ip = request.client_ip, source = request.source,
    started_at = math.floor(request.start_time * 1000), route = request.route, service = request.service,
    tries = json.array({}), upstream_status = request.upstream_status,
  })
end

local function node_of(world)
  local out = {
    now = function()
      return world.clock:now()
    end,
    mono = function()
      return world.clock:mono()
    end,
    update_time = function()
      if not world.clock.frozen then
        node.update_time()
      end
    end,
    log_wants = function()
      return true
    end,
    log = function(level, text)
      table.insert(world.logs(), { level = world.level_name(level), message = text })
    end,
    serialize = function()
      return record_of(world.now())
    end,
    set_log_fields = function(text)
      world.now().log_fields = text
    end,
  }
  return setmetatable(out, { __index = node })
end

local PHASE_NAMES = { header_filter = "header_filter_by_lua*", body_filter = "body_filter_by_lua*", log = "log_by_lua*",
  init_worker = "init_worker_by_lua*" }

-- Raises, as the gateway does, where the phase may not wait.
local function check_wait(world)
  if world.state.may_wait == 0 then
    local name = world.phase.name(world.state.phase)
    error("API disabled in the context of " .. (PHASE_NAMES[name] or name), 3)
  end
end

-- The functions of `names` of a real module, with that check.
local function waiting(world, out, real, names)
  for name in names:gmatch("%S+") do
    out[name] = function(...)
      check_wait(world)
      return real[name](...)
    end
  end
  return out
end

local function wait_of(world)
  local clock, real = world.clock, require "moongate.abi.wait"
  local out = {
    sleep = function(seconds)
      check_wait(world)
      clock:sleep(seconds)
    end,
    timer_at = function(delay, fn, ...)
      return clock:add_timer(delay, nil, fn, ...)
    end,
    timer_every = function(delay, fn, ...)
      return clock:add_timer(delay, delay, fn, ...)
    end,
    timer_counts = function()
      return clock:pending(), 0
    end,
  }
  return setmetatable(waiting(world, out, real, "park spawn wait"), { __index = real })
end

-- A metric is counted nowhere.
local function stats_of()
  local function nothing() end
  return { counter = nothing, gauge = nothing, histogram = nothing, add = nothing, set = nothing, observe = nothing,
    label = require("moongate.abi.stats").label }
end

-- What unit mode does not have says so.
local function strict(name, functions)
  return setmetatable(functions, getmetatable(functions) or { __index = function(_, key)
    return function()
      error(("%s.%s is not there in unit mode: test this through gw.start"):format(name, tostring(key)), 2)
    end
  end })
end

-- The modules to put in the place of lualib/abi's, by name. world: {now(), logs(), clock, shdict, state, leave(answer), ...}.
function _M.modules(world)
  local real = require "moongate.abi.c"
  local request = request_of(world)
  local route = identity(route_of(world), function()
    return request
  end)
  return {
    ["moongate.abi.c"] = {
      state = world.state, ffi = real.ffi, why = real.why,
      C = { mg_slot_used = function() end },
      native = setmetatable({ set_slot_tables = function(list)
        world.slot_tables = list
      end }, { __index = real.native }),
    },
    ["moongate.abi.request"] = strict("request", request),
    ["moongate.abi.exchange"] = strict("exchange", exchange_of(world)),
    ["moongate.abi.response"] = strict("response", response_of(world)),
    ["moongate.abi.route"] = strict("route", route),
    ["moongate.abi.node"] = node_of(world),
    ["moongate.abi.wait"] = wait_of(world),
    ["moongate.abi.shdict"] = world.shdict,
    ["moongate.abi.socket"] = waiting(world, {}, require "moongate.abi.socket", "tcp udp"),
    ["moongate.abi.stats"] = stats_of(),
  }
end

local COUNT = 0

-- A request. over: method, path (with a query), headers, body, client_ip, consumers, credentials, route, service,
-- response ({status, headers, body: text or list of chunks}) and any field of abi/request.
function _M.request(over, now)
  COUNT = COUNT + 1
  local target = over.path or "/"
  local path, query = target:match("^([^?]*)%??(.*)$")
  local request = {
    method = (over.method or "GET"):upper(), path = path, raw_path = path, raw_target = target,
    query = target:find("?", 1, true) and query or nil, scheme = "http", host = "localhost", port = 8000, http_minor = 1,
    id = ("%032x"):format(COUNT), start_time = now, client_ip = "127.0.0.1", client_port = 40000, peer_ip = "127.0.0.1",
    peer_port = 40000, server_addr = "127.0.0.1", server_port = 8000, trusted = false, body = over.body or "",
    body_complete = false, head_sent = false, buffering = false, begun = false, aborted = false,
    request_lines = {}, response_lines = {}, upstream_lines = {}, ops = {}, up = {}, logs = {},
    consumers = {}, credentials = {}, services = {}, routes = {}, upstreams = {},
    route = { id = "00000000-0000-4000-8000-000000000001", name = "route", paths = { "/" }, protocols = { "http", "https" } },
    service = { id = "00000000-0000-4000-8000-000000000002", name = "service", protocol = "http", host = "upstream", port = 80 },
  }
  for name, value in pairs(over) do
    if name ~= "headers" and name ~= "response" and name ~= "path" and name ~= "method" then
      request[name] = value
    end
  end
  request.request_lines = _M.lines(over.headers)
  request.host = lines_find(request.request_lines, "host") or request.host
  request.host = request.host:gsub(":%d+$", ""):lower()
  if not lines_find(request.request_lines, "host") then
    table.insert(request.request_lines, 1, { "Host", request.host })
  end
  if request.body ~= "" and not lines_find(request.request_lines, "content-length") then
    table.insert(request.request_lines, { "Content-Length", tostring(#request.body) })
  end
  request.content_length = tonumber(lines_find(request.request_lines, "content-length"))
  request.given_response = over.response
  return request
end

return _M

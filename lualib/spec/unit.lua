-- Unit mode: one phase of one plugin against a made-up request, without network and in microseconds. The
-- handler, the schema and the PDK are the real ones; below them is fake.lua.
-- Invariant: a plugin's modules, its dictionaries, its cache and its timers are fresh in each `it`.

local bit = require "bit"
local json = require "moongate.util.json_encode"
local check = require "moongate.config.check"
local clocks = require "moongate.spec.clock"
local fake = require "moongate.spec.fake"
local sets = require "moongate.schema.sets"
local fake_shdict = require "moongate.spec.fake_shdict"
local message = require "moongate.spec.message"
local sandbox = require "moongate.spec.sandbox"
local phase = require "moongate.abi.phase"

local _M = { clock = clocks.new() }

local LEVELS = { "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", [0] = "stderr" }
local MAY_WAIT = bit.bor(phase.CERTIFICATE, phase.REWRITE, phase.ACCESS, phase.TIMER)
local LEAVE = {} -- what a coroutine yields to be left

local current          -- the request whose phase runs
local stray_logs = {}  -- logged outside of any
local slots = 0
local env, forget, schemas

local world = {
  clock = _M.clock,
  state = { phase = 0, slot = 0, has_request = 0, may_wait = 0 },
  shdict = fake_shdict.new(_M.clock),
  phase = phase,
}

function world.now()
  return current or error("no request found", 3)
end

function world.logs()
  return current and current.logs or stray_logs
end

function world.level_name(level)
  return LEVELS[level] or tostring(level)
end

-- An answer ends the phase, but in header_filter, where it takes the response's place.
function world.leave(answer)
  local request = world.now()
  if answer and world.state.phase == phase.HEADER_FILTER then
    request.status, request.replaced_body = answer.status, answer.body or ""
    return
  end
  request.answer = answer
  coroutine.yield(LEAVE)
  error("a phase that was left was resumed")
end

-- ---- the second world ----

local resume, yield, status = coroutine.resume, coroutine.yield, coroutine.status

-- Passes the leaving of a phase through coroutines that plugins make, as the gateway does.
local function pass(co, ok, first, ...)
  if ok and first == LEAVE and status(co) == "suspended" then
    return pass(co, resume(co, yield(LEAVE)))
  end
  return ok, first, ...
end

local function checked(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

local function coroutines()
  local out = setmetatable({}, { __index = coroutine })
  function out.resume(co, ...)
    return pass(co, resume(co, ...))
  end
  function out.wrap(fn)
    local co = coroutine.create(fn)
    return function(...)
      return checked(pass(co, resume(co, ...)))
    end
  end
  return out
end

local function build()
  if env then
    return
  end
  env, forget = sandbox.new(fake.modules(world))
  env.coroutine = coroutines()
  world.task = env.require "moongate.abi.task"
  env.ngx = env.require "moongate.ngx"
  env.kong = env.require "moongate.pdk"
  schemas = {}
end

-- Runs fn as a phase of `request` (nil: a timer); what it returned. Errors are raised as they are.
local function in_phase(number, request, record, fn, ...)
  local state = world.state
  local saved = { current, state.phase, state.slot, state.has_request, state.may_wait }
  if not (request and request.slot) then
    slots = slots + 1
  end
  current = request
  state.phase, state.slot = number, request and request.slot or slots
  state.has_request, state.may_wait = request and 1 or 0, bit.band(number, MAY_WAIT) ~= 0 and 1 or 0
  if request then
    request.slot = state.slot
  end
  world.task.set_current(record)
  local co = coroutine.create(fn)
  local ok, result = resume(co, ...)
  while ok and result ~= LEAVE and status(co) ~= "dead" do
    ok, result = resume(co)
  end
  world.task.set_current(nil)
  local trace = not ok and type(result) == "string" and debug.traceback(co, result)
  current, state.phase, state.slot, state.has_request, state.may_wait = unpack(saved, 1, 5)
  return ok, result, trace
end

function _M.clock.run_timer(timer)
  local ok, err, trace = in_phase(phase.TIMER, nil, nil, timer.fn, false, unpack(timer, 1, timer.n))
  if not ok then
    error("a timer of the plugin failed: " .. (trace or tostring(err)), 0)
  end
end

-- ---- results ----

local function headers_of(lines)
  local out = message.headers()
  for _, line in ipairs(lines) do
    local key
    for known in next, out do
      key = known:lower() == line[1]:lower() and known or key
    end
    local have = key and rawget(out, key)
    if not key then
      out[line[1]] = line[2]
    else
      out[key] = type(have) == "table" and have or { have }
      table.insert(out[key], line[2])
    end
  end
  return out
end

local function upstream_request(request)
  local up = request.up
  local headers = headers_of(request.request_lines)
  if up.host_header then
    headers.Host = up.host_header
  end
  local query = up.query
  if query == nil then
    query = request.query
  end
  return { method = up.method or request.method, scheme = up.scheme or "http", host = up.host or request.service.host,
    port = up.port or request.service.port, upstream = up.upstream, path = up.path or request.path,
    query = query ~= "" and query or nil, headers = headers, body = up.body or request.body, timeouts = up.timeouts,
    retries = up.retries }
end

local Result = {}
Result.__index = Result

function Result.json(self)
  return require("moongate.cjson").decode(self.body)
end

local function has_begun(request)
  return request.begun
end

local function result_of(request)
  local begun = has_begun(request)
  local lines = request.response_lines
  if not begun then
    lines = {}
    local preview = { ops = request.ops, response_lines = lines }
    local ops = request.ops
    fake.begin_response(preview, 200, lines)
    request.ops = ops
  end
  return setmetatable({
    exited = request.exited or false, status = begun and request.status or request.wanted_status,
    headers = headers_of(lines), body = request.out_body, source = request.source,
    upstream_request = not request.exited and upstream_request(request) or nil,
    logs = request.logs, ctx = world.task.shared[request.slot or 0], ngx_ctx = world.task.ctx[request.slot or 0],
    consumer = (request.consumers or {})[(request.consumer_index or -1) + 1], request = request,
  }, Result)
end

-- ---- running ----

-- What stays of a response's lines when a phase that has seen it answers instead.
local function kept_lines(request, given)
  local lines = {}
  for _, line in ipairs(request.begun and request.response_lines or {}) do
    local name = line[1]:lower()
    if name ~= "content-length" and name ~= "transfer-encoding" and not (given.content_type and name == "content-type") then
      lines[#lines + 1] = line
    end
  end
  return lines
end

local function answer(request)
  local given = request.answer
  request.answer = nil
  request.exited = true
  local lines = kept_lines(request, given)
  local body = given.body or ""
  if given.content_type then
    lines[#lines + 1] = { "Content-Type", given.content_type }
  end
  lines[#lines + 1] = { "Content-Length", tostring(#body) }
  request.begun, request.wanted_status = false, nil
  fake.begin_response(request, given.status, lines, given.source)
  request.out_body = body
end

-- The response as the service gave it, before a phase that sees one.
local function respond(request)
  if request.begun then
    return
  end
  local given = request.given_response or {}
  local body = given.body or ""
  request.chunks = type(body) == "table" and not given.json and body or { body }
  request.upstream_status = given.status or 200
  request.upstream_lines = fake.lines(given.headers)
  fake.begin_response(request, request.upstream_status, fake.lines(given.headers), given.source or "service")
  request.collected = table.concat(request.chunks)
  request.out_body = request.collected
end

local function run_body_filter(request, record, fn)
  local chunks = request.replaced_body and { request.replaced_body } or request.chunks or { request.out_body or "" }
  local out = {}
  for i, chunk in ipairs(chunks) do
    request.chunk, request.last = chunk, i == #chunks
    local ok, err, trace = in_phase(phase.BODY_FILTER, request, record, fn, record.handler, record.conf)
    if not ok then
      return ok, err, trace
    end
    out[#out + 1] = request.chunk or ""
    if request.last then
      break
    end
  end
  request.chunks = out
  request.out_body = table.concat(out)
  return true
end

local PHASES = { certificate = true, rewrite = true, access = true, response = true, header_filter = true,
  body_filter = true, log = true, init_worker = true }
local AFTER_RESPONSE = { response = true, header_filter = true, body_filter = true, log = true }

local function run_phase(name, request, record, fn)
  if name == "body_filter" then
    return run_body_filter(request, record, fn)
  end
  request.head_sent = name == "log"
  return in_phase(phase.number(name), request, record, fn, record.handler, record.conf)
end

local Plugin = {}
Plugin.__index = Plugin

-- The handler, as loaded for this `it`.
function Plugin.handler(self)
  build()
  return env.require("kong.plugins." .. self.name .. ".handler")
end

-- Another module of the plugin ("access" for kong.plugins.NAME.access), as loaded for this `it`.
function Plugin.module(self, name)
  build()
  return env.require("kong.plugins." .. self.name .. "." .. name)
end

-- The configuration checked by the schema, with defaults; nil and the mistakes as text.
function Plugin.validate(self, conf)
  build()
  local schema = schemas[self.name]
  if not schema then
    local err
    schema, err = check.plugin_schema(env.require("kong.plugins." .. self.name .. ".schema"))
    if not schema then
      error("plugin '" .. self.name .. "': " .. err, 2)
    end
    schemas[self.name] = schema
  end
  local out, failed = schema:process({ name = self.name, config = conf or {} })
  if not out then
    return nil, schema:errors_to_string(failed)
  end
  return out.config
end

local confs = setmetatable({}, { __mode = "k" }) -- what the spec gave -> what the handler gets

local function conf_of(self, conf)
  local known = conf and confs[conf]
  if known and known.name == self.name then
    return known.conf
  end
  local out, err = self:validate(conf)
  if not out then
    error("the schema of '" .. self.name .. "' refuses this configuration: " .. err, 3)
  end
  sets.make(out, sets.paths(schemas[self.name].fields.config, out))
  out.__plugin_id = "00000000-0000-4000-8000-0000000000aa"
  if conf then
    confs[conf] = { name = self.name, conf = out }
  end
  return out
end

local function request_of(given)
  if getmetatable(given) == Result then
    return given.request
  end
  given = given or {}
  if type(given.body) == "table" then
    local copy = {}
    for name, value in pairs(given) do
      copy[name] = value
    end
    copy.body = json.encode(given.body)
    copy.headers = { ["Content-Type"] = "application/json" }
    for name, value in pairs(given.headers or {}) do
      copy.headers[name] = value
    end
    given = copy
  end
  return fake.request(given, _M.clock:now())
end

-- Runs a phase ("access") or several ({"access", "header_filter"}); an answer in one skips to the phases of the response.
-- conf: as in kong.yaml, checked. request: {method, path, query in path, headers, body, consumers, credentials, response =
-- {status, headers, body}, ...}, or an earlier result, whose request goes on.
-- {exited, status, headers, body, upstream_request, logs, ctx, json()}. Errors of the plugin are raised.
function Plugin.run(self, phases, conf, request)
  build()
  local handler = self:handler()
  local record = { name = self.name, id = "00000000-0000-4000-8000-0000000000aa", handler = handler, conf = conf_of(self, conf) }
  request = request_of(request)
  for _, name in ipairs(type(phases) == "table" and phases or { phases }) do
    if not PHASES[name] then
      error("there is no phase '" .. tostring(name) .. "'", 2)
    elseif not handler[name] then
      error(("plugin '%s' has no %s phase"):format(self.name, name), 2)
    end
    if AFTER_RESPONSE[name] then
      request.buffering = request.buffering or handler.response ~= nil -- such a phase turns it on
      respond(request)
    end
    if AFTER_RESPONSE[name] or not request.exited then
      local ok, err = run_phase(name, request, record, handler[name])
      if not ok then
        error(err, 0)
      end
      if request.answer then
        answer(request)
      elseif name == "header_filter" and request.replaced_body then
        request.out_body = request.replaced_body
      elseif name == "response" then
        request.out_body = request.collected
      end
    end
  end
  return result_of(request)
end

--- The plugin of that name, found where moongate test finds plugins.
function _M.plugin(name)
  return setmetatable({ name = name }, Plugin)
end

-- Forgets what an `it` left behind. Called by the runner after each.
function _M.refresh()
  _M.clock:release()
  stray_logs = {}
  if not env then
    return
  end
  forget()
  world.shdict.reset()
  schemas = {}
  env.kong.cache:purge()
  for _, t in ipairs(world.slot_tables or {}) do
    for slot in pairs(t) do
      t[slot] = nil
    end
  end
end

--- The names of the phases in which a function of the PDK ("kong.response.exit") may be called; nil: it does not say.
--- It is called without arguments and outside of all phases: functions that check refuse before they do anything.
function _M.allowed_phases(path)
  build()
  local at = env
  for name in path:gmatch("[^.]+") do
    at = type(at) == "table" and at[name] or nil
  end
  if type(at) ~= "function" then
    return nil
  end
  local state = world.state
  local saved = state.phase
  state.phase = 0
  local _, err = pcall(at)
  state.phase = saved
  local only = type(err) == "string" and err:match("function cannot be called in .- %(only in: (.-)%)")
  if not only then
    return nil
  end
  local names = {}
  for name in only:gmatch("[%w_]+") do
    names[#names + 1] = name
  end
  return names
end

return _M

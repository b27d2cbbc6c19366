-- The chains of one route: which instance of each plugin runs (Kong's precedence), in which order,
-- as generated straight-line functions. Not loading (handlers.lua) nor running (boot.lua, C).
-- Invariant: a chain is function(slot); it sets task.running[slot] before each plugin.

local conf = require "moongate.runloop.conf"
local confine = require "moongate.runloop.confine"
local guard = require "moongate.abi.guard"
local json = require "moongate.abi.json"
local ordering = require "moongate.runloop.ordering"
local retry = require "moongate.runloop.retry"
local handlers = require "moongate.runloop.handlers"
local phase = require "moongate.abi.phase"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"
local task = require "moongate.abi.task"
local bit = require "bit"
local native = require("moongate.abi.c").native

local band = bit.band

local _M = {}

local LOG_ERR = 4
local PER_FUNCTION = 12 -- plugins in one generated function: LuaJIT allows 60 upvalues

-- Most specific first; c consumer, g consumer group, r route, s service.
local PRECEDENCE = {}
for rank, key in ipairs({ "crs", "grs", "cr", "cs", "gr", "gs", "rs", "c", "g", "r", "s", "" }) do
  PRECEDENCE[key] = rank
end

local function scope_key(record)
  return (record.consumer and "c" or record.consumer_group and "g" or "")
    .. (record.route and "r" or "") .. (record.service and "s" or "")
end

local function applies(record, route_index, service_index)
  return (record.route == nil or record.route == route_index)
    and (record.service == nil or record.service == service_index)
end

-- The instances of one plugin that can run on the route, most specific first.
local function candidates(records, at)
  local out = {}
  for _, record in ipairs(records) do
    if applies(record, at.route, at.service)
      and (not at.protocols or band(record.protocols, at.protocols) ~= 0) then
      out[#out + 1] = record
    end
  end
  table.sort(out, function(a, b)
    local rank_a, rank_b = PRECEDENCE[scope_key(a)], PRECEDENCE[scope_key(b)]
    if rank_a ~= rank_b then
      return rank_a < rank_b
    end
    return a.index < b.index
  end)
  return out
end

-- Is the consumer in the group of that 0-based index? Consumers name theirs by 1-based ones.
local function in_group(consumer, index)
  for _, number in ipairs(consumer and consumer.consumer_groups or {}) do
    if number == index + 1 then
      return true
    end
  end
  return false
end

local LAST = 1 / 0

local function better(record, than)
  local rank = record and PRECEDENCE[scope_key(record)] or LAST
  return rank < (than and PRECEDENCE[scope_key(than)] or LAST) and record or than
end

-- A function that picks by the authenticated consumer. Nothing when no instance fits.
-- `list` is sorted, most specific first.
local function picker(list)
  local plain, by_consumer, by_group = nil, {}, {}
  for _, record in ipairs(list) do
    if record.consumer then
      by_consumer[record.consumer] = by_consumer[record.consumer] or record
    elseif record.consumer_group then
      by_group[#by_group + 1] = record
    else
      plain = plain or record
    end
  end
  local function of_group(consumer)
    for _, record in ipairs(by_group) do
      if in_group(consumer, record.consumer_group) then
        return record
      end
    end
  end
  return function()
    local index = route.consumer_index()
    local record = plain
    if index >= 0 then
      record = better(by_consumer[index], record)
      if by_group[1] then
        record = better(of_group(route.entity("consumer", index)), record)
      end
    end
    if record then
      conf.get(record)
    end
    return record
  end
end

-- Is the first instance the one for every client?
local function is_static(list)
  for _, record in ipairs(list) do
    if record.consumer or record.consumer_group then
      return list[1] ~= record -- a more specific one that is the same for all comes first
    end
  end
  return true
end

-- What the most specific instance wishes of the order, or nil.
local function wish_of(list)
  for _, record in ipairs(list) do
    if record.ordering then
      return json.decode(record.ordering)
    end
  end
end

-- One entry per plugin of the route: {record=} (the same for every client) or {pick=, handler=}.
local function choose(generation, at)
  local out = {}
  for _, name in ipairs(generation.order) do
    local list = candidates(generation.by_name[name], at)
    local first = list[1]
    if first then
      if is_static(list) then
        conf.get(first)
        out[#out + 1] = { record = first, handler = first.handler }
      else
        out[#out + 1] = { pick = picker(list), handler = first.handler, first = first }
      end
      out[#out].name, out[#out].ordering = name, wish_of(list)
      -- rewrite and certificate run before anybody is authenticated: the global instance only.
      local last = list[#list]
      if scope_key(last) == "" then
        conf.get(last)
        out[#out].global = last
      end
    end
  end
  return out
end

local function report(err)
  native.log(LOG_ERR, "[lua] " .. err)
end

-- Writes the log line of an error that on_error has seen, or that no handler sees.
local function reporter(on_error)
  return function(err)
    report(on_error(err, true) or err)
  end
end

-- The row by which C knows the plugin of this record, or nil when it is one of ours: what of it is killed together is switched
-- off together, a file's plugin as a whole and of snippets one instance.
local function row_of(record)
  local name = record.name
  if record.handler.SNIPPETS then
    name = ("%s (%s)"):format(name, record.instance_name or record.id)
  elseif not confine.is_operators(name) then
    return nil
  end
  local row = guard.row(name)
  return row > 0 and row or nil
end

local UNAVAILABLE = 503

-- In the stead of a plugin that is switched off and without which requests do not pass.
local function refuse(record, name)
  if phase.current() == phase.ACCESS or phase.current() == phase.REWRITE then
    return response.error(UNAVAILABLE)
  end
  error(("plugin \"%s\" is switched off, its %s phase cannot run"):format(record.name, name), 0)
end

-- Where a request is refused when the plugin is switched off: in access, for what it does later is not missed then.
local function is_needed(name, record)
  if name == "log" or confine.is_listed("plugin_fail_open", record.name) then
    return false
  end
  return name == "access" or name == "rewrite" or not record.handler.access
end

-- The call, told to C while it lasts; when the plugin is switched off, nothing or the refusal.
local function watched(i, row, call, name, record)
  local text = ("if off[%d] == 0 then running[0] = %d %s running[0] = 0"):format(row, row, call)
  if is_needed(name, record) then
    text = text .. (" else refuse(r%d, %q)"):format(i, name)
  end
  return text .. " end"
end

local CALL = "f%d(h%d, c%d)"
local GUARDED = "do local ok, err = xpcall(f%d, on_error, h%d, c%d) if not ok then report(err) end end"

-- Statements of entry number i in a phase; `guarded`: an error stops this plugin only.
local function statements(i, entry, name, guarded)
  local call = (guarded and GUARDED or CALL):format(i, i, i)
  local record = entry.record or entry.first
  local row = row_of(record)
  if row then
    call = watched(i, row, call, name, record)
  end
  local lines = {}
  if entry.pick then
    lines[1] = ("local r%d = p%d()"):format(i, i)
    lines[2] = ("if r%d then local c%d = r%d.conf cur[slot] = r%d %s end"):format(i, i, i, i, call)
  else
    lines[1] = ("cur[slot] = r%d %s"):format(i, call)
  end
  local text = table.concat(lines, " ")
  if handlers.is_optional(entry.handler, name) then
    text = ("if wants(slot, h%d, phase) then %s end"):format(i, text)
  end
  return "  " .. text
end

local function generate(entries, name, guarded)
  local head = { "local E, cur, wants, phase, on_error, report, off, running, refuse = ..." }
  local body = { "return function(slot)" }
  for i, entry in ipairs(entries) do
    if entry.pick then
      head[#head + 1] = ("local h%d, f%d, p%d = E[%d].handler, E[%d].handler.%s, E[%d].pick"):format(
        i, i, i, i, i, name, i)
    else
      head[#head + 1] = ("local r%d, h%d, f%d, c%d = E[%d].record, E[%d].handler, E[%d].handler.%s, "
        .. "E[%d].record.conf"):format(i, i, i, i, i, i, i, name, i)
    end
    body[#body + 1] = statements(i, entry, name, guarded)
  end
  body[#body + 1] = "  cur[slot] = nil"
  body[#body + 1] = "end"
  return table.concat(head, "\n") .. "\n" .. table.concat(body, "\n")
end

local function part(entries, name, guarded, on_error)
  local source = generate(entries, name, guarded)
  local chunk = assert(loadstring(source, "=chain:" .. name))
  return chunk(entries, task.running, task.wants, phase.number(name), on_error, reporter(on_error), guard.off,
    guard.running, refuse)
end

local function join(first, second)
  if not first or not second then
    return first or second
  end
  return function(slot)
    first(slot)
    return second(slot)
  end
end

-- The chain of a phase over these entries, or nil.
local function chain(entries, name, guarded, on_error)
  local out
  for from = 1, #entries, PER_FUNCTION do
    local some = {}
    for i = from, math.min(from + PER_FUNCTION - 1, #entries) do
      some[#some + 1] = entries[i]
    end
    out = join(out, part(some, name, guarded, on_error))
  end
  return out
end

-- The entries of a phase, in its order.
local function having(entries, name)
  local out = {}
  for _, entry in ipairs(entries) do
    if entry.handler[name] then
      out[#out + 1] = entry
    end
  end
  local sorted, err = ordering.sort(out, name)
  if err then
    report(err)
  end
  return sorted
end

-- Entries of the phases that know no route: the global instances.
local function globals(entries, name)
  local out = {}
  for _, entry in ipairs(having(entries, name)) do
    if entry.global then
      out[#out + 1] = { record = entry.global, handler = entry.handler }
    end
  end
  return out
end

local function in_phase(number, fn)
  if not fn then
    return nil
  end
  local set_phase = native.set_phase
  return function(slot)
    set_phase(number)
    fn(slot)
    set_phase(phase.ACCESS)
  end
end

local function then_logged(fn)
  return fn and function(slot)
    fn(slot)
    task.on_logged()
  end
end

-- Makes the chains of route `index` (0-based; nil: no route): {certificate=, access=, response=,
-- header_filter=, body_filter=, log=}, each a function or false. A handshake knows no route.
function _M.build(generation, index, on_error)
  local at = { route = index }
  if index then
    at.service, at.protocols = native.route_info(index)
  end
  local entries = choose(generation, at)
  local certificate = not index and chain(globals(entries, "certificate"), "certificate", false, on_error)
  local rewrite = chain(globals(entries, "rewrite"), "rewrite", false, on_error)
  local access = index and chain(having(entries, "access"), "access", false, on_error)
  local out = {
    certificate = certificate or false,
    access = join(in_phase(phase.REWRITE, rewrite), access) or false,
    balancer = retry.run,
  }
  for _, name in ipairs({ "response", "header_filter", "body_filter" }) do
    out[name] = chain(having(entries, name), name, false, on_error) or false
  end
  out.log = then_logged(chain(having(entries, "log"), "log", true, on_error)) or false
  return out
end

return _M

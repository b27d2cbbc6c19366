-- The request's record: kong.log.serialize, and the values that plugins set in it.
-- Not its writing (C, core/record.h): what is inside a member that the record has by itself (request, response ...)
-- goes there by its dotted name. Invariant: serialize() and the access log say the same.

local node = require("moongate.abi.node")
local phase = require("moongate.abi.phase")
local task = require("moongate.abi.task")
local json = require("moongate.pdk.json")
local phases = require("moongate.pdk.phases")

local check, current_phase = phases.check, phase.current
local CONNECTION, LOG = phases.CONNECTION, phases.LOG

local M = {}

local KEY = {} -- of the request's list of values in task.get_extra

-- Without an access log nothing but text() and serialize() reads the values: no JSON is made before.
-- With one, C reads them when the log phase has ended.
local HAS_ACCESS_LOG = node.setting("access_log") ~= "off"

local MODES = { set = true, add = true, replace = true }
local BUILT_IN = {}
for name in ([[request response latencies route service consumer client_ip started_at source tries
  upstream_uri upstream_status authenticated_entity workspace workspace_name]]):gmatch("%S+") do
  BUILT_IN[name] = true
end

local SCALAR = { ["nil"] = true, number = true, string = true, boolean = true }

local function is_plain(value, seen)
  if type(value) ~= "table" then
    return SCALAR[type(value)] or value == json.null
  elseif seen[value] then
    return false
  end
  seen[value] = true
  for key, member in pairs(value) do
    if not SCALAR[type(key)] or not is_plain(member, seen) then
      return false
    end
  end
  seen[value] = nil
  return true
end

-- Sets a dotted key in a table, by its mode.
local function apply(t, key, value, mode)
  local parent, last = t, key
  for name, after in key:gmatch("([^.]+)%.()") do
    if type(parent[name]) ~= "table" then
      if mode == "replace" or value == nil then
        return
      end
      parent[name] = {}
    end
    parent, last = parent[name], key:sub(after)
  end
  local present = parent[last] ~= nil
  if mode == "set" or (mode == "add") == not present then
    parent[last] = value
  end
end

local MARKS = { set = "", add = "+", replace = "~" }

-- The access log takes whole members where only plugins write, and dotted names where the record has one by itself.
local function push(list)
  local out = {}
  for i = 1, #list do
    local entry = list[i]
    if not BUILT_IN[entry.key:match("^[^.]*")] then
      apply(out, entry.key, entry.value, entry.mode)
    elseif entry.value == nil then
      out[MARKS.replace .. entry.key] = json.null
    else
      out[MARKS[entry.mode] .. entry.key] = entry.value
    end
  end
  list.is_pending = false
  node.set_log_fields(json.encode(out))
end

--- Sets a value in the request's record.
-- phases: certificate to log. key: a dot makes nested tables. value: nil, scalar or a table of these.
-- options.mode: "set" (default), "add" (only when absent), "replace" (only when present).
-- Example: kong.log.set_serialize_value("my.field", 42)
function M.set_serialize_value(key, value, options)
  check(CONNECTION)
  if type(key) ~= "string" then
    error("key must be a string", 2)
  end
  local mode = options and options.mode or "set"
  if not MODES[mode] then
    error("mode must be 'set', 'add' or 'replace'", 2)
  elseif not SCALAR[type(value)] and not is_plain(value, {}) then
    error("value must be nil, a number, string, boolean or a non-self-referencial table containing "
      .. "numbers, string and booleans", 2)
  end
  local list = task.get_extra(KEY)
  list[#list + 1] = { key = key, value = value, mode = mode }
  if not HAS_ACCESS_LOG or current_phase() == LOG then
    list.is_pending = true
  else
    push(list)
  end
end

-- Called when the log phase has ended: one JSON text for all that its plugins set.
function task.on_logged()
  local list = HAS_ACCESS_LOG and task.find_extra(KEY)
  if list and list.is_pending then
    push(list)
  end
end

-- serialize() as JSON text, for log plugins of ours.
function M.text()
  check(LOG)
  local list = task.get_extra(KEY)
  if list.is_pending then
    push(list)
  end
  return node.serialize()
end

--- The request's record as a new table: request, response, latencies, route, service, consumer ...
-- phases: log.
function M.serialize()
  check(LOG)
  local out = json.decode(node.serialize())
  local list = task.get_extra(KEY)
  for i = 1, #list do
    apply(out, list[i].key, list[i].value, list[i].mode)
  end
  return out
end

return M

-- The probe of spec/e2e/pdk_spec.lua: does the PDK calls that a request names and tells what they returned.
--   X-Probe-Calls: [["request.get_query_arg","a"], ["db.consumers:select_by_username","alice"], ["version"]]
--   X-Probe-Phase: access (default), response, header_filter, body_filter, log
--   X-Probe-Pass: 1    in access: lets the request go upstream afterwards
-- Results are a JSON array: {"values": [...]} or {"error": "..."} for each call. They are the answer (access,
-- response), the field X-Probe-Result (header_filter), the body (body_filter) or "probe" in the log.

local cjson = require("cjson")

local Probe = {
  PRIORITY = 1,
  VERSION = "1.0.0",
  OPTIONAL = { response = true, header_filter = true, body_filter = true },
}

local function unwrapped(value)
  if value == cjson.null then
    return nil
  end
  return value
end

local function wrapped(value)
  if value == nil or type(value) == "function" or type(value) == "userdata" then
    return cjson.null
  end
  return value
end

-- What a dotted name stands for, and the table before ":" when it is a method.
local function find(name)
  local found, owner = kong, nil
  for sign, part in ("." .. name):gmatch("([.:])([%w_]+)") do
    owner = sign == ":" and found or nil
    found = found[part]
  end
  return found, owner
end

local function collected(ok, ...)
  if not ok then
    return { error = tostring((...)) }
  end
  local values = {}
  for i = 1, select("#", ...) do
    values[i] = wrapped((select(i, ...)))
  end
  return { values = values }
end

local function call(spec)
  local ok, fn, owner = pcall(find, spec[1])
  if not ok then
    return { error = fn }
  elseif type(fn) ~= "function" and not (getmetatable(fn) or {}).__call then
    return { values = { wrapped(fn) } }
  end
  local args, n = {}, #spec - 1
  for i = 1, n do
    args[i] = unwrapped(spec[i + 1])
  end
  if owner then
    return collected(pcall(fn, owner, unpack(args, 1, n)))
  end
  return collected(pcall(fn, unpack(args, 1, n)))
end

-- The results of the calls, when they are for this phase.
local function run(phase)
  local wanted = kong.request.get_header("X-Probe-Phase") or "access"
  local calls = kong.request.get_header("X-Probe-Calls")
  if wanted ~= phase or not calls then
    return nil
  end
  local results = {}
  for i, spec in ipairs(cjson.decode(calls)) do
    results[i] = call(spec)
  end
  return results
end

function Probe:access()
  local phase = kong.request.get_header("X-Probe-Phase")
  if phase and Probe.OPTIONAL[phase] then
    require("moongate.abi.exchange").want(phase)
    if phase == "body_filter" then
      require("moongate.abi.exchange").want("header_filter")
    end
  end
  local results = run("access")
  if not results then
    return nil
  elseif not kong.request.get_header("X-Probe-Pass") then
    return kong.response.exit(200, results)
  end
  for i, result in ipairs(results) do
    if result.error then
      return kong.response.exit(500, { message = "call " .. i .. ": " .. result.error })
    end
  end
end

function Probe:response()
  local results = run("response")
  if results then
    return kong.response.exit(200, results)
  end
end

function Probe:header_filter()
  if kong.request.get_header("X-Probe-Phase") == "body_filter" then
    kong.response.clear_header("Content-Length")
    return
  end
  local results = run("header_filter")
  if results then
    kong.response.set_header("X-Probe-Result", cjson.encode(results))
  end
end

function Probe:body_filter()
  local body = kong.response.get_raw_body()
  local results = body and run("body_filter")
  if results then
    kong.response.set_raw_body(cjson.encode({ body = body, results = results }))
  end
end

function Probe:log()
  local results = run("log")
  if results then
    kong.log.set_serialize_value("probe", results)
  end
end

return Probe

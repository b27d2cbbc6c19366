-- Field lines of one of the three sides (client's request, response to the client, upstream's
-- response), as functions that share one implementation. For abi/{request,response,exchange}.

local c = require "moongate.abi.c"

local C, state, str, str2, text = c.C, c.state, c.str, c.str2, c.text
local u32, i32 = c.u32, c.i32
local why = c.why
local type, tostring = type, tostring

local _M = {}

local function check(code)
  if code == 0 then
    return true
  end
  return nil, why[code] or "failed"
end

local function no_request()
  error("no request found", 3)
end

-- First value of a field, or nil.
function _M.getter(side)
  return function(name)
    local code = C.mg_header_get(side, name, #name, str)
    if code == 0 then
      return text(str[0])
    elseif code == -2 then
      no_request()
    end
  end
end

-- All lines as n1, v1, n2, v2, ... in order; at most `max` lines (nil or 0: all). The second
-- result is true when there were more.
function _M.lister(side)
  return function(max)
    local out, n = {}, 0
    u32[0] = 0
    max = max and max > 0 and max or math.huge
    while true do
      local code = C.mg_header_next(side, u32, str, str2)
      if code == -2 then
        no_request()
      elseif code ~= 0 then
        return out, false
      end
      if n >= max then
        return out, true
      end
      out[2 * n + 1], out[2 * n + 2] = text(str[0]), text(str2[0])
      n = n + 1
    end
  end
end

local function without(flat, name)
  local out, lower = {}, name:lower()
  for i = 1, #flat, 2 do
    if flat[i]:lower() ~= lower then
      out[#out + 1], out[#out + 2] = flat[i], flat[i + 1]
    end
  end
  return out
end

-- n1, v1, ... of a response that is not there yet: what plugins have recorded for it so far.
function _M.recorded()
  local flat, at = {}, 0
  while C.mg_header_recorded(at, i32, str, str2) == 0 do
    local name, change = text(str[0]), i32[0]
    if change ~= C.MG_CHANGE_ADD then
      flat = without(flat, name)
    end
    if change ~= C.MG_CHANGE_REMOVE then
      flat[#flat + 1], flat[#flat + 2] = name, text(str2[0])
    end
    at = at + 1
  end
  return flat
end

function _M.counter(side)
  return function()
    local n = 0
    u32[0] = 0
    while C.mg_header_next(side, u32, str, str2) == 0 do
      n = n + 1
    end
    return n
  end
end

-- How many lines bear that name.
function _M.line_counter(side)
  return function(name)
    local n = C.mg_header_count(side, name, #name)
    if n < 0 then
      no_request()
    end
    return n
  end
end

local function as_text(value)
  return type(value) == "string" and value or tostring(value)
end

function _M.setter(side)
  return function(name, value)
    value = as_text(value)
    return check(C.mg_header_set(side, name, #name, value, #value))
  end
end

-- set(name, number): a whole number.
function _M.number_setter(side)
  return function(name, value)
    return check(C.mg_header_set_number(side, name, #name, value))
  end
end

function _M.adder(side)
  return function(name, value)
    value = as_text(value)
    return check(C.mg_header_add(side, name, #name, value, #value))
  end
end

function _M.clearer(side)
  return function(name)
    return check(C.mg_header_remove(side, name, #name))
  end
end

function _M.on_success(name, value)
  value = as_text(value)
  return check(C.mg_header_on_success(name, #name, value, #value))
end

_M.state = state

return _M

-- Field lines of one of the three sides (client's request, response to the client, upstream's
-- response), as functions that share one implementation. For abi/{request,response,exchange}.

local c = require "moongate.abi.c"

local C, state, str, str2, u32, text = c.C, c.state, c.str, c.str2, c.u32, c.text
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

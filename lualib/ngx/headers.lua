-- ngx.header, ngx.resp: the response's field lines as OpenResty shows them. Also the table shape
-- that ngx.req.get_headers and ngx.resp.get_headers share.

local node = require "moongate.abi.node"
local response = require "moongate.abi.response"

local _M = {}

local ERR = 4
local MAX = 100

local META = {
  __index = function(t, key)
    if type(key) == "string" then
      return rawget(t, (key:lower():gsub("_", "-")))
    end
  end,
}

-- Table of field lines: lower-case keys (raw: as sent), repeated ones as arrays; second result
-- "truncated" when there were more than max (nil: 100, 0: no limit).
function _M.collect(list, max, raw)
  local flat, more = list(max or MAX)
  local out = {}
  for i = 1, #flat, 2 do
    local name, value = raw and flat[i] or flat[i]:lower(), flat[i + 1]
    local there = out[name]
    if there == nil then
      out[name] = value
    elseif type(there) == "table" then
      there[#there + 1] = value
    else
      out[name] = { there, value }
    end
  end
  if not raw then
    setmetatable(out, META)
  end
  return out, more and "truncated" or nil
end

-- Values may not carry line ends or other control bytes.
local function safe(value)
  return (tostring(value):gsub("[%z\1-\8\10-\31\127]", function(char)
    return ("%%%02X"):format(char:byte())
  end))
end

_M.safe = safe

local function field(key)
  return (tostring(key):gsub("_", "-"))
end

-- The lines there are, or those recorded while there is no response yet.
local function lines(max)
  local flat, more = response.headers(max)
  if flat[1] ~= nil then
    return flat, more
  end
  return response.recorded(), false
end

local function get(_, key)
  local name = field(key):lower()
  local flat = lines()
  local out
  for i = 1, #flat, 2 do
    if flat[i]:lower() == name then
      if out == nil then
        out = flat[i + 1]
      elseif type(out) == "table" then
        out[#out + 1] = flat[i + 1]
      else
        out = { out, flat[i + 1] }
      end
    end
  end
  return out
end

local SINGLE = { ["content-type"] = true, ["content-length"] = true, ["location"] = true }

local function set(_, key, value)
  local name = field(key)
  if response.head_sent() then
    node.log(ERR, "[lua] attempt to set ngx.header.HEADER after sending out response headers")
    return
  end
  if value == nil or type(value) == "table" and value[1] == nil then
    response.clear_header(name)
    return
  elseif type(value) ~= "table" then
    response.set_header(name, safe(value))
    return
  end
  if SINGLE[name:lower()] then
    response.set_header(name, safe(value[#value]))
    return
  end
  for i, inner in ipairs(value) do
    local put = i == 1 and response.set_header or response.add_header
    put(name, safe(inner))
  end
end

function _M.fill(ngx)
  ngx.header = setmetatable({}, { __index = get, __newindex = set, __metatable = false })
  ngx.resp = {
    get_headers = function(max, raw)
      return _M.collect(lines, max, raw)
    end,
    add_header = function(name, value)
      for _, inner in ipairs(type(value) == "table" and value or { value }) do
        response.add_header(field(name), safe(inner))
      end
    end,
  }
end

return _M

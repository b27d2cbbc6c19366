-- Reads protobuf for specs, written apart from the writer: fields of a message as {number, kind, value}, and
-- OTLP's messages as tables.

local bit = require "bit"

local M = {}

-- Ten bytes are a negative number: its complement fits into a double, itself would not.
local function varint(text, at)
  local n, complement, scale, first = 0, 0, 1, at
  while true do
    local byte = assert(text:byte(at), "varint is cut")
    local low = bit.band(byte, 0x7F)
    if at - first == 9 then
      return -complement - 1, at + 1
    end
    n, complement = n + low * scale, complement + (0x7F - low) * scale
    scale = scale * 128
    at = at + 1
    if byte < 0x80 then
      return n, at
    end
  end
end

local function fixed(text, at, n)
  assert(#text >= at + n - 1, "number is cut")
  local value = 0
  for i = n - 1, 0, -1 do
    value = value * 256 + text:byte(at + i)
  end
  return value, at + n
end

-- {[field number] = {values...}}; 8 bytes are a number, kept raw in .raw too.
function M.message(text)
  local fields, at = {}, 1
  while at <= #text do
    local key, value
    key, at = varint(text, at)
    local number, kind = math.floor(key / 8), key % 8
    if kind == 0 then
      value, at = varint(text, at)
    elseif kind == 1 then
      value = { raw = text:sub(at, at + 7), number = fixed(text, at, 8) }
      at = at + 8
    elseif kind == 2 then
      local n
      n, at = varint(text, at)
      assert(#text >= at + n - 1, "field is cut")
      value, at = text:sub(at, at + n - 1), at + n
    elseif kind == 5 then
      value, at = fixed(text, at, 4)
    else
      error("wire type " .. kind)
    end
    fields[number] = fields[number] or {}
    table.insert(fields[number], value)
  end
  return fields
end

local function double(raw)
  local low = fixed(raw, 1, 4)
  local high = fixed(raw, 5, 4)
  local sign = high >= 2 ^ 31 and -1 or 1
  local exponent = math.floor(high / 2 ^ 20) % 2048
  local mantissa = (high % 2 ^ 20) * 2 ^ 32 + low
  if exponent == 2047 then
    return mantissa == 0 and sign * math.huge or 0 / 0
  elseif exponent == 0 then
    return sign * mantissa * 2 ^ -1074
  end
  return sign * (1 + mantissa / 2 ^ 52) * 2 ^ (exponent - 1023)
end
M.double = double

local function any(text)
  local fields = M.message(text)
  if fields[1] then
    return fields[1][1]
  elseif fields[2] then
    return fields[2][1] == 1
  elseif fields[3] then
    return fields[3][1]
  elseif fields[4] then
    return double(fields[4][1].raw)
  elseif fields[5] then
    local out = {}
    for i, value in ipairs(M.message(fields[5][1])[1] or {}) do
      out[i] = any(value)
    end
    return out
  end
end

local function attributes(list)
  local out = {}
  for _, text in ipairs(list or {}) do
    local fields = M.message(text)
    out[fields[1][1]] = any(fields[2][1])
  end
  return out
end

local function hex(raw)
  return raw and (raw:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function span(text)
  local f = M.message(text)
  local status = f[15] and M.message(f[15][1]) or {}
  local events = {}
  for i, event in ipairs(f[11] or {}) do
    local e = M.message(event)
    events[i] = { name = e[2][1], time_ns = e[1][1].number, attributes = attributes(e[3]) }
  end
  return {
    trace_id = hex(f[1][1]), span_id = hex(f[2][1]), parent_id = f[4] and hex(f[4][1]), name = f[5][1], kind = f[6][1],
    start_ns = f[7][1].number, end_ns = f[8][1].number, attributes = attributes(f[9]), events = events,
    status = status[3] and status[3][1] or 0, status_message = status[2] and status[2][1], flags = f[16] and f[16][1],
  }
end

local function log_record(text)
  local f = M.message(text)
  return {
    time_ns = f[1][1].number, severity = f[2][1], body = any(f[5][1]), attributes = attributes(f[6]),
    trace_id = f[9] and hex(f[9][1]), span_id = f[10] and hex(f[10][1]),
  }
end

local function export(text, item)
  local out = { items = {} }
  for _, resource_text in ipairs(M.message(text)[1]) do
    local resource = M.message(resource_text)
    out.resource = attributes(M.message(resource[1][1])[1])
    for _, scope_text in ipairs(resource[2]) do
      local scope = M.message(scope_text)
      local named = M.message(scope[1][1])
      out.scope = { name = named[1][1], version = named[2][1] }
      for _, one in ipairs(scope[2] or {}) do
        table.insert(out.items, item(one))
      end
    end
  end
  return out
end

-- {resource = attributes, scope = {name, version}, items = spans}.
function M.traces(text)
  return export(text, span)
end

function M.logs(text)
  return export(text, log_record)
end

return M

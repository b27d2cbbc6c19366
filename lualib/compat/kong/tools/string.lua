-- The name guests know: require "kong.tools.string": splitting, trimming and encodings. Pure but for base64.

local crypto = require("moongate.abi.crypto")

local byte, char, find, format, gsub, sub = string.byte, string.char, string.find, string.format,
  string.gsub, string.sub

local _M = {}

--- Without white space at both ends; "" for nil.
function _M.strip(text)
  return text and text:match("^%s*(.-)%s*$") or ""
end

_M.trim = _M.strip

--- Parts between a plain separator; at most `max` of them.
function _M.splitn(text, separator, max)
  local out, from = {}, 1
  while not max or #out < max - 1 do
    local start, stop = find(text, separator, from, true)
    if not start then
      break
    end
    out[#out + 1] = sub(text, from, start - 1)
    from = stop + 1
  end
  out[#out + 1] = sub(text, from)
  return out, #out
end

function _M.split(text, separator)
  if separator == nil or separator == "" then
    local out = {}
    for i = 1, #text do
      out[i] = sub(text, i, i)
    end
    return out
  end
  return (_M.splitn(text, separator))
end

--- Iterators over the same parts: for part in isplit(text, ",") do.
function _M.isplitn(text, separator, max)
  local parts, i = _M.splitn(text, separator, max), 0
  return function()
    i = i + 1
    return parts[i]
  end
end

function _M.isplit(text, separator)
  return _M.isplitn(text, separator)
end

function _M.isempty(value)
  return value == nil or value == ""
end

function _M.replace_dashes(text)
  return (gsub(text, "-", "_"))
end

function _M.replace_dashes_lower(text)
  return (gsub(text:lower(), "-", "_"))
end

function _M.to_hex(text)
  return (gsub(text, ".", function(c)
    return format("%02x", byte(c))
  end))
end

function _M.from_hex(text)
  if #text % 2 ~= 0 or find(text, "%X") then
    return nil, "not hexadecimal"
  end
  return (gsub(text, "%x%x", function(digits)
    return char(tonumber(digits, 16))
  end))
end

--- Decoded text, or the text itself when it is no base64.
function _M.try_decode_base64(text)
  if type(text) == "string" then
    return crypto.decode_base64(text) or text
  end
  return text
end

local UNITS = { k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }
local UNIT_NAMES = { k = "KiB", m = "MiB", g = "GiB" }

--- Bytes as text in a unit: "b", "k", "m" or "g", with `scale` digits. Or nil and why.
function _M.bytes_to_str(bytes, unit, scale)
  unit = (unit or "b"):lower()
  if unit == "b" then
    return format("%.0f", bytes)
  elseif not UNITS[unit] then
    return nil, "invalid unit '" .. unit .. "' (expected 'k/K', 'm/M', or 'g/G')"
  end
  return format("%." .. (scale or 2) .. "f %s", bytes / UNITS[unit], UNIT_NAMES[unit])
end

return _M

-- Ranges of addresses ("10.0.0.0/8", "::1"): parsed once, then asked whether they hold an address.
-- Pure. An IPv4 address is the same as its IPv4-mapped IPv6 form.

local is_ip = require("moongate.schema.address").is_ip

local floor = math.floor

local M = {}

-- Bytes of an IPv4 address behind the 12 of its IPv6 form, or nil.
local function parse_v4(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if not a then
    return nil
  end
  local bytes = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255 }
  for _, part in ipairs({ a, b, c, d }) do
    local n = tonumber(part)
    if n > 255 then
      return nil
    end
    bytes[#bytes + 1] = n
  end
  return bytes
end

local function groups_of(text)
  local groups = {}
  for part in text:gmatch("[^:]+") do
    local n = #part <= 4 and tonumber(part, 16)
    if not n then
      return nil
    end
    groups[#groups + 1] = n
  end
  return groups
end

-- "::ffff:1.2.3.4" with its last part as two groups.
local function without_dots(text)
  local head, dotted = text:match("^(.*:)([%d.]+)$")
  if not dotted or not dotted:find(".", 1, true) then
    return text
  end
  local bytes = parse_v4(dotted)
  return bytes and head .. ("%x:%x"):format(bytes[13] * 256 + bytes[14], bytes[15] * 256 + bytes[16])
end

local function parse_v6(text)
  text = without_dots(text)
  if not text or not text:find(":", 1, true) then
    return nil
  end
  local head, tail = text:match("^(.-)::(.*)$")
  local before, after = groups_of(head or text), groups_of(tail or "")
  if not before or not after or #before + #after > 8 or (not head and #before ~= 8) then
    return nil
  end
  local groups = before
  for _ = 1, 8 - #before - #after do
    groups[#groups + 1] = 0
  end
  for _, group in ipairs(after) do
    groups[#groups + 1] = group
  end
  local bytes = {}
  for _, group in ipairs(groups) do
    bytes[#bytes + 1] = floor(group / 256)
    bytes[#bytes + 1] = group % 256
  end
  return bytes
end

--- The 16 bytes of an address, or nil when the text is none.
function M.address(text)
  return is_ip(text) and (parse_v4(text) or parse_v6(text)) or nil
end

--- A range {bytes, bits}, or nil when the text is none.
function M.range(text)
  local host, bits = text:match("^([^/]+)/?(%d*)$")
  local bytes = host and M.address(host)
  if not bytes then
    return nil
  end
  local is_v4 = parse_v4(host) ~= nil
  local n = bits == "" and 128 or tonumber(bits) + (is_v4 and 96 or 0)
  return n <= 128 and { bytes = bytes, bits = n } or nil
end

--- Ranges of a list of texts. Raises on a text that is none: the settings are checked at start.
function M.list(texts)
  local out = {}
  for i, text in ipairs(texts) do
    out[i] = M.range(text) or error("not an address range: " .. text, 2)
  end
  return out
end

--- Does a range hold an address in bytes (both made here)?
function M.holds(range, bytes)
  local whole = floor(range.bits / 8)
  for i = 1, whole do
    if range.bytes[i] ~= bytes[i] then
      return false
    end
  end
  local rest = range.bits % 8
  if rest == 0 then
    return true
  end
  local unit = 2 ^ (8 - rest)
  return floor(range.bytes[whole + 1] / unit) == floor(bytes[whole + 1] / unit)
end

--- Does one of the ranges hold the address? false for what is no address.
function M.contains(ranges, address)
  local bytes = M.address(address)
  if bytes then
    for i = 1, #ranges do
      if M.holds(ranges[i], bytes) then
        return true
      end
    end
  end
  return false
end

return M

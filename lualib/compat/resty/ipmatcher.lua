-- The name guests know: require "resty.ipmatcher": does a list of addresses and ranges hold an address? The ranges are
-- pdk/cidr.lua's.

local cidr = require("moongate.pdk.cidr")

local _M = {}
local Matcher = {}
Matcher.__index = Matcher

local MAPPED = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255 } -- an IPv4 address in IPv6

-- 16 bytes of the 4 or 16 of an address as the network writes it.
local function bytes_of(binary)
  if #binary == 16 then
    return { binary:byte(1, 16) }
  elseif #binary == 4 then
    local out = { unpack(MAPPED) }
    for i = 1, 4 do
      out[12 + i] = binary:byte(i)
    end
    return out
  end
  return nil
end

local function new(texts, value_of)
  local ranges = {}
  for i, text in ipairs(texts) do
    local range = type(text) == "string" and cidr.range(text)
    if not range then
      return nil, "invalid ip address: " .. tostring(text)
    end
    ranges[i] = { range = range, value = value_of(text) }
  end
  return setmetatable({ ranges = ranges }, Matcher)
end

--- A matcher of a list of texts ("10.0.0.0/8", "::1"), or nil and why.
function _M.new(texts)
  if type(texts) ~= "table" then
    error("missing valid ip argument", 2)
  end
  return new(texts, function() return true end)
end

--- A matcher of {[text] = value}: match returns the value of the range that holds the address.
function _M.new_with_value(values)
  if type(values) ~= "table" then
    error("missing valid ip argument", 2)
  end
  local texts = {}
  for text in pairs(values) do
    texts[#texts + 1] = text
  end
  return new(texts, function(text) return values[text] end)
end

local function find(self, bytes)
  local best
  for _, entry in ipairs(self.ranges) do
    if cidr.holds(entry.range, bytes) and (not best or entry.range.bits > best.range.bits) then
      best = entry
    end
  end
  return best and best.value or false
end

--- true (or the value) when the address is in the list, false when not; false and why when it is none.
function Matcher:match(text)
  local bytes = type(text) == "string" and cidr.address(text)
  if not bytes then
    return false, "invalid ip address, not ipv4 and ipv6"
  end
  return find(self, bytes)
end

--- The same for an address in binary (ngx.var.binary_remote_addr).
function Matcher:match_bin(binary)
  local bytes = type(binary) == "string" and bytes_of(binary)
  if not bytes then
    return false, "invalid ip address format"
  end
  return find(self, bytes)
end

--- The 32-bit number of an IPv4 address, or false.
function _M.parse_ipv4(text)
  local bytes = not text:find(":", 1, true) and cidr.address(text)
  return bytes and ((bytes[13] * 256 + bytes[14]) * 256 + bytes[15]) * 256 + bytes[16] or false
end

--- Four 32-bit numbers of an IPv6 address, or false.
function _M.parse_ipv6(text)
  local bytes = text:find(":", 1, true) and cidr.address(text)
  if not bytes then
    return false
  end
  local out = {}
  for i = 1, 13, 4 do
    out[#out + 1] = ((bytes[i] * 256 + bytes[i + 1]) * 256 + bytes[i + 2]) * 256 + bytes[i + 3]
  end
  return out
end

return _M

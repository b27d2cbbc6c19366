-- ip-restriction: which addresses may pass, or may not. The address is the client's by trusted_ips.
-- Invariant: deny is asked first; with allow given, an address on neither list does not pass.

local cidr = require "moongate.pdk.cidr"
local request = require "moongate.abi.request"

local kong = kong
local find = string.find

local DEFAULT_STATUS = 403
local MAPPED_BITS = 96 -- before the 32 of an IPv4 address in its IPv6 form
local NO_ADDRESS = "Cannot identify the client IP address, unix domain sockets are not supported."

local IpRestriction = {
  PRIORITY = 990,
  VERSION = "3.14.0",
}

-- conf -> {v4 = {deny, allow}, v6 = {deny, allow}}: parsed ranges, or false.
local rules = setmetatable({}, { __mode = "k" })

-- Ranges that hold addresses of this kind. "::/0" and the like hold no IPv4 address, though one has an IPv6 form.
local function ranges_of(list, shortest_bits)
  if not list or #list == 0 then
    return false
  end
  local out = {}
  for _, range in ipairs(cidr.list(list)) do
    if range.bits >= shortest_bits then
      out[#out + 1] = range
    end
  end
  return out
end

local function rule_of(conf, shortest_bits)
  return { deny = ranges_of(conf.deny, shortest_bits), allow = ranges_of(conf.allow, shortest_bits) }
end

local function rules_of(conf)
  local found = rules[conf]
  if not found then
    found = { v4 = rule_of(conf, MAPPED_BITS), v6 = rule_of(conf, 0) }
    rules[conf] = found
  end
  return found
end

local function may_pass(rule, ip)
  if rule.deny and cidr.contains(rule.deny, ip) then
    return false
  end
  return not rule.allow or cidr.contains(rule.allow, ip)
end

function IpRestriction:access(conf)
  local ip = request.client_ip()
  if not ip or not cidr.address(ip) then
    return kong.response.error(DEFAULT_STATUS, NO_ADDRESS)
  elseif not may_pass(find(ip, ":", 1, true) and rules_of(conf).v6 or rules_of(conf).v4, ip) then
    kong.log.info("address is not allowed: ", ip)
    return kong.response.error(conf.status or DEFAULT_STATUS, conf.message or "IP address not allowed: " .. ip)
  end
end

return IpRestriction

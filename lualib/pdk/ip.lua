-- kong.ip: is an address one of those the node trusts (trusted_ips)?

local node = require("moongate.abi.node")
local cidr = require("moongate.pdk.cidr")

local _M = {}

local trusted

--- Is the address in one of trusted_ips' ranges? All phases. address: text of an IPv4 or IPv6 address.
function _M.is_trusted(address)
  if type(address) ~= "string" then
    error("address must be a string", 2)
  end
  trusted = trusted or cidr.list(node.setting("trusted_ips") or {})
  return cidr.contains(trusted, address)
end

return _M

-- The name guests know: require "kong.tools.ip": kinds of addresses and host names. Pure.

local address = require("moongate.schema.address")

local _M = {
  is_valid_ip = address.is_ip,
  is_valid_cidr = address.is_cidr,
}

function _M.is_valid_ip_or_cidr(text)
  return address.is_ip(text) or address.is_cidr(text)
end

--- "ipv4", "ipv6" or "name".
function _M.hostname_type(text)
  if text:find("^[%d.]+$") or text:find("^[%d.]+:%d+$") then
    return "ipv4"
  elseif select(2, text:gsub(":", "")) > 1 or text:sub(1, 1) == "[" then
    return "ipv6"
  end
  return "name"
end

--- {host=, port=, type=} of "host", "host:port", "[v6]:port", "v6"; or nil and why.
function _M.normalize_ip(text)
  local host, port = address.split_port(text)
  if not host or port == false then
    return nil, "invalid port number"
  end
  host = host:gsub("^%[", ""):gsub("%]$", "")
  local kind = _M.hostname_type(host)
  if kind == "ipv4" and not address.is_ipv4(host) then
    return nil, "invalid ipv4 address: " .. text
  elseif kind == "ipv6" and not address.is_ipv6(host) then
    return nil, "invalid ipv6 address: " .. text
  elseif kind == "name" and not address.is_hostname(host) then
    return nil, "invalid hostname: " .. text
  end
  return { host = kind == "ipv6" and "[" .. host:lower() .. "]" or host:lower(), port = port, type = kind }
end

--- "host:port", or "host" without a port.
function _M.format_host(host, port)
  local found, err = host, nil
  if type(host) ~= "table" then
    found, err = _M.normalize_ip(host)
  end
  if not found then
    return nil, err
  end
  port = port or found.port
  return port and found.host .. ":" .. port or found.host
end

return _M

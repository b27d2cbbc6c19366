-- Checks of host names, IP addresses, networks, URLs and paths as they stand in a configuration.
-- It resolves nothing and connects to nothing; request URIs are normalised in C (http/).
-- Invariant: each check returns true, or nil and a sentence; parse_url returns its parts.

local M = {}

function M.is_ipv4(text)
  local a, b, c, d = text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
  return a ~= nil and tonumber(a) < 256 and tonumber(b) < 256 and tonumber(c) < 256
    and tonumber(d) < 256
end

local function count_groups(text)
  if text == "" then
    return 0
  end
  local groups = 0
  for group in (text .. ":"):gmatch("([^:]*):") do
    if not group:find("^%x%x?%x?%x?$") then
      return nil
    end
    groups = groups + 1
  end
  return groups
end

function M.is_ipv6(text)
  text = text:match("^%[(.*)%]$") or text
  if not text:find(":", 1, true) then
    return false
  end
  local tail = text:match(":([^:]*%.[^:]*)$")
  if tail then
    if not M.is_ipv4(tail) then
      return false
    end
    text = text:sub(1, -#tail - 1) .. "0:0"
  end
  local head, rest = text:match("^(.-)::(.*)$")
  if not head then
    return count_groups(text) == 8
  end
  local before, after = count_groups(head), count_groups(rest)
  return before ~= nil and after ~= nil and before + after < 8
end

function M.is_ip(text)
  return M.is_ipv4(text) or M.is_ipv6(text)
end

function M.is_cidr(text)
  local address, bits = text:match("^(.+)/(%d%d?%d?)$")
  if not address then
    return false
  end
  bits = tonumber(bits)
  return (M.is_ipv4(address) and bits <= 32) or (M.is_ipv6(address) and bits <= 128)
end

function M.is_hostname(text)
  if #text > 253 or text == "" then
    return false
  end
  if text:find("^[%d%.]+$") then
    return false -- only digits and dots, and not an address
  end
  text = text:gsub("%.$", "")
  for label in (text .. "."):gmatch("([^%.]*)%.") do
    if not label:find("^[%w_][%w_%-]*$") or #label > 63 then
      return false
    end
  end
  return true
end

--- Splits "host", "host:port", "[v6]:port", "v6". Port is nil when absent, false when unusable.
function M.split_port(text)
  local host, port = text:match("^(%[.*%]):(.*)$")
  if not host then
    host, port = text:match("^([^:]*):([^:]*)$")
  end
  if not host then
    return text, nil
  end
  local number = port:find("^%d+$") and tonumber(port)
  if not number or number > 65535 then
    return host, false
  end
  return host, number
end

local function is_host(host)
  return M.is_ip(host) or M.is_hostname(host)
end

function M.check_host(text)
  local host, port = M.split_port(text)
  if port ~= nil then
    return nil, "must not have a port"
  end
  if not is_host(host) then
    return nil, "invalid value: " .. text
  end
  return true
end

function M.check_host_with_optional_port(text)
  local host, port = M.split_port(text)
  if port == false then
    return nil, "invalid port number"
  end
  if not is_host(host) then
    return nil, "invalid hostname: " .. host
  end
  return true
end

function M.check_wildcard_host(text)
  local _, stars = text:gsub("%*", "")
  if stars == 0 then
    return M.check_host_with_optional_port(text)
  end
  if stars > 1 then
    return nil, "invalid wildcard: must have at most one wildcard"
  end
  local host, port = M.split_port(text)
  if port == false then
    return nil, "invalid port number"
  end
  if not (host:find("^%*%.[^%.]") or host:find("[^%.]%.%*$")) then
    return nil, "invalid wildcard: must be placed at leftmost or rightmost label"
  end
  if not M.is_hostname((host:gsub("%*", "wildcard"))) then
    return nil, "invalid hostname: " .. host
  end
  return true
end

function M.check_ip(text)
  if M.is_ip(text) then
    return true
  end
  return nil, "not an ip address: " .. text
end

function M.check_cidr(text)
  if M.is_cidr(text) then
    return true
  end
  return nil, "invalid cidr range: '" .. text .. "'"
end

function M.check_ip_or_cidr(text)
  if M.is_ip(text) or M.is_cidr(text) then
    return true
  end
  return nil, "invalid ip or cidr range: '" .. text .. "'"
end

function M.check_sni(text)
  local host, port = M.split_port(text)
  if port ~= nil then
    return nil, "must not have a port"
  end
  if M.is_ip(host) then
    return nil, "must not be an IP"
  end
  return M.check_wildcard_host(text)
end

--- Parts of an absolute URL: {scheme, userinfo, host, port, path, query}, or nil and why not.
function M.parse_url(text)
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme then
    return nil, "missing scheme in url"
  end
  local authority, tail = rest:match("^([^/?#]*)(.*)$")
  local userinfo, hostport = authority:match("^(.*)@(.*)$")
  local host, port = M.split_port(hostport or authority)
  if host == "" then
    return nil, "missing host in url"
  end
  if port == false then
    return nil, "invalid port in url"
  end
  if not is_host(host) then
    return nil, "invalid host in url: " .. host
  end
  local path, query = tail:match("^([^?#]*)%??([^#]*)")
  return {
    scheme = scheme:lower(), userinfo = userinfo, host = host, port = port,
    path = path ~= "" and path or nil, query = query ~= "" and query or nil,
  }
end

function M.check_url(text)
  local parts, err = M.parse_url(text)
  if not parts then
    return nil, err
  end
  return true
end

-- RFC 3986 path characters, plus "%" as the start of a triplet.
local PLAIN_PATH = "^[%w%-%._~!%$&'%(%)%*%+,;=:@/%%]*$"

function M.is_plain_path(text)
  return text:find(PLAIN_PATH) ~= nil
end

local function check_triplets(text)
  local bad = text:gsub("%%%x%x", ""):match("%%.?.?")
  if bad then
    return nil, "invalid url-encoded value: '" .. bad .. "'"
  end
  return true
end

--- A path of a service or of an unprefixed route entry.
function M.check_path(text)
  if text:sub(1, 1) ~= "/" then
    return nil, "should start with: /"
  end
  if text:find("//", 1, true) then
    return nil, "must not have empty segments"
  end
  if not M.is_plain_path(text) then
    return nil, "invalid path: '" .. text
      .. "' (characters outside of the reserved list of RFC 3986 found)"
  end
  return check_triplets(text)
end

local function normalise_triplet(hex)
  local char = string.char(tonumber(hex, 16))
  return char:find("[%w%-%._~]") and char or "%" .. hex:upper()
end

--- The form in which request paths are compared: triplets of unreserved characters decoded,
--- dot segments and empty segments removed (RFC 3986, 6.2.2).
function M.normalise_path(text)
  if not text:find("[%%%.]") and not text:find("//", 1, true) then
    return text
  end
  text = text:gsub("%%(%x%x)", normalise_triplet)
  local out = {}
  for segment in text:gmatch("[^/]+") do
    if segment == ".." then
      out[#out] = nil
    elseif segment ~= "." then
      out[#out + 1] = segment
    end
  end
  local path = "/" .. table.concat(out, "/")
  if path ~= "/" and (text:find("/$") or text:find("/%.%.?$")) then
    path = path .. "/"
  end
  return path
end

return M

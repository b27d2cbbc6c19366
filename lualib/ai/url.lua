-- Parses the URL of a provider, strictly, and says which names may become part of one.
-- It is NOT a general URI library: http and https with a host, nothing else.
-- Invariant: what parse returns can be put in a request line and a Host field as it is.

local _M = {}

local PORTS = { http = 80, https = 443 }

local function bad(url, why)
  return nil, "invalid provider URL '" .. url .. "': " .. why
end

-- The port as a number, the default of the scheme when none is written, or nil.
local function port_of(scheme, digits)
  if digits == "" then
    return PORTS[scheme]
  end
  local port = tonumber(digits:match("^:(%d%d?%d?%d?%d?)$"))
  return port and port >= 1 and port <= 65535 and port or nil
end

-- {scheme, host, port, path, query}: path is nil when the URL has none (or only "/"), query too.
-- nil, error otherwise. An IPv6 host keeps its brackets.
function _M.parse(url)
  local scheme, rest = url:match("^(%a+)://(.*)$")
  scheme = scheme and scheme:lower()
  if not PORTS[scheme or ""] then
    return bad(url, "it must begin with http:// or https://")
  end
  if url:find("[%c%s\\\"<>^`{|}]") then
    return bad(url, "it holds a space or another character a URL cannot hold")
  end
  local authority, tail = rest:match("^([^/?#]*)(.*)$")
  if authority:find("@", 1, true) then
    return bad(url, "user names in the URL are not supported, use config.auth")
  end
  local host, digits = authority:match("^(%[[%x:.]+%])(.*)$")
  if not host then
    host, digits = authority:match("^([%w._-]+)(.*)$")
  end
  if not host then
    return bad(url, "it has no host")
  end
  local port = port_of(scheme, digits)
  if not port then
    return bad(url, "the port must be a number from 1 to 65535")
  end
  if tail:find("#", 1, true) then
    return bad(url, "a fragment (#...) is never sent to a server")
  end
  local path, query = tail:match("^([^?]*)%??(.*)$")
  if _M.climbs(path) then
    return bad(url, "its path holds '..'")
  end
  return {
    scheme = scheme,
    host = host:lower(),
    port = port,
    path = path ~= "" and path ~= "/" and path or nil,
    query = query ~= "" and query or nil,
  }
end

-- Does a path hold a ".." segment, plain or percent-encoded?
function _M.climbs(path)
  local plain = path:gsub("%%2[eE]", "."):gsub("%%2[fF]", "/"):gsub("%%5[cC]", "/")
  return ("/" .. plain .. "/"):find("/../", 1, true) ~= nil
end

-- May a model name stand in a URL path?
function _M.is_model_name(name)
  return name:find("^[%w._:/@-]+$") ~= nil and not name:find("..", 1, true)
    and name:byte(1) ~= 47
end

-- May a value taken from a request become part of a host name or of one path segment?
function _M.is_segment(value)
  return value:find("^[%w._-]+$") ~= nil and not value:find("..", 1, true)
end

-- Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
function _M.escape(value)
  return (value:gsub("[^%w._~-]", function(char)
    return string.format("%%%02X", char:byte())
  end))
end

-- A raw query without the pairs named `name`; "" when none is left.
function _M.without_arg(query, name)
  local kept = {}
  for pair in query:gmatch("[^&]+") do
    if _M.arg_name(pair) ~= name then
      kept[#kept + 1] = pair
    end
  end
  return table.concat(kept, "&")
end

-- Does a raw query hold a pair named `name`?
function _M.has_arg(query, name)
  for pair in query:gmatch("[^&]+") do
    if _M.arg_name(pair) == name then
      return true
    end
  end
  return false
end

-- The decoded name of one raw pair of a query.
function _M.arg_name(pair)
  local name = pair:match("^[^=]*"):gsub("+", " ")
  return (name:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

return _M

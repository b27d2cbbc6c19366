-- kong.service.request: the request as it goes upstream. Header fields are one set with
-- kong.request's. Not its destination: kong.service.

local request = require("moongate.abi.request")
local exchange = require("moongate.abi.exchange")
local args = require("moongate.pdk.args")
local body = require("moongate.pdk.body")
local checks = require("moongate.pdk.checks")
local fields = require("moongate.pdk.fields")
local phases = require("moongate.pdk.phases")

local check = phases.check
local REWRITE_ACCESS, REWRITE_ACCESS_BALANCER = phases.REWRITE_ACCESS, phases.REWRITE_ACCESS_BALANCER
local byte, find, format, gsub, lower = string.byte, string.find, string.format, string.gsub, string.lower
local type, tostring = type, tostring
local set_field, set_header = fields.set, request.set_header

local METHODS = {}
for name in ([[GET HEAD POST PUT DELETE OPTIONS MKCOL COPY MOVE PROPFIND PROPPATCH LOCK UNLOCK PATCH
  TRACE CONNECT]]):gmatch("%S+") do
  METHODS[name] = true
end

local _M = {}

local function escape_byte(c)
  return format("%%%02X", byte(c))
end

-- Escapes what may not stand in a path or query; good triplets stay.
local function escape(text, allowed)
  if find(text, "[^" .. allowed .. "]") or find(text, "%", 1, true) then
    text = gsub(text, "%%(%x?%x?)", function(digits)
      if #digits < 2 then
        return "%25" .. digits
      end
    end)
    text = gsub(text, "[^" .. allowed .. "%%]", escape_byte)
  end
  return text
end

local PATH_CHARACTERS = "%w%-._~!$&'()*+,;=:@/"
local QUERY_CHARACTERS = "\33-\126"

--- Reads the whole response before the response phase and before the client gets any of it.
-- phases: rewrite, access, balancer.
function _M.enable_buffering()
  check(REWRITE_ACCESS_BALANCER)
  local ok, err = exchange.enable_buffering()
  if not ok then
    error(err, 2)
  end
end

--- "http" or "https" to the upstream.
-- phases: rewrite, access, balancer.
function _M.set_scheme(scheme)
  check(REWRITE_ACCESS_BALANCER)
  checks.string(scheme, "scheme")
  if scheme ~= "http" and scheme ~= "https" then
    error("invalid scheme: " .. scheme, 2)
  end
  exchange.set_scheme(scheme)
end

--- The upstream is spoken to without TLS: set_scheme("http").
-- phases: rewrite, access, balancer.
function _M.disable_tls()
  check(REWRITE_ACCESS_BALANCER)
  exchange.set_scheme("http")
end

--- The upstream is spoken to with TLS: set_scheme("https").
-- phases: rewrite, access, balancer.
function _M.enable_tls()
  check(REWRITE_ACCESS_BALANCER)
  exchange.set_scheme("https")
end

--- The path that goes upstream, from its first "/"; what must be escaped is.
-- phases: rewrite, access, balancer. No query: see set_query.
function _M.set_path(path)
  check(REWRITE_ACCESS_BALANCER)
  checks.string(path, "path")
  if byte(path) ~= 0x2f then
    error("path must start with /", 2)
  end
  local ok, err = exchange.set_path(escape(path, PATH_CHARACTERS))
  if not ok then
    error(err, 2)
  end
end

--- The query that goes upstream, escaped already, without "?".
-- phases: rewrite, access.
function _M.set_raw_query(query)
  check(REWRITE_ACCESS)
  checks.string(query, "query")
  exchange.set_query(escape(query, QUERY_CHARACTERS))
end

--- The method that goes upstream: upper case, one of HTTP's or WebDAV's.
-- phases: rewrite, access.
function _M.set_method(method)
  check(REWRITE_ACCESS)
  checks.string(method, "method")
  if not METHODS[method] then
    error("invalid method: " .. method, 2)
  end
  request.set_method(method)
end

--- The query that goes upstream, from a table: values are strings, numbers, booleans (true: "name") or arrays.
-- phases: rewrite, access. In the order of the names.
function _M.set_query(query)
  check(REWRITE_ACCESS)
  if type(query) ~= "table" then
    error("args must be a table", 2)
  end
  local text, err = args.encode(query)
  if not text then
    error(err, 2)
  end
  exchange.set_query(text)
end

--- Takes all arguments of that name out of the query that goes upstream.
-- phases: rewrite, access.
function _M.clear_query_arg(name)
  check(REWRITE_ACCESS)
  checks.string(name, "query argument name")
  local query = exchange.query()
  if query and query ~= "" then
    exchange.set_query(args.without(query, name))
  end
end

-- Host is the upstream's Host alone: the client's stays what routing and kong.request saw.
local function is_host(name)
  return #name == 4 and lower(name) == "host"
end

--- Sets a header field upstream; an array sets several lines. "Host" is the upstream's Host.
-- phases: rewrite, access, balancer. value: string, number, boolean or array of these.
function _M.set_header(name, value)
  check(REWRITE_ACCESS_BALANCER)
  if type(value) == "string" and type(name) == "string" and not is_host(name) and set_header(name, value) then
    return
  end
  checks.header(name, value)
  if is_host(name) then
    local ok, err = exchange.set_host_header(fields.single(value))
    if not ok then
      error(err, 2)
    end
    return
  end
  set_field(request, name, value, 2)
end

--- Adds a field line beside those of the same name.
-- phases: rewrite, access.
function _M.add_header(name, value)
  check(REWRITE_ACCESS)
  checks.header(name, value)
  if is_host(name) then
    exchange.set_host_header(fields.single(value))
    return
  end
  fields.add(request, name, value, 2)
end

--- Takes all lines of a field away.
-- phases: rewrite, access.
function _M.clear_header(name)
  check(REWRITE_ACCESS)
  checks.string(name, "header")
  request.clear_header(name)
end

--- Sets several header fields: {name = value}, as set_header does.
-- phases: rewrite, access, balancer.
function _M.set_headers(headers)
  check(REWRITE_ACCESS_BALANCER)
  checks.headers(headers)
  for _, name in ipairs(fields.sorted_names(headers)) do
    if is_host(name) then
      exchange.set_host_header(fields.single(headers[name]))
    else
      set_field(request, name, headers[name], 2)
    end
  end
end

--- The body that goes upstream; Content-Length follows.
-- phases: rewrite, access, balancer. text: string.
function _M.set_raw_body(text)
  check(REWRITE_ACCESS_BALANCER)
  checks.string(text, "body")
  local ok, err = exchange.body_set(text)
  if not ok then
    error(err, 2)
  end
end

--- The body that goes upstream, from a table, and its Content-Type: urlencoded, JSON or multipart.
-- phases: rewrite, access. mimetype: nil: as the request's Content-Type says.
-- Returns true, or nil and why ("unsupported content type 'text/plain'" ...).
function _M.set_body(value, mimetype)
  check(REWRITE_ACCESS)
  if type(value) ~= "table" then
    error("args must be a table", 2)
  elseif mimetype ~= nil and type(mimetype) ~= "string" then
    error("mime must be a string", 2)
  end
  mimetype = mimetype or request.header("content-type")
  if not mimetype then
    return nil, "content type was neither explicitly given as an argument or received as a header"
  end
  local text, content_type = body.write(value, mimetype)
  if not text then
    return nil, content_type
  end
  local ok, err = exchange.body_set(text)
  if not ok then
    return nil, err
  end
  set_header("Content-Type", tostring(content_type))
  return true
end

return _M

-- kong.request: the request as the client sent it (and as plugins changed its header fields).
-- Not what goes upstream: kong.service.request. Parsing of bodies is in pdk/body.
-- Invariant: everything but get_raw_body and get_body returns at once.

local request = require("moongate.abi.request")
local exchange = require("moongate.abi.exchange")
local args = require("moongate.pdk.args")
local body = require("moongate.pdk.body")
local checks = require("moongate.pdk.checks")
local fields = require("moongate.pdk.fields")
local phases = require("moongate.pdk.phases")

local check = phases.check
local REQUEST, CONNECTION, BODY = phases.REQUEST, phases.CONNECTION, phases.BODY
local floor = math.floor
local type = type
local get_header, wire_name = request.header, fields.wire_name

local _M = {}

--- The scheme of the connection: "http" or "https".
-- phases: rewrite to log. Example: kong.request.get_scheme() --> "http"
function _M.get_scheme()
  check(REQUEST)
  return request.scheme()
end

--- The host asked for, lower case, without port.
-- phases: rewrite to log. Returns a string ("" when the client named none).
function _M.get_host()
  check(REQUEST)
  return request.host() or ""
end

--- The port of the listener that took the connection, as a number.
-- phases: certificate to log.
function _M.get_port()
  check(CONNECTION)
  return request.port()
end

--- X-Forwarded-Proto when the peer is in trusted_ips, else get_scheme().
-- phases: rewrite to log.
function _M.get_forwarded_scheme()
  check(REQUEST)
  return request.trusted() and request.forwarded_proto() or request.scheme()
end

--- X-Forwarded-Host (without port) when the peer is in trusted_ips, else get_host().
-- phases: rewrite to log.
function _M.get_forwarded_host()
  check(REQUEST)
  local host = request.trusted() and request.forwarded_host()
  if host then
    return (host:lower():gsub(":%d*$", ""))
  end
  return request.host() or ""
end

--- X-Forwarded-Port, or the port in X-Forwarded-Host, when the peer is in trusted_ips; else get_port().
-- phases: rewrite to log. Returns a number.
function _M.get_forwarded_port()
  check(REQUEST)
  if request.trusted() then
    local host = request.forwarded_host()
    local port = request.forwarded_port() or host and tonumber(host:match(":(%d+)$"))
    if port then
      return port
    end
  end
  return request.port()
end

--- X-Forwarded-Path when the peer is in trusted_ips, else get_raw_path().
-- phases: rewrite to log.
function _M.get_forwarded_path()
  check(REQUEST)
  return request.trusted() and request.forwarded_path() or request.raw_path()
end

--- X-Forwarded-Prefix when the peer is in trusted_ips, else the part of the path that the route
-- strips, or nil.
-- phases: rewrite to log.
function _M.get_forwarded_prefix()
  check(REQUEST)
  return request.trusted() and get_header("x-forwarded-prefix") or request.prefix()
end

--- The version of HTTP as a number: 1 or 1.1.
-- phases: rewrite to log.
function _M.get_http_version()
  check(REQUEST)
  return 1 + (request.http_minor() or 1) / 10
end

--- The method, as sent ("GET").
-- phases: rewrite to log.
function _M.get_method()
  check(REQUEST)
  return request.method()
end

--- The normalised path, without query.
-- phases: rewrite to log. Example: "/a/../b%2d" --> "/b-"
function _M.get_path()
  check(REQUEST)
  return request.path()
end

--- The path as sent, without query.
-- phases: rewrite to log.
function _M.get_raw_path()
  check(REQUEST)
  return request.raw_path()
end

--- Path and query as sent.
-- phases: rewrite to log.
function _M.get_path_with_query()
  check(REQUEST)
  local query = request.query()
  if query then
    return request.raw_path() .. "?" .. query
  end
  return request.raw_path()
end

--- The query as sent, without "?"; "" when there is none.
-- phases: rewrite to log.
function _M.get_raw_query()
  check(REQUEST)
  return request.query() or ""
end

--- The first value of a query argument: a string, true for "?name", or nil.
-- phases: rewrite to log. Raises when `name` is no string. Example: "?a=1&b" : get_query_arg("b") --> true
function _M.get_query_arg(name)
  check(REQUEST)
  checks.string(name, "query argument name")
  local query = request.query()
  if query then
    return args.first(query, name)
  end
end

--- All query arguments: a repeated one is an array, a bare one true.
-- phases: rewrite to log. max_args: 1 to 1000, 100 when nil. Returns a table, and "truncated" when there were more.
function _M.get_query(max_args)
  check(REQUEST)
  local max = checks.count(max_args, "max_args")
  return args.decode(request.query() or "", max)
end

--- The first value of a header field, or nil; case does not count and "_" is "-".
-- phases: rewrite to log. Raises when `name` is no string.
function _M.get_header(name)
  check(REQUEST)
  if type(name) ~= "string" then
    error("header name must be a string", 2)
  end
  return get_header(wire_name(name))
end

--- All header fields: names in lower case (X_Foo and X-Foo find x-foo), repeated ones as arrays.
-- phases: rewrite to log. max_headers: 1 to 1000, 100 when nil. Returns a table, and "truncated".
function _M.get_headers(max_headers)
  check(REQUEST)
  local max = checks.count(max_headers, "max_headers")
  local flat, more = request.headers(max)
  return fields.table(flat), more and "truncated" or nil
end

--- The whole body, "" when it is empty. Waits for it in access and rewrite.
-- phases: rewrite, access, response. max_allowed_file_size: accepted, bodies are in memory.
-- Returns a string, or nil and why ("too large" ...).
function _M.get_raw_body(max_allowed_file_size)
  check(BODY)
  return body.raw()
end

--- The body as a table, by `mimetype` or else the Content-Type: urlencoded, JSON or multipart.
-- phases: rewrite, access, response. max_args: as in get_query.
-- Returns table, nil, mime; or nil, why, mime ("missing content type", "unsupported content type
-- 'text/plain'", "invalid json body").
function _M.get_body(mimetype, max_args, max_allowed_file_size)
  check(BODY)
  if mimetype ~= nil then
    checks.string(mimetype, "mimetype")
  end
  local max = checks.count(max_args, "max_args")
  local type_header = mimetype or get_header("content-type")
  if not type_header then
    return nil, "missing content type"
  end
  return body.read(type_header, max, body.raw, get_header("content-type"))
end

--- When the request began: milliseconds since 1970.
-- phases: rewrite to log.
function _M.get_start_time()
  check(REQUEST)
  return floor(request.start_time() * 1000)
end

--- What the route's regular expression captured: {unnamed = {[0] = whole, ...}, named = {...}}.
-- phases: rewrite to log.
function _M.get_uri_captures()
  check(REQUEST)
  return request.captures() or { unnamed = {}, named = {} }
end

--- How large the body is: bytes by Content-Length, or received so far. Ours.
-- phases: rewrite to log. Returns a number, or nil while nobody knows.
function _M.get_body_size()
  check(REQUEST)
  return request.content_length() or exchange.body_complete() and exchange.body_size() or nil
end

return _M

-- ngx.var: nginx variables as far as plugins use them, computed on access; others set by plugins
-- are kept for the request.

local cidr = require "moongate.pdk.cidr"
local codec = require "moongate.ngx.codec"
local crypto = require "moongate.abi.crypto"
local exchange = require "moongate.abi.exchange"
local node = require "moongate.abi.node"
local phase = require "moongate.abi.phase"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local task = require "moongate.abi.task"

local _M = {}

local URI = {} -- in task.get_extra: was upstream_uri set with a query?

local STORE = {} -- key of the request's own table

local function text(value)
  return value ~= nil and tostring(value) or nil
end

local function whole(value)
  return value and ("%d"):format(value) or nil
end

local function seconds(ms)
  return ms and ("%.3f"):format(ms / 1000) or nil
end

local function request_uri()
  return request.raw_target()
end

local function latency(which)
  return function()
    return seconds((select(which, exchange.latencies())))
  end
end

local GET = {
  ssl_client_verify = function()
    return request.tls_client_verify()
  end,
  ssl_client_raw_cert = function()
    local chain = request.tls_client_chain()
    return chain and (chain:match("^.-%-%-%-%-%-END CERTIFICATE%-%-%-%-%-\n"))
  end,
  args = function()
    return exchange.query()
  end,
  binary_remote_addr = function()
    local ip = request.client_ip()
    local bytes = cidr.address(ip)
    return bytes and string.char(unpack(bytes, ip:find(":", 1, true) and 1 or 13))
  end,
  body_bytes_sent = function()
    return whole(response.bytes_out())
  end,
  bytes_sent = function()
    return whole(response.bytes_out())
  end,
  content_length = function()
    return request.header("Content-Length")
  end,
  content_type = function()
    return request.header("Content-Type")
  end,
  connection_requests = function()
    return "1"
  end,
  document_uri = request.path,
  host = function() -- follows ngx.req.set_header("Host", ...)
    local field = request.header("Host")
    local name = field and (field:match("^(%[[^%]]*%])") or field:match("^([^:]*)"))
    return name and name ~= "" and name:lower() or request.host()
  end,
  hostname = node.hostname,
  https = function()
    return request.scheme() == "https" and "on" or ""
  end,
  is_args = function()
    return exchange.query() and "?" or ""
  end,
  msec = function()
    return ("%.3f"):format(node.now())
  end,
  pid = function()
    return whole(node.worker_pid())
  end,
  nginx_version = function()
    local n = ngx.config.nginx_version -- luacheck: ignore
    return ("%d.%d.%d"):format(n / 1000000, n / 1000 % 1000, n % 1000)
  end,
  proxy_add_x_forwarded_for = function()
    local before = request.header("X-Forwarded-For")
    return (before and before .. ", " or "") .. request.client_ip()
  end,
  query_string = function()
    return exchange.query()
  end,
  realip_remote_addr = request.peer_ip,
  realip_remote_port = function()
    return whole(request.peer_port())
  end,
  remote_addr = request.client_ip,
  remote_user = function() -- of Basic credentials, whoever sent them
    local credentials = (request.header("Authorization") or ""):match("^[Bb][Aa][Ss][Ii][Cc] +(%S+)$")
    local plain = credentials and crypto.decode_base64(credentials)
    return plain and plain:match("^([^:]+):")
  end,
  remote_port = function()
    return whole(request.client_port())
  end,
  request = function()
    return ("%s %s HTTP/1.%d"):format(request.method(), request.raw_target(), request.http_minor())
  end,
  request_body = function()
    return exchange.body_complete() and exchange.body_get() or nil
  end,
  request_id = request.id,
  kong_request_id = request.id,
  request_length = function()
    return whole(request.bytes_in())
  end,
  request_method = request.method,
  request_time = latency(3),
  request_uri = request_uri,
  scheme = request.scheme,
  server_addr = request.server_addr,
  server_name = function()
    return "kong"
  end,
  server_port = function()
    return whole(request.server_port())
  end,
  server_protocol = function()
    return ("HTTP/1.%d"):format(request.http_minor())
  end,
  ssl_protocol = function()
    return (select(2, request.tls()))
  end,
  ssl_cipher = function()
    return (select(3, request.tls()))
  end,
  ssl_server_name = function()
    return (select(4, request.tls()))
  end,
  status = function()
    return whole(response.status())
  end,
  time_iso8601 = function()
    return os.date("!%Y-%m-%dT%H:%M:%S+00:00", math.floor(node.now()))
  end,
  time_local = function()
    return os.date("!%d/%b/%Y:%H:%M:%S +0000", math.floor(node.now()))
  end,
  upstream_host = exchange.host_header,
  upstream_connect_time = function() -- not measured by itself
    return "-"
  end,
  upstream_response_time = latency(2),
  upstream_header_time = latency(2),
  upstream_scheme = function()
    return exchange.https() and "https" or "http"
  end,
  upstream_status = function()
    return whole(exchange.upstream_status())
  end,
  upstream_uri = function() -- in access without the query, as in Kong, unless it was set with one
    local early = phase.current() <= phase.ACCESS
    local kept = early and task.find_extra(URI)
    local query = (not early or kept and kept.has_query) and exchange.query()
    return (exchange.path() or request.path()) .. (query and "?" .. query or "")
  end,
  uri = request.path,
}

local SET = {
  args = function(value)
    exchange.set_query(value)
  end,
  upstream_host = function(value)
    exchange.set_host_header(value)
  end,
  upstream_scheme = function(value)
    exchange.set_scheme(value)
  end,
  upstream_uri = function(value)
    local path, query = value:match("^([^?]*)%??(.*)$")
    exchange.set_path(path)
    local has_query = value:find("?", 1, true) ~= nil
    if has_query then
      exchange.set_query(query)
    end
    task.get_extra(URI).has_query = has_query
  end,
}

local function dashes(name)
  return (name:gsub("_", "-"))
end

local function cookie(name)
  local all = request.header("Cookie")
  for pair in (all or ""):gmatch("[^;]+") do
    local key, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
    if key and key:lower() == name:lower() then
      return value
    end
  end
end

local PREFIXES = {
  { "http_", function(rest)
    local name, values = dashes(rest), {}
    local flat = request.headers()
    for i = 1, #flat, 2 do
      if flat[i]:lower() == name then
        values[#values + 1] = flat[i + 1]
      end
    end
    return values[1] and table.concat(values, ", ")
  end },
  { "arg_", function(rest)
    local found = codec.decode_args(exchange.query() or "", 0)[rest]
    found = type(found) == "table" and found[1] or found
    return found == true and "" or found
  end },
  { "cookie_", cookie },
  { "sent_http_", function(rest)
    return response.header(dashes(rest))
  end },
  { "upstream_http_", function(rest)
    return exchange.upstream_header(dashes(rest))
  end },
}

local function get(_, name)
  if type(name) == "number" then
    return nil
  end
  local own = GET[name]
  if own then
    return text(own())
  end
  for _, prefix in ipairs(PREFIXES) do
    if name:sub(1, #prefix[1]) == prefix[1] then
      return prefix[2](name:sub(#prefix[1] + 1):lower())
    end
  end
  if not request.id() then
    return nil
  end
  return task.get_extra(STORE)[name]
end

local function set(_, name, value)
  local own = SET[name]
  if own then
    own(text(value) or "")
  elseif GET[name] then
    error("variable \"" .. name .. "\" not changeable", 2)
  else
    request.id() -- raises without a request
    task.get_extra(STORE)[name] = text(value)
  end
end

function _M.fill(ngx)
  ngx.var = setmetatable({}, { __index = get, __newindex = set, __metatable = false })
end

return _M

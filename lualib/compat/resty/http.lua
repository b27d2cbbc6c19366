-- The name guests know: require "resty.http": an HTTP/1.0 and 1.1 client over cosockets, with lua-resty-http's interface.
-- Not the gateway's own client (http/client). Connecting, writing and reading are http/resty_connect, resty_write, resty_read.
-- Invariant: a connection goes back to its pool only when every response asked of it was read to its end.

local connection = require "moongate.http.resty_connect"
local http_headers = require "resty.http_headers"
local read = require "moongate.http.resty_read"
local write = require "moongate.http.resty_write"

local _M = { _VERSION = "0.17.2", _USER_AGENT = "moongate-resty-http/0.17.2" }

local Client = { __index = _M }

local CLIENT_PIECE_BYTES = 65536
local HOP_BY_HOP = { ["connection"] = true, ["keep-alive"] = true, ["proxy-authenticate"] = true, ["proxy-authorization"] = true,
  ["te"] = true, ["trailers"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true }

--- A client without a connection.
function _M.new()
  local sock, err = ngx.socket.tcp()
  if not sock then
    return nil, err
  end
  return setmetatable({ sock = sock, keepalive = true, unread = 0 }, Client)
end

-- ---- connections ----

--- connect{scheme, host, port, ...}: TCP, proxy and TLS at once. connect(host, port, opts): TCP only, as of old.
function _M.connect(self, options, ...)
  if type(options) == "table" then
    return connection.open(self, options)
  end
  return connection.plain(self, options, ...)
end

--- Deprecated: connect takes proxy_opts.
function _M.connect_proxy(self, uri, scheme, host, port, authorization)
  return connection.via(self, uri, scheme, host, port, authorization)
end

function _M.set_proxy_options(self, opts)
  self.proxy_opts = {}
  for name, value in pairs(opts or {}) do
    self.proxy_opts[name] = value
  end
end

function _M.set_timeout(self, ms)
  return self.sock:settimeout(ms)
end

function _M.set_timeouts(self, connect_ms, send_ms, read_ms)
  return self.sock:settimeouts(connect_ms, send_ms, read_ms)
end

function _M.ssl_handshake(self, ...)
  self.scheme = "https"
  return self.sock:sslhandshake(...)
end

--- 1: pooled. 2 and "connection must be closed": closed, because it cannot carry another request.
function _M.set_keepalive(self, ...)
  if self.keepalive and self.unread == 0 then
    return self.sock:setkeepalive(...)
  end
  local ok, err = self.sock:close()
  if not ok then
    return nil, err
  end
  return 2, "connection must be closed"
end

function _M.get_reused_times(self)
  return self.sock:getreusedtimes()
end

function _M.close(self)
  return self.sock:close()
end

-- ---- requests ----

-- Head, body; and the response's head when one came instead of "100 Continue".
local function send_after_continue(self, request)
  local ok, err = self.sock:send(request.head)
  local head
  if ok then
    head, err = read.head(self.sock)
  end
  if not head then
    return nil, err
  elseif head.status ~= 100 then
    self.keepalive = false -- the body was announced and never goes out
    return true, nil, head
  end
  return write.send(self.sock, request)
end

local function send(self, request, may_wait)
  self.keepalive = self.keepalive and request.keepalive
  self.unread = self.unread + 1
  local ok, err, head
  if may_wait and request.body and read.has_token(request.headers["Expect"], "100-continue") then
    ok, err, head = send_after_continue(self, request)
  else
    ok, err = write.send(self.sock, request, request.head)
  end
  if not ok then
    self.keepalive = false
    return nil, err
  end
  return true, nil, head
end

local function receive(self, request, head)
  local err
  if not head or head.status < 200 and head.status ~= 101 then
    head, err = read.final_head(self.sock)
  end
  if not head then
    self.keepalive = false
    return nil, err
  end
  return read.response(self, head, request.method)
end

--- Sends a request over the connection; the response, its body still to be read, or nil and why.
function _M.request(self, params)
  if self.unread > 0 then
    return nil, "the response before was not read to its end"
  end
  local request, err = write.request(self, params or {}, _M._USER_AGENT)
  if not request then
    return nil, err
  end
  local ok, head
  ok, err, head = send(self, request, true)
  if not ok then
    return nil, err
  end
  return receive(self, request, head)
end

-- A response of a pipeline is read when a field of it is first asked for.
local Pending = {}

function Pending.__index(res, name)
  local pending = rawget(res, Pending)
  if not pending then
    return nil
  end
  local self = pending.conn
  if self.unread ~= pending.unread then
    rawset(res, "err", "the response before was not read to its end")
    return name == "err" and res.err or nil
  end
  local got, err = receive(self, pending.request)
  rawset(res, Pending, nil)
  rawset(res, "err", err)
  if not got then
    return rawget(res, name)
  end
  for key, value in pairs(got) do
    rawset(res, key, value)
  end
  setmetatable(res, getmetatable(got))
  return res[name]
end

--- Sends several requests at once; an array of responses, to be read in order.
function _M.request_pipeline(self, list)
  if self.unread > 0 then
    return nil, "the response before was not read to its end"
  end
  local responses = {}
  for i, params in ipairs(list) do
    local request, err = write.request(self, params, _M._USER_AGENT)
    local ok = request and true
    if ok then
      ok, err = send(self, request)
    end
    if not ok then
      self.keepalive = false
      return nil, err
    end
    responses[i] = setmetatable({ [Pending] = { conn = self, request = request, unread = #list - i + 1 } }, Pending)
  end
  return responses
end

local function copy_of(params)
  local out = {}
  for name, value in pairs(params or {}) do
    out[name] = value
  end
  return out
end

-- The response with its whole body; the connection is pooled or closed after it.
local function exchange(self, params)
  local res, err = self:request(params)
  local body
  if res then
    body, err = res:read_body()
  end
  if not body then
    self:close()
    return nil, err
  end
  res.body = body
  if params.keepalive == false then
    self:close()
  else
    self:set_keepalive(params.keepalive_timeout, params.keepalive_pool)
  end
  return res
end

--- Connects, sends, reads everything: {status, reason, headers, body, ...}, or nil and why.
function _M.request_uri(self, uri, params)
  params = copy_of(params)
  local parts, err = self:parse_uri(uri, false)
  if not parts then
    return nil, err
  end
  params.scheme, params.host, params.port = parts[1], parts[2], parts[3]
  params.path, params.query = params.path or parts[4], params.query or parts[5]
  local ok
  ok, err = self:connect(params)
  if not ok then
    return nil, err
  end
  return exchange(self, params)
end

--- { scheme, host, port, path, query }: with the query in the path unless query_in_path is false.
function _M.parse_uri(_, uri, query_in_path)
  local parts, err = connection.parse_uri(uri)
  if not parts then
    return nil, err
  end
  local scheme = parts.scheme or ngx.var.scheme
  local path, query = parts.path, parts.query
  if query_in_path ~= false and query ~= "" then
    path, query = path .. "?" .. query, ""
  end
  return { scheme, parts.host, parts.port or (scheme == "https" and 443 or 80), path, query }
end

-- ---- the client's request and response ----

--- An iterator over the client's request body, or over the body on a socket given instead; nil without a body.
function _M.get_client_body_reader(_, size, sock)
  size = size or CLIENT_PIECE_BYTES
  if sock then
    return read.request_body(sock, ngx.req.get_headers(), size)
  end
  local own, err = ngx.req.socket()
  if not own then
    return nil, err ~= "no body" and err or nil
  end
  return function(wanted)
    local data, why = own:receiveany(wanted or size)
    if why and why ~= "closed" then
      return nil, why
    end
    return data
  end
end

local function percent(char)
  return ("%%%02X"):format(char:byte())
end

--- The client's request, sent over the connection.
function _M.proxy_request(self, size)
  local body, err = self:get_client_body_reader(size)
  if err then
    return nil, err
  end
  local headers = http_headers.new()
  for name, value in pairs(ngx.req.get_headers(0, true)) do
    if not HOP_BY_HOP[name:lower()] then
      headers[name] = value
    end
  end
  if body and not headers["Content-Length"] then
    headers["Transfer-Encoding"], body = "chunked", write.chunked(body)
  end
  return self:request({ method = ngx.req.get_method(), path = (ngx.var.uri:gsub("[^%w/._~!$&'()*+,;=:@%%-]", percent)),
    query = ngx.var.args, headers = headers, body = body })
end

--- A response as the answer to the client: status, end-to-end headers, the body piece by piece.
function _M.proxy_response(_, res, size)
  if not res then
    error("proxy_response: a response expected, as request returns it", 2)
  end
  ngx.status = res.status
  for name, value in pairs(res.headers) do
    if not HOP_BY_HOP[name:lower()] then
      ngx.header[name] = value
    end
  end
  repeat
    local data, err = res.body_reader(size)
    if err then
      ngx.log(ngx.ERR, "resty.http: proxy_response: ", err)
      return
    elseif data then
      local ok, why = ngx.print(data)
      if not ok then
        ngx.log(ngx.ERR, "resty.http: proxy_response: ", why)
        return
      end
    end
  until not data
end

return _M

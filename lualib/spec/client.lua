-- The client of specs: one keep-alive connection, every answer read to its end. Its methods are those
-- that specs written for Kong call on a proxy client (send, get, post, ...).
-- Not resty.http: no pools, no redirects.

local json = require "moongate.util.json_encode"
local message = require "moongate.spec.message"
local reader = require("moongate.cjson").new()
local socket = require "moongate.ngx.socket"

local Client = {}
Client.__index = Client

local Response = {}
Response.__index = Response

local TIMEOUT_MS = 10000

function Response.read_body(self)
  return self.body
end

-- The body as JSON; raises when it is none.
function Response.json(self)
  return reader.decode(self.body)
end

-- A client of host:port. opts: tls (true), sni, timeout_ms.
local function new(host, port, opts)
  opts = opts or {}
  return setmetatable({ host = host, port = port, tls = opts.tls, sni = opts.sni,
    timeout_ms = opts.timeout_ms or TIMEOUT_MS }, Client)
end

-- Connects (send does so too). true | nil, why.
function Client.connect(self)
  local sock = socket.tcp()
  sock:settimeout(self.timeout_ms)
  local ok, err = sock:connect(self.host, self.port, { pool = tostring(sock) })
  if ok and self.tls then
    ok, err = sock:sslhandshake(nil, self.sni or "localhost", false)
  end
  if not ok then
    return nil, err
  end
  self.sock = sock
  return true
end

local function find(headers, name)
  for key, value in pairs(headers) do
    if type(key) == "string" and key:lower() == name then
      return value
    end
  end
end

local function body_of(opts, headers)
  local body = opts.body
  if type(body) ~= "table" then
    return body
  end
  local content_type = find(headers, "content-type")
  if content_type and content_type:find("application/x-www-form-urlencoded", 1, true) then
    return message.form(body)
  end
  if not content_type then
    headers["Content-Type"] = "application/json"
  end
  return json.encode(body)
end

local function target_of(opts)
  local target = opts.path or "/"
  local query = opts.query
  if type(query) == "table" then
    query = message.form(query)
  end
  if query and query ~= "" then
    target = target .. (target:find("?", 1, true) and "&" or "?") .. query
  end
  return target
end

-- A request as bytes. opts: method, path, query, headers, body (a table becomes JSON or a form).
function Client.format(self, opts)
  local headers = {}
  for name, value in pairs(opts.headers or {}) do
    headers[name] = value
  end
  local body = body_of(opts, headers)
  if not find(headers, "host") then
    headers.Host = self.host .. ":" .. self.port
  end
  if body and not find(headers, "content-length") and not find(headers, "transfer-encoding") then
    headers["Content-Length"] = #body
  elseif not body and (opts.method == "POST" or opts.method == "PUT" or opts.method == "PATCH") then
    headers["Content-Length"] = headers["Content-Length"] or 0
  end
  return ("%s %s HTTP/1.1\r\n%s\r\n%s"):format(opts.method or "GET", target_of(opts),
    message.format_headers(headers), body or "")
end

-- Sends bytes as they are. true | nil, why.
function Client.write(self, bytes)
  if not self.sock then
    local ok, err = self:connect()
    if not ok then
      return nil, err
    end
  end
  return self.sock:send(bytes)
end

local function has_body(method, status)
  return method ~= "HEAD" and status ~= 204 and status ~= 304 and status >= 200
end

-- Reads one answer. Response | nil, why. method: of the request ("HEAD" has no body).
function Client.read(self, method)
  local line, headers, raw = message.read_head(self.sock)
  if not line then
    self:close()
    return nil, headers
  end
  local status, reason = line:match("^HTTP/1%.%d (%d%d%d) ?(.*)$")
  status = tonumber(status)
  if not status then
    return nil, "bad status line: " .. line
  elseif status == 100 then
    return self:read(method)
  end
  local response = setmetatable({ status = status, reason = reason, headers = headers, raw_headers = raw,
    has_body = has_body(method, status), body = "" }, Response)
  if response.has_body then
    local body, err, partial, chunks = message.read_body(self.sock, headers, true)
    response.body, response.chunks = body or partial or "", chunks
    response.truncated = not body and err or nil
  end
  if (find(headers, "connection") or ""):lower() == "close" or response.truncated then
    self:close()
  end
  return response
end

-- One request and its answer: {status, reason, headers, body, json()} | nil, why. A connection that the
-- gateway had closed meanwhile is opened anew.
function Client.send(self, opts)
  local fresh = self.sock == nil
  local bytes = self:format(opts)
  local ok, err = self:write(bytes)
  local response
  if ok then
    response, err = self:read(opts.method or "GET")
  end
  if not response and not fresh and err == "closed" then
    self:close()
    return self:send(opts)
  end
  return response, err
end

Client.request = Client.send

for _, method in ipairs({ "get", "post", "put", "patch", "delete", "head", "options" }) do
  Client[method] = function(self, path, opts)
    local all = { method = method:upper(), path = path }
    for name, value in pairs(opts or {}) do
      all[name] = value
    end
    return self:send(all)
  end
end

function Client.close(self)
  if self.sock then
    self.sock:close()
    self.sock = nil
  end
  return true
end

Client.set_keepalive = Client.close

return { new = new }

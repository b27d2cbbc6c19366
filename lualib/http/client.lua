-- HTTP/1.1 requests of the gateway's own, over cosockets with connections kept alive.
-- Not the proxying of clients' requests (C), no redirects, no cookies, no compression.
-- May be called where waiting is allowed: access, timers.
-- Invariant: a connection goes back to its pool only when its response was read to its end.

local crypto = require "moongate.abi.crypto"
local node = require "moongate.abi.node"
local socket = require "moongate.abi.socket"

local _M = {}

local TIMEOUT_MS = 60000
local KEEPALIVE_MS, POOL_SIZE = 60000, 32
local BODY_MAX_BYTES = 8 * 1024 * 1024
local HEAD_LINES_MAX = 200
local PORTS = { http = 80, https = 443 }
local NO_BODY = { [204] = true, [304] = true }

-- {scheme, host, port, target, userinfo (decoded) or nil, authority}; nil, why.
function _M.parse_url(url)
  local scheme, authority, rest = url:match("^([hH][tT][tT][pP][sS]?)://([^/?#]+)([^#]*)")
  if not scheme or url:find("[%c%s]") then
    return nil, "invalid URL '" .. url .. "': expected http:// or https:// and a host"
  end
  local userinfo, address = authority:match("^(.*)@([^@]*)$")
  address = address or authority
  local host, port = address:match("^(%[[%x:.]+%]):?(%d*)$")
  if not host then
    host, port = address:match("^([^:]+):?(%d*)$")
  end
  scheme = scheme:lower()
  port = tonumber(port ~= "" and port or PORTS[scheme])
  if not host or not port or port > 65535 then
    return nil, "invalid URL '" .. url .. "': bad host or port"
  end
  return {
    scheme = scheme, host = host, port = port, authority = address,
    target = rest:sub(1, 1) == "/" and rest or "/" .. rest,
    userinfo = userinfo and userinfo:gsub("%%(%x%x)", function(hex)
      return string.char(tonumber(hex, 16))
    end) or nil,
  }
end

-- Writing -------------------------------------------------------------------------------------------

local function has(headers, name)
  for key in pairs(headers) do
    if key:lower() == name then
      return true
    end
  end
  return false
end

local function add_fields(out, headers)
  for name, value in pairs(headers) do
    if name:find("[^%w!#$%%&'*+%-.^_`|~]") or tostring(value):find("[\r\n%z]") then
      return nil, "invalid header field '" .. name .. "'"
    end
    out[#out + 1] = name .. ": " .. tostring(value)
  end
  return true
end

local function head_of(url, opts)
  local headers, body = opts.headers or {}, opts.body
  local out = { ("%s %s HTTP/1.1"):format(opts.method or "GET", url.target) }
  if not has(headers, "host") then
    out[2] = "Host: " .. url.authority
  end
  local ok, err = add_fields(out, headers)
  if not ok then
    return nil, err
  end
  if url.userinfo and not has(headers, "authorization") then
    out[#out + 1] = "Authorization: Basic " .. crypto.encode_base64(url.userinfo)
  end
  if body or opts.method == "POST" or opts.method == "PUT" or opts.method == "PATCH" then
    out[#out + 1] = "Content-Length: " .. #(body or "")
  end
  if opts.keepalive == false then
    out[#out + 1] = "Connection: close"
  end
  return table.concat(out, "\r\n") .. "\r\n\r\n"
end

-- Reading -------------------------------------------------------------------------------------------

-- What fits into the time left of the request.
local function arm(c)
  local left = c.deadline - node.mono()
  if left <= 0 then
    return nil, "timeout"
  end
  local ms = math.max(1, math.floor(left * 1000))
  c.sock:settimeouts(ms, ms, ms)
  return true
end

local function receive(c, what)
  local ok, err = arm(c)
  if not ok then
    return nil, err
  end
  local data, why = c.sock:receive(what)
  if data then
    c.heard = true
  end
  return data, why
end

local function read_fields(c)
  local headers = {}
  for _ = 1, HEAD_LINES_MAX do
    local line, err = receive(c, "*l")
    if not line then
      return nil, err
    end
    line = line:gsub("\r$", "")
    if line == "" then
      return headers
    end
    local name, value = line:match("^([^:%s]+):[ \t]*(.-)[ \t]*$")
    if not name then
      return nil, "malformed response head"
    end
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return nil, "response head too large"
end

-- The final head: interim ones (1xx) are passed over.
local function read_head(c)
  while true do
    local line, err = receive(c, "*l")
    if not line then
      return nil, err
    end
    local minor, status = line:match("^HTTP/1%.(%d) (%d%d%d)")
    if not status then
      return nil, "malformed status line"
    end
    local headers, why = read_fields(c)
    if not headers then
      return nil, why
    end
    status = tonumber(status)
    if status >= 200 or status == 101 then
      return { status = status, minor = tonumber(minor), headers = headers }
    end
  end
end

local function read_chunks(c, max)
  local parts, size = {}, 0
  while true do
    local line, err = receive(c, "*l")
    if not line then
      return nil, err
    end
    local hex = line:match("^%s*(%x+)")
    local n = hex and #hex <= 8 and tonumber(hex, 16)
    if not n then
      return nil, "malformed chunk"
    end
    if n == 0 then
      local ok, why = read_fields(c)
      return ok and table.concat(parts), why
    end
    size = size + n
    if size > max then
      return nil, "response body too large"
    end
    parts[#parts + 1], err = receive(c, n)
    if err or not receive(c, 2) then
      return nil, err or "closed"
    end
  end
end

-- Until the server closes.
local function read_rest(c, max)
  local parts, size = {}, 0
  while true do
    local ok, err = arm(c)
    if not ok then
      return nil, err
    end
    local data, why = c.sock:receiveany(65536)
    if not data then
      return why == "closed" and table.concat(parts) or nil, why ~= "closed" and why or nil
    end
    size = size + #data
    if size > max then
      return nil, "response body too large"
    end
    parts[#parts + 1] = data
  end
end

-- The body, and whether the connection can be used again after it.
local function read_body(c, head, opts)
  local max = opts.body_max_bytes or BODY_MAX_BYTES
  local coding, length = head.headers["transfer-encoding"], head.headers["content-length"]
  local reusable = head.minor >= 1 and not (head.headers.connection or ""):lower():find("close", 1, true)
  if opts.method == "HEAD" or NO_BODY[head.status] then
    return "", nil, reusable
  elseif coding then
    local body, err = read_chunks(c, max)
    return body, err, reusable
  elseif not length then
    return read_rest(c, max)
  end
  local n = tonumber(length:match("^%d+$"))
  if not n then
    return nil, "malformed Content-Length"
  elseif n > max then
    return nil, "response body too large"
  elseif n == 0 then
    return "", nil, reusable
  end
  local body, err = receive(c, n)
  return body, err, reusable
end

-- Connections ---------------------------------------------------------------------------------------

local function pool_name(url, opts)
  return ("http:%s:%s:%d:%s:%s"):format(url.scheme, url.host, url.port, opts.server_name or "",
    tostring(opts.ssl_verify ~= false))
end

local function connect(c, url, opts)
  local ok, err = arm(c)
  if ok then
    ok, err = c.sock:connect(url.host, url.port, pool_name(url, opts), POOL_SIZE)
  end
  if ok and url.scheme == "https" and c.sock:getreusedtimes() == 0 then
    ok, err = c.sock:sslhandshake(opts.server_name or url.host, opts.ssl_verify ~= false)
  end
  return ok, err
end

local function finish(c, opts, reusable)
  if reusable and opts.keepalive ~= false then
    c.sock:setkeepalive(type(opts.keepalive) == "number" and opts.keepalive or KEEPALIVE_MS, POOL_SIZE)
  else
    c.sock:close()
  end
end

-- One exchange. Third result: the pooled connection was dead, nothing of a response was seen.
local function exchange(c, url, opts, head)
  c.sock, c.heard = socket.tcp(), false
  local ok, err = connect(c, url, opts)
  if not ok then
    c.sock:close()
    return nil, ("%s:%d: %s"):format(url.host, url.port, err)
  end
  local stale = c.sock:getreusedtimes() > 0
  ok, err = c.sock:send(head .. (opts.body or ""))
  local answer, body, reusable
  if ok then
    answer, err = read_head(c)
  end
  if answer then
    body, err, reusable = read_body(c, answer, opts)
  end
  if not body then
    c.sock:close()
    return nil, ("%s:%d: %s"):format(url.host, url.port, err), stale and not c.heard and err ~= "timeout"
  end
  finish(c, opts, reusable)
  return { status = answer.status, headers = answer.headers, body = body }
end

-- Sends a request and waits for the whole response. opts: url (user:password in it become Basic
-- credentials), method ("GET"), headers {name = value}, body, timeout_ms (of everything together, 60000),
-- ssl_verify (true), server_name (SNI, the host), keepalive (idle ms in the pool, 60000; false: close),
-- body_max_bytes (8 MiB). Returns {status, headers (lower-case names), body}; or nil, "host:port: why".
function _M.request(opts)
  local url, err = _M.parse_url(opts.url)
  if not url then
    return nil, err
  end
  local head
  head, err = head_of(url, opts)
  if not head then
    return nil, err
  end
  local c = { deadline = node.mono() + (opts.timeout_ms or TIMEOUT_MS) / 1000 }
  local answer, stale
  repeat
    answer, err, stale = exchange(c, url, opts, head)
  until answer or not stale
  return answer, err
end

return _M

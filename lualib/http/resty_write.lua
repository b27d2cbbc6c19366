-- The writing half of resty.http (compat/resty/http): request lines, header fields, bodies.
-- Not what comes back (http/resty_read).
-- Invariant: what goes out is framed: exactly Content-Length bytes, or chunked by whoever made the body.

local http_headers = require "resty.http_headers"
local read = require "moongate.http.resty_read"

local _M = {}

local NEEDS_LENGTH = { POST = true, PUT = true, PATCH = true }
local PORTS = { http = 80, https = 443 }
local PIECE_BYTES = 65536

-- host:port as a Host header has it.
function _M.authority(scheme, host, port)
  return port and port ~= PORTS[scheme] and host .. ":" .. port or host
end

local function target(conn, params)
  local path, query = params.path or "/", params.query
  if type(query) == "table" then
    query = ngx.encode_args(query)
  end
  if query and query ~= "" then
    path = path .. (query:sub(1, 1) == "?" and "" or "?") .. query
  end
  if conn.proxy_prefix and path:sub(1, 1) == "/" then
    path = conn.proxy_prefix .. path
  end
  if path:find("[%c]") then
    return nil, "invalid path: it has control characters"
  end
  return path
end

local function add_line(out, name, value)
  value = tostring(value)
  if name:find("[^%w!#$%%&'*+%-.^_`|~]") or name == "" or value:find("[\r\n%z]") then
    return nil, "invalid header field '" .. name .. "'"
  end
  out[#out + 1] = name .. ": " .. value
  return true
end

local function add_fields(out, headers)
  for name, value in pairs(headers) do
    if type(name) ~= "string" then
      return nil, "headers are a table of names and values, not an array"
    end
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      local ok, err = add_line(out, name, one)
      if not ok then
        return nil, err
      end
    end
  end
  return true
end

-- The length of a body that is there already; nil for an iterator.
local function size_of(body)
  if type(body) == "function" then
    return nil
  elseif type(body) ~= "table" then
    return #(body and tostring(body) or "")
  end
  local size = 0
  for _, part in ipairs(body) do
    size = size + #tostring(part)
  end
  return size
end

local function set_framing(headers, method, body)
  if read.has_token(headers["Transfer-Encoding"], "chunked") then
    headers["Content-Length"] = nil
    return true
  end
  local size = size_of(body)
  if not size then
    if not tonumber(headers["Content-Length"]) then
      return nil, "a body that is a function needs a Content-Length, or Transfer-Encoding: chunked and to encode itself so"
    end
  elseif body or NEEDS_LENGTH[method] or headers["Content-Length"] then
    headers["Content-Length"] = size
  end
  return true
end

local function set_defaults(conn, headers, version, agent)
  if not headers["Host"] then
    if conn.unix then
      return nil, "a Host header is needed for a connection to a unix domain socket"
    end
    headers["Host"] = _M.authority(conn.scheme or "http", conn.host, conn.port)
  end
  headers["User-Agent"] = headers["User-Agent"] or agent
  if version == 1.0 and not headers["Connection"] then
    headers["Connection"] = "Keep-Alive"
  end
  if conn.proxy_authorization and not headers["Proxy-Authorization"] then
    headers["Proxy-Authorization"] = conn.proxy_authorization
  end
  return true
end

-- {method, head (text), headers, body, keepalive}: what is to be sent; nil, err when that is not a request.
function _M.request(conn, params, agent)
  local method, version = params.method or "GET", tonumber(params.version) or 1.1
  if type(method) ~= "string" or method:find("[^%w!#$%%&'*+%-.^_`|~]") or method == "" then
    return nil, "invalid method"
  elseif version ~= 1.1 and version ~= 1.0 then
    return nil, "unsupported HTTP version: " .. tostring(params.version)
  end
  local headers = http_headers.new()
  for name, value in pairs(params.headers or {}) do
    headers[name] = value
  end
  local path, err = target(conn, params)
  local ok = path and true
  if ok then
    ok, err = set_defaults(conn, headers, version, agent)
  end
  if ok then
    ok, err = set_framing(headers, method, params.body)
  end
  local out = path and { ("%s %s HTTP/%.1f"):format(method, path, version) }
  if ok then
    ok, err = add_fields(out, headers)
  end
  if not ok then
    return nil, err
  end
  return { method = method, head = table.concat(out, "\r\n") .. "\r\n\r\n", headers = headers, body = params.body,
    keepalive = not read.has_token(headers["Connection"], "close") }
end

local function send_iterator(sock, body, length)
  local sent = 0
  while true do
    local piece, err = body(PIECE_BYTES)
    if err then
      return nil, err
    elseif piece == nil then
      break
    end
    sent = sent + #piece
    if length and sent > length then
      break
    end
    if piece ~= "" then
      local ok, why = sock:send(piece)
      if not ok then
        return nil, why
      end
    end
  end
  if length and sent ~= length then
    return nil, ("the body has %s than the Content-Length of %d bytes"):format(sent > length and "more" or "less", length)
  end
  return true
end

-- Sends the body of what request() made, behind `head` unless that went out already.
function _M.send(sock, request, head)
  local body = request.body
  if type(body) == "function" then
    local ok, err = true, nil
    if head then
      ok, err = sock:send(head)
    end
    if not ok then
      return nil, err
    end
    return send_iterator(sock, body, tonumber(request.headers["Content-Length"]))
  end
  if body == nil then
    return sock:send(head)
  end
  return sock:send({ head or "", type(body) == "table" and body or tostring(body) })
end

-- An iterator that encodes another's pieces as chunks.
function _M.chunked(body)
  local ended = false
  return function(size)
    if ended then
      return nil
    end
    local piece, err = body(size)
    if err then
      return nil, err
    elseif piece == nil then
      ended = true
      return "0\r\n\r\n"
    end
    return piece == "" and "" or ("%x\r\n%s\r\n"):format(#piece, piece)
  end
end

return _M

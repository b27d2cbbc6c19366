-- The reading half of resty.http (compat/resty/http): heads, bodies piece by piece, trailers.
-- Not the gateway's own client (http/client) nor what goes out (http/resty_write).
-- Invariant: conn.unread counts the responses that were asked for and not read to their end; conn.keepalive is false once
-- the connection cannot carry another request.

local http_headers = require "resty.http_headers"

local _M = {}

local HEAD_LINES_MAX = 1000
local PIECE_BYTES = 65536
local NO_BODY = { [204] = true, [304] = true }

local BODY = {} -- a response's key of its body

local function line(sock)
  local text, err = sock:receive("*l")
  if not text then
    return nil, err
  end
  return (text:gsub("\r$", ""))
end

-- Several lines of one name make an array of values.
local function add(out, name, value)
  local seen = out[name]
  if type(seen) == "table" then
    seen[#seen + 1] = value
  else
    out[name] = seen and { seen, value } or value
  end
end

local function fields(sock)
  local out = http_headers.new()
  for _ = 1, HEAD_LINES_MAX do
    local text, err = line(sock)
    if not text then
      return nil, err
    elseif text == "" then
      return out
    end
    local name, value = text:match("^([^:%s]+):[ \t]*(.-)[ \t]*$")
    if not name then
      return nil, "malformed header line: " .. text
    end
    add(out, name, value)
  end
  return nil, "too many header lines"
end

-- {status, reason, minor, headers}: the next head, be it interim or final.
function _M.head(sock)
  local text, err = line(sock)
  if not text then
    return nil, err
  end
  local minor, status, reason = text:match("^HTTP/1%.(%d) (%d%d%d) ?(.*)$")
  if not status then
    return nil, "malformed status line: " .. text
  end
  local headers
  headers, err = fields(sock)
  if not headers then
    return nil, err
  end
  return { status = tonumber(status), reason = reason, minor = tonumber(minor), headers = headers }
end

-- The next head that is not interim.
function _M.final_head(sock)
  local head, err
  repeat
    head, err = _M.head(sock)
  until not head or head.status >= 200 or head.status == 101
  return head, err
end

-- ---- bodies ----

-- Readers are step(body, size) -> data | nil at the end | nil, err; finish() ends them.
local function finish(body)
  body.ended = true
  body.conn.unread = body.conn.unread - 1
end

local function read_counted(body, size)
  local data, err = body.sock:receive(math.min(size or body.left, body.left))
  if not data then
    return nil, err
  end
  body.left = body.left - #data
  if body.left == 0 then
    finish(body)
  end
  return data
end

-- The size of the next chunk; 0 after the trailers were read too.
local function next_chunk(body)
  local text, err = line(body.sock)
  if not text then
    return nil, err
  end
  local hex = text:match("^(%x+)[ \t]*$") or text:match("^(%x+)[ \t]*;")
  if not hex or #hex > 12 then
    return nil, "malformed chunk size: " .. text
  end
  local size = tonumber(hex, 16)
  if size == 0 then
    body.trailers, err = fields(body.sock)
    if not body.trailers then
      return nil, err
    end
    finish(body)
  end
  return size
end

local function read_chunked(body, size)
  if body.left == 0 then
    local left, err = next_chunk(body)
    if not left or left == 0 then
      return nil, err
    end
    body.left = left
  end
  local data, err = body.sock:receive(math.min(size or body.left, body.left))
  if not data then
    return nil, err
  end
  body.left = body.left - #data
  if body.left == 0 then
    local rest
    rest, err = line(body.sock)
    if rest ~= "" then
      return nil, err or "malformed chunk: longer than its size"
    end
  end
  return data
end

local function read_rest(body, size)
  local data, err = body.sock:receiveany(size or PIECE_BYTES)
  if data then
    return data
  elseif err == "closed" then
    finish(body)
    return nil
  end
  return nil, err
end

-- Without a size the rest of the body at once, as for counted ones.
local function read_until_close(body, size)
  if size then
    return read_rest(body, size)
  end
  local pieces = {}
  while true do
    local data, err = read_rest(body)
    if err then
      return nil, err
    elseif not data then
      return #pieces > 0 and table.concat(pieces) or nil
    end
    pieces[#pieces + 1] = data
  end
end

local function reader_of(body, default_size)
  return function(size)
    size = size or default_size
    if size ~= nil and (type(size) ~= "number" or size < 1) then
      error("bad size of a body's piece: " .. tostring(size), 2)
    elseif body.ended then
      return nil
    elseif body.err then
      return nil, body.err
    end
    local data, err = body.step(body, size)
    if err then
      body.err, body.conn.keepalive = err, false
    end
    return data, err
  end
end

local function last_value(value)
  return type(value) == "table" and value[#value] or value
end

-- The one length of a message: number; nil when there is none, false when it is not one.
local function length_of(headers)
  local value = headers["Content-Length"]
  for _, other in ipairs(type(value) == "table" and value or {}) do
    if other ~= value[1] then
      return false
    end
  end
  value = last_value(value)
  if value == nil then
    return nil
  end
  local digits = tostring(value):match("^%d+$")
  return digits and #digits <= 15 and tonumber(digits) or false
end

local function is_chunked(headers)
  local coding = last_value(headers["Transfer-Encoding"])
  return coding and coding:lower():match("([^,%s]+)%s*$") == "chunked"
end

-- The body that headers announce, of the connection; nil, err when they are wrong. A message without a length ends with
-- its connection.
local function body_of(conn, headers)
  local body = { conn = conn, sock = conn.sock, left = 0 }
  local length = length_of(headers)
  if is_chunked(headers) then
    body.step = read_chunked
    conn.keepalive = conn.keepalive and length == nil
  elseif headers["Transfer-Encoding"] or length == nil then
    body.step, conn.keepalive = read_until_close, false
  elseif not length then
    return nil, "malformed Content-Length"
  else
    body.step, body.left = read_counted, length
    if length == 0 then
      finish(body)
    end
  end
  return body
end

-- A reader of the request body that these headers announce, off a socket; nil without a body.
function _M.request_body(sock, headers, size)
  if not is_chunked(headers) and not length_of(headers) then
    return nil
  end
  return reader_of(body_of({ sock = sock, unread = 1 }, headers), size)
end

-- ---- responses ----

local Response = {}
Response.__index = Response

function Response.read_body(self)
  local pieces = {}
  repeat
    local data, err = self.body_reader()
    if err then
      return nil, err, table.concat(pieces)
    end
    pieces[#pieces + 1] = data
  until not data
  return table.concat(pieces)
end

-- What the headers do not have comes from the trailers.
function Response.read_trailers(self)
  for name, value in pairs(self[BODY].trailers or {}) do
    if self.headers[name] == nil then
      self.headers[name] = value
    end
  end
end

local function has_token(value, token)
  for _, text in ipairs(type(value) == "table" and value or { value }) do
    for word in tostring(text):lower():gmatch("[^,%s]+") do
      if word == token then
        return true
      end
    end
  end
  return false
end

_M.has_token = has_token

-- The response a final head begins, read off conn as it is asked for.
function _M.response(conn, head, method)
  local connection = head.headers["Connection"]
  if has_token(connection, "close") or head.minor == 0 and not has_token(connection, "keep-alive") then
    conn.keepalive = false
  end
  local body, err = { conn = conn }, nil
  local has_body = method ~= "HEAD" and head.status ~= 101 and not NO_BODY[head.status]
  if has_body then
    body, err = body_of(conn, head.headers)
  else
    finish(body)
  end
  if not body then
    conn.keepalive = false
    return nil, err
  end
  return setmetatable({ status = head.status, reason = head.reason, headers = head.headers, has_body = has_body,
    body_reader = reader_of(body), [BODY] = body }, Response)
end

return _M

-- Strict HTTP/1.1 reading for specs, written apart from the gateway's parser so that neither hides
-- the other's mistakes. What is not exactly as RFC 9112 says a sender must write raises an error.
-- Adds read_request, read_response and friends to connections.

local sched = require("e2e.support.sched")
local Conn = require("e2e.support.conn").Conn
local cjson = require("cjson")

local M = {}

local TOKEN = "^[%w!#$%%&'*+%-.^_`|~]+$"

local Message = {}
Message.__index = Message

-- Values of every field line of that name, in order.
function Message:all(name)
  local values = {}
  for _, field in ipairs(self.fields) do
    if field.name:lower() == name:lower() then
      values[#values + 1] = field.value
    end
  end
  return values
end

-- The field's value, lines joined by ", "; nil when absent.
function Message:header(name)
  local values = self:all(name)
  return #values > 0 and table.concat(values, ", ") or nil
end

function Message:json()
  local ok, value = pcall(cjson.decode, self.body)
  if not ok then
    error(("body is not JSON (%s): %q"):format(value, tostring(self.body):sub(1, 300)), 2)
  end
  return value
end

local function parse_fields(block)
  local fields = {}
  for line in block:gmatch("(.-)\r\n") do
    local name, value = line:match("^([^:]*):[ \t]*(.-)[ \t]*$")
    if not name or not name:find(TOKEN) then
      error(("malformed field line %q"):format(line), 0)
    end
    if value:find("[%z\1-\8\10-\31\127]") then
      error(("control byte in field line %q"):format(line), 0)
    end
    fields[#fields + 1] = { name = name, value = value }
  end
  return fields
end

local headers_view = {
  __index = function(view, name)
    return rawget(view, "message"):header(name)
  end,
}

-- head: bytes up to the empty line. Message with start (its first line), fields, headers.
local function parse_head(head)
  if head:find("[^\r]\n") or head:find("\r[^\n]") then
    error(("bare CR or LF in head %q"):format(head), 0)
  end
  local start, block = head:match("^(.-)\r\n(.*)\r\n$")
  local message = setmetatable({ start = start, raw_head = head }, Message)
  message.fields = parse_fields(block)
  message.headers = setmetatable({ message = message }, headers_view)
  return message
end

-- "chunked", a length, or nil; raises when the framing is ambiguous.
local function framing(message)
  local codings, lengths = message:all("transfer-encoding"), message:all("content-length")
  if #codings > 0 and #lengths > 0 then
    error("both Transfer-Encoding and Content-Length", 0)
  end
  if #codings > 0 then
    if #codings ~= 1 or codings[1] ~= "chunked" then
      error("Transfer-Encoding is not exactly chunked: " .. table.concat(codings, " | "), 0)
    end
    return "chunked"
  end
  if #lengths > 1 or (lengths[1] and not lengths[1]:find("^%d+$")) then
    error("Content-Length is not one number: " .. table.concat(lengths, " | "), 0)
  end
  return tonumber(lengths[1])
end

local function need(value, err, partial)
  if value == nil then
    error(("connection %s inside a message, after %q"):format(err, tostring(partial or ""):sub(1, 200)), 0)
  end
  return value
end

local function next_chunk(conn, message, limit)
  local line = need(conn:read_through("\r\n", limit))
  local size = line:match("^(%x+)\r\n$")
  if not size then
    error(("malformed chunk size %q"):format(line), 0)
  end
  size = tonumber(size, 16)
  if size > 0 then
    local data = need(conn:read(size, limit))
    if need(conn:read(2, limit)) ~= "\r\n" then
      error("chunk is longer than its size", 0)
    end
    return data
  end
  local block = ""
  repeat
    line = need(conn:read_through("\r\n", limit))
    block = block .. (line ~= "\r\n" and line or "")
  until line == "\r\n"
  message.trailers = parse_fields(block)
  return nil
end

-- Reads the next piece of the body as it comes: data, or nil at the end.
function Message:next(limit)
  local conn = self.conn
  if self.complete then
    return nil
  end
  local data
  if self.framing == "chunked" then
    data = next_chunk(conn, self, limit)
  elseif self.framing == "close" then
    local ok, err = true, nil
    if #conn.buffer == 0 then
      ok, err = conn:fill(limit)
    end
    if ok then
      data = conn:take(#conn.buffer)
    elseif err ~= "closed" then
      error("connection " .. err .. " inside a body that ends with the connection", 0)
    end
  elseif self.left > 0 then
    if #conn.buffer == 0 then
      need(conn:fill(limit))
    end
    data = conn:take(self.left)
    self.left = self.left - #data
  end
  if data then
    self.pieces[#self.pieces + 1] = { data = data, at = sched.now() }
    return data
  end
  self.complete = true
  self.ended_at = sched.now()
  return nil
end

-- Reads the body to its end; self.body, and self.pieces = {{data, at}, ...}.
function Message:finish(limit)
  while self:next(limit) do
    sched.now()
  end
  local parts = {}
  for i, piece in ipairs(self.pieces) do
    parts[i] = piece.data
  end
  self.body = table.concat(parts)
  return self
end

-- The next server-sent event as {event, data, id, retry, comment, at}, or nil at the end.
function Message:next_event(limit)
  self.sse = self.sse or ""
  while true do
    local _, last = self.sse:find("\r?\n\r?\n")
    if last then
      local block = self.sse:sub(1, last)
      self.sse = self.sse:sub(last + 1)
      return M.parse_event(block)
    end
    local data = self:next(limit)
    if not data then
      if self.sse:find("%S") then
        error(("stream ended inside an event: %q"):format(self.sse:sub(1, 200)), 0)
      end
      return nil
    end
    self.sse = self.sse .. data
  end
end

function M.parse_event(block)
  local event = { at = sched.now() }
  local lines = {}
  for line in block:gmatch("([^\r\n]*)\r?\n") do
    local name, value = line:match("^([^:]*):? ?(.*)$")
    if line:sub(1, 1) == ":" then
      event.comment = line:sub(2)
    elseif name == "data" then
      lines[#lines + 1] = value
    elseif name ~= "" then
      event[name] = value
    end
  end
  event.data = #lines > 0 and table.concat(lines, "\n") or nil
  return event
end

local function begin_body(conn, message, kind)
  message.conn = conn
  message.pieces = {}
  message.framing = kind
  if type(kind) == "number" then
    message.left = kind
  end
end

-- Reads a request (its body too unless opts.head_only). nil, why when the peer ended between requests.
function Conn:read_request(opts)
  opts = opts or {}
  local head, err, partial = self:read_through("\r\n\r\n", opts.limit)
  if not head then
    if #partial == 0 then
      return nil, err
    end
    need(nil, err, partial)
  end
  local message = parse_head(head)
  message.method, message.target, message.version = message.start:match("^(%S+) (%S+) HTTP/(1%.[01])$")
  if not message.method then
    error(("malformed request line %q"):format(message.start), 0)
  end
  message.at = sched.now()
  begin_body(self, message, framing(message) or 0)
  if not opts.head_only then
    message:finish(opts.limit)
  end
  return message
end

local function has_no_body(status, method)
  return method == "HEAD" or status == 204 or status == 304 or status < 200
end

-- Reads the next response head. opts: method (of the request), limit.
function Conn:read_head(opts)
  opts = opts or {}
  local head, err, partial = self:read_through("\r\n\r\n", opts.limit)
  if not head then
    if #partial == 0 then
      return nil, err
    end
    need(nil, err, partial)
  end
  local message = parse_head(head)
  local version, status, reason = message.start:match("^HTTP/(1%.[01]) (%d%d%d) ?([^%c]*)$")
  if not version then
    error(("malformed status line %q"):format(message.start), 0)
  end
  message.version, message.status, message.reason = version, tonumber(status), reason
  message.at = sched.now()
  if has_no_body(message.status, opts.method) then
    begin_body(self, message, 0)
  else
    begin_body(self, message, framing(message) or "close")
  end
  return message
end

-- Reads a whole final response; interim ones are in .interim. nil, why when the peer ended instead.
function Conn:read_response(opts)
  opts = opts or {}
  local interim = {}
  while true do
    local message, err = self:read_head(opts)
    if not message then
      return nil, err
    end
    if message.status >= 200 or message.status == 101 then
      message.interim = interim
      return opts.head_only and message or message:finish(opts.limit)
    end
    interim[#interim + 1] = message
  end
end

local function has(fields, name)
  for _, field in ipairs(fields) do
    if field[1]:lower() == name then
      return true
    end
  end
  return false
end

-- {name = value | {values}} or {{name, value}, ...} as an array of pairs.
function M.field_list(headers)
  if headers and headers[1] then
    return headers
  end
  local names, list = {}, {}
  for name in pairs(headers or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = headers[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      list[#list + 1] = { name, tostring(one) }
    end
  end
  return list
end

local function write_head(start, fields)
  local lines = { start }
  for _, field in ipairs(fields) do
    lines[#lines + 1] = field[1] .. ": " .. field[2]
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

function M.chunked(chunks)
  local out = {}
  for _, chunk in ipairs(chunks) do
    out[#out + 1] = ("%x\r\n%s\r\n"):format(#chunk, chunk)
  end
  return table.concat(out) .. "0\r\n\r\n"
end

-- spec: method, path, host, headers, body (string) or chunks (array of strings), version.
function M.write_request(spec)
  local fields = {}
  for i, field in ipairs(M.field_list(spec.headers)) do
    fields[i] = field
  end
  if not has(fields, "host") and spec.host ~= false then
    table.insert(fields, 1, { "Host", spec.host or "gateway.test" })
  end
  if spec.json ~= nil then
    spec.body = cjson.encode(spec.json)
    fields[#fields + 1] = { "Content-Type", "application/json" }
  end
  if spec.body and not has(fields, "content-length") then
    fields[#fields + 1] = { "Content-Length", tostring(#spec.body) }
  elseif spec.chunks then
    fields[#fields + 1] = { "Transfer-Encoding", "chunked" }
  end
  local method = spec.method or ((spec.body or spec.chunks) and "POST" or "GET")
  local start = ("%s %s HTTP/%s"):format(method, spec.path or "/", spec.version or "1.1")
  return write_head(start, fields) .. (spec.body or (spec.chunks and M.chunked(spec.chunks)) or ""), method
end

-- spec: status, reason, headers, body or chunks; Content-Length is added where it belongs.
function M.write_response(spec, method)
  local fields = {}
  for i, field in ipairs(M.field_list(spec.headers)) do
    fields[i] = field
  end
  local status = spec.status or 200
  local body = spec.body or ""
  if spec.chunks then
    fields[#fields + 1] = { "Transfer-Encoding", "chunked" }
    body = M.chunked(spec.chunks)
  elseif not has(fields, "content-length") and status >= 200 and status ~= 204 and status ~= 304 then
    fields[#fields + 1] = { "Content-Length", tostring(#body) }
  end
  local start = ("HTTP/1.1 %d %s"):format(status, spec.reason or "Scripted")
  return write_head(start, fields) .. (has_no_body(status, method) and "" or body)
end

return M

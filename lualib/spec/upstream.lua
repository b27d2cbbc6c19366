-- A fake upstream in the same process: answers by a function or a script, records what it was asked,
-- misbehaves on demand (delay, reset, early close, odd chunks).
-- Invariant: what it records is complete before the answer's first byte goes out.

local json = require "moongate.util.json_encode"
local host = require "moongate.spec.host"
local message = require "moongate.spec.message"
local ngx_socket = require "moongate.ngx.socket"
local wait = require "moongate.abi.wait"

local Upstream = {}
Upstream.__index = Upstream

local TCP = getmetatable(ngx_socket.tcp())

local REASONS = { [200] = "OK", [201] = "Created", [204] = "No Content", [404] = "Not Found",
  [500] = "Internal Server Error", [503] = "Service Unavailable" }

-- ---- answers ----

local function flat(headers)
  local out = {}
  for name, value in next, headers do
    out[name:lower()] = type(value) == "table" and table.concat(value, ", ") or value
  end
  return out
end

local function post_data(request)
  local content_type = request.headers["content-type"] or ""
  local data = { text = request.body, kind = "unknown", params = json.null }
  if content_type:find("application/json", 1, true) then
    local ok, value = pcall(require("moongate.cjson").decode, request.body)
    data.kind, data.params = "json", ok and value or json.null
    data.error = not ok and value or nil
  elseif content_type:find("x-www-form-urlencoded", 1, true) then
    data.kind, data.params = "form", message.parse_form(request.body)
  end
  return data
end

-- Tells what it was asked, as JSON.
local function echo(request)
  local body = json.encode({
    headers = flat(request.headers),
    uri_args = message.parse_form(request.query),
    post_data = post_data(request),
    uri = request.target,
    url = "http://" .. (request.headers.host or "") .. request.target,
    vars = { request_method = request.method, request_uri = request.target, uri = request.path,
      request = request.line, host = (request.headers.host or ""):gsub(":%d+$", ""),
      server_protocol = "HTTP/1.1", scheme = "http" },
  })
  return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = body }
end

local function normal(status, headers, body)
  if type(status) == "table" then
    return status
  end
  if type(body) == "table" then
    headers = headers or {}
    headers["Content-Type"] = headers["Content-Type"] or "application/json"
    body = json.encode(body)
  end
  return { status = status or 200, headers = headers or {}, body = body }
end

-- The answer to request number n.
local function answer_of(self, request, n)
  local script = self.script
  if type(script) == "function" then
    local results = { pcall(script, request, n) }
    if not results[1] then
      self.errors[#self.errors + 1] = tostring(results[2])
      return { status = 500, headers = {}, body = "the spec's upstream function failed: " .. tostring(results[2]) }
    end
    return normal(results[2], results[3], results[4])
  elseif type(script) == "table" then
    local entry = script[math.min(n, #script)]
    return type(entry) == "table" and normal(entry) or normal(entry, nil, "")
  end
  return echo(request)
end

local function head_of(answer, length)
  local headers = {}
  for name, value in pairs(answer.headers or {}) do
    headers[name] = value
  end
  if answer.chunks then
    headers["Transfer-Encoding"] = "chunked"
  elseif length then
    headers["Content-Length"] = length
  end
  local status = answer.status or 200
  return ("HTTP/1.1 %d %s\r\n%s\r\n"):format(status, answer.reason or REASONS[status] or "Unknown",
    message.format_headers(headers))
end

local function send_chunks(sock, answer)
  for i, chunk in ipairs(answer.chunks) do
    if i > 1 and answer.chunk_delay then
      wait.sleep(answer.chunk_delay)
    end
    if not sock:send(("%x\r\n%s\r\n"):format(#chunk, chunk)) then
      return
    end
    if answer.close_after == i or answer.reset_after == i then
      return
    end
  end
  sock:send("0\r\n\r\n")
end

-- true when the connection goes on.
local function respond(sock, request, answer)
  if answer.delay then
    wait.sleep(answer.delay)
  end
  if answer.reset == true then
    host.program.reset(sock.raw)
    return false
  elseif answer.close == true then
    return false
  elseif answer.raw then
    sock:send(answer.raw)
    return answer.keep_alive == true
  end
  local body = answer.body or ""
  local bodiless = request.method == "HEAD" or answer.status == 204 or answer.status == 304
  sock:send(head_of(answer, answer.status ~= 204 and #body or nil))
  if answer.chunks then
    send_chunks(sock, answer)
  elseif not bodiless then
    local cut = answer.close_after or answer.reset_after
    sock:send(cut and body:sub(1, cut) or body)
  end
  if answer.reset_after then
    wait.sleep(0.005) -- what was written is on its way first
    host.program.reset(sock.raw)
  end
  return not (answer.close_after or answer.reset_after or answer.last)
end

-- ---- serving ----

local function read_request(sock)
  local line, headers, raw = message.read_head(sock)
  if not line then
    return nil
  end
  local method, target = line:match("^(%S+) (%S+) HTTP/1%.%d$")
  if headers.expect then
    sock:send("HTTP/1.1 100 Continue\r\n\r\n")
  end
  local body, err = message.read_body(sock, headers)
  return { line = line, method = method, target = target, path = target and target:match("^[^?]*"),
    query = target and target:match("%?(.*)$"), headers = headers, raw_headers = raw, body = body or "",
    truncated = not body and err or nil }
end

local function serve(self, sock)
  sock:settimeout(60000)
  while true do
    local request = read_request(sock)
    if not request then
      break
    end
    self.requests[#self.requests + 1] = request
    local answer = answer_of(self, request, #self.requests)
    if not respond(sock, request, answer) then
      break
    end
  end
  sock:close()
end

local function accept(self)
  local threads = {}
  while true do
    local raw = host.program.accept(self.handle)
    if not raw then
      break
    end
    self.connections = self.connections + 1
    threads[#threads + 1] = wait.spawn(serve, self, setmetatable({ raw = raw }, TCP))
  end
  for _, thread in ipairs(threads) do
    wait.kill(thread)
  end
end

-- One answer alone is a list of one.
local function script_of(given)
  if type(given) == "number" or type(given) == "table" and given[1] == nil then
    return { given }
  end
  return given
end

-- Starts one. script: nil (echo as JSON), fn(request, n) -> status, headers, body | answer, one answer, or a list of
-- answers, one a request (the last repeats). An answer: a status, or {status, headers, body, delay (seconds), reset, close, raw,
-- chunks, chunk_delay, close_after, reset_after (bytes of the body, or chunks)}.
local function start(script)
  local self = setmetatable({ script = script_of(script), requests = {}, errors = {}, connections = 0,
    host = "127.0.0.1" }, Upstream)
  local handle, port = host.program.listen()
  if not handle then
    error("the fake upstream cannot listen: " .. port, 2)
  end
  self.handle, self.port = handle, port
  self.url = "http://127.0.0.1:" .. port
  local ok, err = wait.timer_at(0, function(premature)
    if not premature then
      accept(self)
    end
  end)
  if not ok then
    error("the fake upstream cannot run: " .. err, 2)
  end
  host.on_end(function()
    self:stop()
  end)
  return self
end

-- Answers otherwise from now on; forgets what was recorded.
function Upstream.answer(self, script)
  self.script = script_of(script)
  self:clear()
end

function Upstream.clear(self)
  self.requests, self.errors = {}, {}
end

-- The last request it got, or nil.
function Upstream.last(self)
  return self.requests[#self.requests]
end

-- Closes it and its connections.
function Upstream.stop(self)
  if self.handle then
    host.program.unlisten(self.handle)
    self.handle = nil
  end
end

return { start = start, echo = echo }

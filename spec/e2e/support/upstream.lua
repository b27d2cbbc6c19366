-- A fake upstream whose every byte a spec decides. Without a script it answers each request with a
-- JSON description of it, on connections kept alive.
-- Invariant: what it received is recorded as bytes (requests[i].raw_head) before any answer.

local sched = require("e2e.support.sched")
local conn = require("e2e.support.conn")
local message = require("e2e.support.message")
local certs = require("e2e.support.certs")
local cjson = require("cjson")
local socket = require("socket")

local Upstream = {}
Upstream.__index = Upstream

local M = {}

local function headers_of(request)
  local out = {}
  for _, field in ipairs(request.fields) do
    local name = field.name:lower()
    out[name] = out[name] and (out[name] .. ", " .. field.value) or field.value
  end
  return out
end

-- The default answer: what came, as JSON.
function M.echo(request)
  local description = {
    method = request.method,
    target = request.target,
    version = request.version,
    headers = headers_of(request),
    body = request.body,
  }
  return { headers = { ["Content-Type"] = "application/json" }, body = cjson.encode(description) }
end

-- A sender may give up within a message; a malformed message is an error of the spec's task.
local function next_request(c)
  local ok, request = pcall(c.read_request, c)
  if not ok and not request:find("^connection %l+ inside a message") then
    error(request, 0)
  end
  return ok and request
end

-- Answers requests; hands the connection over when a script was set since (pooled connections).
local function serve(self, c)
  while true do
    if #c.buffer == 0 and not c:fill(3600) then
      return
    end
    if self.script then
      return self.script(c, self)
    end
    local request = next_request(c)
    if not request then
      return
    end
    local answer = (self.answerer or M.echo)(request, c)
    if answer then
      c:send(message.write_response(answer, request.method))
    end
    if c.closed or request:header("connection") == "close" then
      return
    end
  end
end

-- One entry per connection: counted, recorded, closed when its script ends.
local function accepted(self, sock)
  local c = conn.wrap(sock)
  sock:setoption("tcp-nodelay", true)
  table.insert(self.connections, c)
  local read_request = c.read_request
  c.read_request = function(this, opts)
    local request, err = read_request(this, opts)
    if request then
      request.conn_index = c.index
      table.insert(self.requests, request)
    end
    return request, err
  end
  c.index = #self.connections
  sched.spawn(function()
    if self.tls and not c:start_tls(self.tls) then
      c:close()
      return
    end
    local ok, err = xpcall(function()
      if self.script then
        self.script(c, self)
      else
        serve(self, c)
      end
    end, debug.traceback)
    c:close()
    if not ok and not self.stopped then
      error(err, 0)
    end
  end)
end

-- opts: script (function(conn, upstream) run for each connection), answer (function(request) ->
-- response table), tls (true, or lua-sec options), host, port, backlog.
function M.start(opts)
  opts = opts or {}
  local self = setmetatable({ connections = {}, requests = {} }, Upstream)
  self.host = opts.host or "127.0.0.1"
  self.script, self.answerer = opts.script, opts.answer
  local server = assert(socket.tcp4())
  server:setoption("reuseaddr", true)
  assert(server:bind(self.host, opts.port or 0))
  assert(server:listen(opts.backlog or 256))
  server:settimeout(0)
  self.server = server
  self.port = tonumber((select(2, server:getsockname())))
  if opts.tls then
    self.tls = opts.tls == true and {} or opts.tls
    self.tls.mode = "server"
    local pair = certs.pair("upstream.test")
    self.tls.key = self.tls.key or pair.key
    self.tls.certificate = self.tls.certificate or pair.certificate
  end
  self.url = ("%s://%s:%d"):format(self.tls and "https" or "http", self.host, self.port)
  self.task = sched.spawn(function()
    while not self.stopped do
      local sock = server:accept()
      if sock then
        accepted(self, sock)
      else
        sched.readable(server, 3600)
      end
    end
  end)
  return self
end

-- Sets the script of later connections, and of open ones once their next request comes.
function Upstream:on(script)
  self.script = script
  return self
end

-- Later requests get answer(request) (a table for message.write_response); nil: echo.
function Upstream:answer(answer)
  self.script = nil
  self.answerer = type(answer) == "table" and function()
    return answer
  end or answer
  return self
end

-- Later connections read one request, send these bytes, and `more` in a segment of its own a moment
-- later, then close (how: "close", "reset", "open").
function Upstream:send_raw(bytes, how, more)
  return self:on(function(c)
    if not c:read_request() then
      return
    end
    c:send(bytes)
    if more then
      c:sleep(0.05)
      c:send(more)
    end
    if how == "reset" then
      c:reset()
    elseif how == "open" then
      pcall(c.wait_closed, c, 4 * sched.limit)
    end
  end)
end

-- Waits until n requests were recorded in all; returns the last.
function Upstream:wait_requests(n, limit)
  sched.wait_until(function()
    return #self.requests >= n
  end, limit, function()
    return ("upstream has %d of %d requests"):format(#self.requests, n)
  end)
  return self.requests[n]
end

function Upstream:last()
  return self.requests[#self.requests]
end

-- Connections the peer has not closed yet.
function Upstream:open_connections()
  local n = 0
  for _, c in ipairs(self.connections) do
    if not c.closed and not c.ended then
      n = n + 1
    end
  end
  return n
end

function Upstream:stop()
  self.stopped = true
  sched.stop(self.task)
  self.server:close()
  for _, c in ipairs(self.connections) do
    c:close()
  end
end

local refused = {} -- ports that were given out: what takes one may not have done so yet

-- A port on which nothing listens (connections are refused), another one each time.
function M.refused_port()
  local taken = {}
  local port
  repeat
    local server = assert(socket.bind("127.0.0.1", 0))
    port = tonumber((select(2, server:getsockname())))
    taken[#taken + 1] = server
  until not refused[port]
  refused[port] = true
  for _, server in ipairs(taken) do
    server:close()
  end
  return port
end

-- An address whose connections are never answered: a full backlog. Keep the returned table alive.
function M.blackhole()
  local server = assert(socket.tcp4())
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(0))
  local port = tonumber((select(2, server:getsockname())))
  local hole = { server = server, port = port, host = "127.0.0.1", fillers = {} }
  for i = 1, 4 do
    local filler = socket.tcp4()
    filler:settimeout(0)
    filler:connect("127.0.0.1", port)
    hole.fillers[i] = filler
  end
  function hole:stop()
    self.server:close()
    for _, filler in ipairs(self.fillers) do
      filler:close()
    end
  end
  return hole
end

return M

-- A client that sends exactly the bytes it is told, and reads responses strictly.
-- `to` is a gateway (gateway.lua), an upstream, a port number, or {host, port, tls = ...}.
-- Invariant: nothing is sent or retried behind the spec's back.

local conn = require("e2e.support.conn")
local message = require("e2e.support.message")
local sched = require("e2e.support.sched")

local Conn = conn.Conn
local M = {}

local function address(to)
  if type(to) == "number" then
    return "127.0.0.1", to
  end
  return to.host or to[1] or "127.0.0.1", to.port or to[2]
end

-- A connection: the methods of conn.lua and message.lua, plus request() and write().
function M.connect(to, opts)
  local host, port = address(to)
  opts = opts or {}
  opts.tls = opts.tls or (type(to) == "table" and to.client_tls) or nil
  local c, err = conn.connect(host, port, opts)
  if not c then
    error(("cannot connect to %s:%s: %s"):format(host, tostring(port), tostring(err)), 2)
  end
  return c
end

-- Writes a request (see message.write_request) without waiting for the answer.
function Conn:write(spec)
  local bytes, method = message.write_request(spec)
  self.methods = self.methods or {}
  table.insert(self.methods, method)
  return self:send(bytes)
end

-- Reads the answer to the oldest unanswered write().
function Conn:answer(opts)
  opts = opts or {}
  local method = self.methods and table.remove(self.methods, 1)
  return self:read_response({ method = opts.method or method, limit = opts.limit, head_only = opts.head_only })
end

-- Writes and reads on this connection.
function Conn:request(spec)
  self:write(spec)
  local response, err = self:answer(spec)
  if not response then
    error("no response: connection " .. tostring(err), 2)
  end
  return response
end

-- One request on its own connection, closed afterwards. spec.to says where.
function M.request(spec)
  local c = M.connect(spec.to, { tls = spec.tls, limit = spec.limit, from = spec.from })
  local ok, response = pcall(c.request, c, spec)
  c:close()
  if not ok then
    error(response, 2)
  end
  return response
end

function M.get(to, path, headers)
  return M.request({ to = to, path = path, headers = headers })
end

-- Sends bytes and reads responses until the peer closes, or opts.count responses have come, or
-- opts.quiet seconds (0.3) pass without a byte. {responses, ended = "closed"|"reset"|"open", rest}.
function M.raw(to, bytes, opts)
  opts = opts or {}
  local c = M.connect(to, opts)
  c:send(bytes)
  local result = { responses = {}, ended = "open" }
  while #result.responses < (opts.count or math.huge) do
    local first = #result.responses == 0
    local limit = first and (opts.limit or sched.limit) or (opts.quiet or 0.3 * sched.slow)
    if #c.buffer == 0 then
      local ok, err = c:fill(limit)
      if not ok then
        result.ended = err == "timeout" and "open" or err
        break
      end
    end
    local response, err = c:read_response({ method = opts.method, limit = opts.limit })
    if not response then
      result.ended = err
      break
    end
    table.insert(result.responses, response)
  end
  if opts.keep then
    result.conn = c
  else
    c:close()
  end
  result.first = result.responses[1]
  return result
end

return M

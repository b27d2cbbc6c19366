-- One TCP or TLS connection of a spec, byte by byte, with a read buffer. Knows no HTTP (message.lua).
-- Invariant: every wait has a limit; what a peer does (closing, resetting) is a returned value,
-- what a spec did not foresee (time limit) is an error.

local sched = require("e2e.support.sched")
local socket = require("socket")

local Conn = {}
Conn.__index = Conn

local M = {}

function M.wrap(sock)
  sock:settimeout(0)
  return setmetatable({ sock = sock, buffer = "", received = 0, opened_at = sched.now() }, Conn)
end

-- Connects to host:port. Options: limit, rcvbuf (a small receive window), from (local address).
function M.connect(host, port, opts)
  opts = opts or {}
  local sock = assert(socket.tcp4())
  sock:settimeout(0)
  if opts.from then
    assert(sock:bind(opts.from, 0))
  end
  local ok, err = sock:connect(host, port)
  if not ok and err ~= "timeout" and err ~= "Operation already in progress" then
    sock:close()
    return nil, err
  end
  if not sched.writable(sock, opts.limit) then
    sock:close()
    return nil, "timeout"
  end
  ok, err = sock:connect(host, port)
  if not ok and err ~= "already connected" then
    sock:close()
    return nil, err
  end
  sock:setoption("tcp-nodelay", true)
  local conn = M.wrap(sock)
  if opts.tls then
    ok, err = conn:start_tls(opts.tls == true and {} or opts.tls)
    if not ok then
      conn:close()
      return nil, err
    end
  end
  return conn
end

-- TLS on top: opts are lua-sec's, plus server_name. mode "server" needs key and certificate.
function Conn:start_tls(opts)
  local ssl = require("ssl")
  local params = {
    mode = opts.mode or "client",
    protocol = opts.protocol or "any",
    verify = opts.verify or "none",
    cafile = opts.cafile,
    key = opts.key,
    certificate = opts.certificate,
    ciphers = opts.ciphers,
    options = { "all" },
  }
  local wrapped, err = ssl.wrap(self.sock, params)
  if not wrapped then
    return nil, err
  end
  if opts.server_name then
    wrapped:sni(opts.server_name)
  end
  wrapped:settimeout(0)
  self.sock = wrapped
  self.tls = true
  repeat
    local ok
    ok, err = wrapped:dohandshake()
    if ok then
      return true
    end
  until not self:wait_for(err)
  return nil, err
end

-- After a "would block" answer: waits for the socket. False when `err` is a real error.
function Conn:wait_for(err, limit)
  if err == "wantread" or err == "timeout" then
    return sched.readable(self.sock, limit)
  elseif err == "wantwrite" then
    return sched.writable(self.sock, limit)
  end
  return false
end

-- Sends all bytes: true, or nil, error, sent (the peer has gone).
function Conn:send(bytes, limit)
  local from, last = 1, #bytes
  while from <= last do
    local sent, err, partial = self.sock:send(bytes, from)
    if sent then
      from = sent + 1
    else
      from = (partial or from - 1) + 1
      if err == "timeout" or err == "wantwrite" then
        if not sched.writable(self.sock, limit) then
          return nil, "timeout", from - 1
        end
      elseif err == "wantread" then
        sched.readable(self.sock, limit)
      else
        return nil, err, from - 1
      end
    end
  end
  return true
end

-- Sends one byte at a time (or `step` bytes), each in its own turn of the loop.
function Conn:send_slowly(bytes, step, pause)
  step = step or 1
  for from = 1, #bytes, step do
    local ok, err = self:send(bytes:sub(from, from + step - 1))
    if not ok then
      return nil, err
    end
    sched.sleep(pause or 0)
  end
  return true
end

-- LuaSocket calls a reset "closed" too; the socket's pending error, read before the data, tells.
function Conn:note_reset()
  if not self.tls and self.sock:getoption("error") then
    self.was_reset = true
  end
end

-- Reads what has come into the buffer: true, or nil, "closed" | "reset" | "timeout".
function Conn:fill(limit)
  if self.ended then
    return nil, self.ended
  end
  local deadline = sched.now() + (limit or sched.limit)
  while true do
    self:note_reset()
    local data, err, partial = self.sock:receive(65536)
    data = data or partial
    if data and #data > 0 then
      self.buffer = self.buffer .. data
      self.received = self.received + #data
      self.last_at = sched.now()
      return true
    end
    if err ~= "timeout" and err ~= "wantread" and err ~= "wantwrite" then
      self.ended = (self.was_reset or err ~= "closed") and "reset" or "closed"
      self.ended_at = sched.now()
      return nil, self.ended
    end
    if not self:wait_for(err, math.max(deadline - sched.now(), 0)) then
      return nil, "timeout"
    end
  end
end

function Conn:take(n)
  local data = self.buffer:sub(1, n)
  self.buffer = self.buffer:sub(n + 1)
  return data
end

-- The next n bytes, or nil, why, what there was.
function Conn:read(n, limit)
  while #self.buffer < n do
    local ok, err = self:fill(limit)
    if not ok then
      return nil, err, self.buffer
    end
  end
  return self:take(n)
end

-- Bytes up to and including `mark` (plain text), or nil, why, what there was.
function Conn:read_through(mark, limit)
  local from = 1
  while true do
    local _, last = self.buffer:find(mark, from, true)
    if last then
      return self:take(last)
    end
    from = math.max(1, #self.buffer - #mark + 2)
    local ok, err = self:fill(limit)
    if not ok then
      return nil, err, self.buffer
    end
  end
end

-- Everything until the peer ends: bytes, how it ended ("closed" or "reset").
function Conn:read_all(limit)
  local deadline = sched.now() + (limit or sched.limit)
  local ok, err
  repeat
    ok, err = self:fill(math.max(deadline - sched.now(), 0))
  until not ok
  if err == "timeout" then
    error(("peer did not close within its limit; so far %d bytes: %q"):format(#self.buffer, self.buffer:sub(1, 300)), 2)
  end
  return self:take(#self.buffer), err
end

-- Waits until the peer closes or resets, dropping what it sends: how it ended, when.
function Conn:wait_closed(limit)
  local deadline = sched.now() + (limit or sched.limit)
  repeat
    local ok, err = self:fill(math.max(deadline - sched.now(), 0))
    self.buffer = ""
    if err == "timeout" then
      error("peer did not close within its limit", 2)
    end
  until not ok
  return self.ended, self.ended_at
end

-- True when the peer has ended and nothing is left to read; never waits.
function Conn:is_ended()
  if not self.ended and #self.buffer == 0 then
    self:fill(0)
  end
  return self.ended ~= nil and #self.buffer == 0
end

function Conn:sleep(seconds)
  sched.sleep(seconds)
end

-- FIN, reading goes on.
function Conn:half_close()
  self.sock:shutdown("send")
end

function Conn:close()
  if not self.closed then
    self.closed = true
    self.sock:close()
  end
end

-- RST instead of FIN.
function Conn:reset()
  if not self.closed then
    self.sock:setoption("linger", { on = true, timeout = 0 })
    self:close()
  end
end

M.Conn = Conn

return M

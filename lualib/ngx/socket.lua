-- ngx.socket: OpenResty's socket objects over the primitives of abi/socket.

local socket = require "moongate.abi.socket"

local _M = {}

local function flatten(value, out)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = value
  elseif kind == "table" then
    for _, inner in ipairs(value) do
      flatten(inner, out)
    end
  elseif kind == "number" or kind == "boolean" or kind == "nil" then
    out[#out + 1] = tostring(value)
  else
    error("bad argument #1 to 'send' (string, number, boolean, nil, or array table expected, got "
      .. kind .. ")", 4)
  end
  return out
end

local function as_text(value)
  return type(value) == "string" and value or table.concat(flatten(value, {}))
end

-- true -> 1, as OpenResty's functions return it.
local function one(ok, err)
  if ok then
    return 1
  end
  return nil, err
end

-- ---- TCP ----

local tcp = {}
local TCP = { __index = tcp }

function _M.tcp()
  return setmetatable({ raw = socket.tcp() }, TCP)
end

function tcp.connect(self, host, port, opts)
  if type(host) ~= "string" then
    error("bad argument #1 to 'connect' (string expected, got " .. type(host) .. ")", 2)
  end
  if type(port) == "table" then
    port, opts = nil, port
  end
  port = port and tonumber(port)
  local unix = host:sub(1, 5) == "unix:"
  if not port and not unix then
    error("bad argument #2 to 'connect' (port number expected)", 2)
  end
  local key = opts and opts.pool or unix and host or host .. ":" .. port
  self.host = host
  local ok, err = self.raw:connect(host, unix and 0 or port, key, opts and opts.pool_size)
  return one(ok, err)
end

-- Sessions are resumed below, by server name; what is returned only says that there is one.
function tcp.sslhandshake(self, session, sni, verify)
  local ok, err = self.raw:sslhandshake(sni or self.host, verify == true)
  if not ok then
    return nil, err
  end
  return session == false and true or {}
end

function tcp.send(self, data)
  local text = as_text(data)
  local ok, err = self.raw:send(text)
  if not ok then
    return nil, err
  end
  return #text
end

function tcp.receive(self, pattern)
  local data, err, partial = self.raw:receive(pattern)
  return data, err, partial
end

function tcp.receiveany(self, max)
  local data, err = self.raw:receiveany(max)
  return data, err
end

function tcp.receiveuntil(self, pattern, opts)
  local raw, inclusive = self.raw, opts and opts.inclusive or false
  local ended = false -- the pattern was reached by a call with a size
  return function(size)
    if ended then
      ended = false
      return nil, nil, nil
    end
    local data, reached, partial = raw:until_(pattern, inclusive, size)
    if data == nil then
      return nil, reached, partial
    end
    ended = size ~= nil and reached
    return data
  end
end

function tcp.settimeout(self, ms)
  self.raw:settimeouts(ms, ms, ms)
end

function tcp.settimeouts(self, connect, send, read)
  self.raw:settimeouts(connect, send, read)
end

function tcp.setkeepalive(self, idle_ms, size)
  local ok, err = self.raw:setkeepalive(idle_ms, size)
  return one(ok, err)
end

function tcp.getreusedtimes(self)
  return self.raw:getreusedtimes()
end

function tcp.close(self)
  local ok, err = self.raw:close()
  return one(ok, err)
end

function tcp.shutdown(self, direction)
  if direction ~= "send" then
    error("bad argument #1 to 'shutdown' (\"send\" expected)", 2)
  end
  local ok, err = self.raw:shutdown()
  return one(ok, err)
end

function tcp.setoption()
  return true
end

function tcp.setclientcert()
  return nil, "client certificates of cosockets are not supported by this gateway"
end

-- ---- UDP ----

local udp = {}
local UDP = { __index = udp }

function _M.udp()
  return setmetatable({ raw = socket.udp() }, UDP)
end

function udp.setpeername(self, host, port)
  local ok, err = self.raw:setpeername(host, port)
  return one(ok, err)
end

function udp.send(self, data)
  local ok, err = self.raw:send(as_text(data))
  return one(ok, err)
end

function udp.receive(self, max)
  local data, err = self.raw:receive(max)
  return data, err
end

function udp.settimeout(self, ms)
  self.raw:settimeout(ms)
end

function udp.close(self)
  local ok, err = self.raw:close()
  return one(ok, err)
end

function _M.fill(ngx)
  ngx.socket = {
    tcp = _M.tcp,
    stream = _M.tcp,
    udp = _M.udp,
    connect = function(host, port, opts)
      local sock = _M.tcp()
      local ok, err = sock:connect(host, port, opts)
      if not ok then
        return nil, err
      end
      return sock
    end,
  }
end

return _M

-- ngx.socket: OpenResty's socket objects over the primitives of abi/socket.

local socket = require "moongate.abi.socket"
local tls = require "moongate.abi.tls"

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
local TCP = { __index = tcp, __gateway = true }

function _M.tcp()
  return setmetatable({ raw = socket.tcp() }, TCP)
end

-- pool_size and backlog: a backlog alone is of a pool of the usual size.
local function pool_options(opts)
  local size, backlog = opts and opts.pool_size, opts and opts.backlog
  if size and (type(size) ~= "number" or size < 1) then
    error("bad \"pool_size\" option: " .. tostring(size), 3)
  elseif backlog and (type(backlog) ~= "number" or backlog < 0) then
    error("bad \"backlog\" option: " .. tostring(backlog), 3)
  end
  return size, backlog
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
  local ok, err = self.raw:connect(host, unix and 0 or port, key, pool_options(opts))
  return one(ok, err)
end

-- Sessions are resumed below, by server name; what is returned only says that there is one.
function tcp.sslhandshake(self, session, sni, verify)
  local pair = self.pair
  local ok, err = self.raw:sslhandshake(sni or self.host, verify == true, pair and pair.cert, pair and pair.key)
  if not ok then
    return nil, err
  end
  return session == false and true or {}
end

-- What ngx.ssl.parse_pem_cert and parse_pem_priv_key return; nil and nil: no certificate any more.
function tcp.setclientcert(self, cert, key)
  if not cert and not key then
    self.pair = nil
    return true
  elseif not cert or not key then
    return nil, "client certificate must be supplied with corresponding private key"
  end
  local cert_text, key_text = tls.text_of(cert), tls.text_of(key)
  if not cert_text or not key_text then
    return nil, "bad cert or key: what ngx.ssl.parse_pem_cert and parse_pem_priv_key return is expected"
  end
  self.pair = { cert = cert_text, key = key_text }
  return true
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
  return self.raw:receive(pattern)
end

function tcp.receiveany(self, max)
  return self.raw:receiveany(max)
end

function tcp.receiveuntil(self, pattern, opts)
  if pattern == "" then
    return nil, "pattern is empty"
  end
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

local OPTIONS = {
  keepalive = "switch", reuseaddr = "switch", ["tcp-nodelay"] = "switch",
  sndbuf = "number", rcvbuf = "number", keepintvl = "number", keepcnt = "number",
}

function tcp.setoption(self, name, value)
  local kind = OPTIONS[name]
  if not kind then
    return nil, "unsupported option " .. tostring(name)
  elseif value == nil then
    return nil, "missing the \"value\" argument"
  end
  local number = kind == "switch" and (value == true and 1 or value == false and 0) or tonumber(value)
  if not number then
    return nil, "bad value of option " .. name .. ": " .. tostring(value)
  end
  local ok, err = self.raw:option(name, number)
  return ok and true or nil, err
end

function tcp.getoption(self, name)
  if not OPTIONS[name] then
    return nil, "unsupported option " .. tostring(name)
  end
  return self.raw:option(name)
end

-- OpenSSL's SSL of the connection, for libraries that call OpenSSL; nil and why without TLS.
function tcp.getsslpointer(self)
  local pointer = self.raw:tlsinfo()
  if not pointer then
    return nil, "not ssl"
  end
  return pointer
end

function tcp.bind()
  return nil, "bind is not supported by this gateway"
end

-- ---- the client's connection ----

local client = {}
local CLIENT = { __index = client, __gateway = true }

for _, name in ipairs({ "send", "receive", "receiveany", "receiveuntil", "settimeout", "settimeouts", "getsslpointer" }) do
  client[name] = tcp[name]
end

for _, name in ipairs({ "connect", "sslhandshake", "close", "setkeepalive", "getreusedtimes", "shutdown", "setoption" }) do
  client[name] = function()
    return nil, name .. ": the connection is the client's; it closes when the plugin has returned"
  end
end

-- raw: what abi/response's raw_socket gives.
function _M.of_client(raw)
  return setmetatable({ raw = raw }, CLIENT)
end

-- ---- UDP ----

local udp = {}
local UDP = { __index = udp, __gateway = true }

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
  return self.raw:receive(max)
end

function udp.settimeout(self, ms)
  self.raw:settimeout(ms)
end

function udp.bind()
  return nil, "bind is not supported by this gateway"
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

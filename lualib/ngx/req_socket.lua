-- ngx.req.socket: the request's body as a socket that can only be read, for libraries that read bodies so (uploads).
-- The body is collected first, within body_max_bytes; it still goes upstream. A raw one is the client's connection (ngx/socket).
-- Invariant: reads answer as cosockets do: data | nil, "closed", what was left.

local exchange = require "moongate.abi.exchange"
local response = require "moongate.abi.response"
local socket = require "moongate.ngx.socket"

local _M = {}

local methods = {}
local META = { __index = methods }

local function rest(self)
  local data = self.text:sub(self.at)
  self.at = #self.text + 1
  return data
end

local function take(self, n)
  local data = self.text:sub(self.at, self.at + n - 1)
  self.at = self.at + n
  return data
end

local function line(self)
  local stop = self.text:find("\n", self.at, true)
  if not stop then
    return nil, "closed", rest(self)
  end
  local data = self.text:sub(self.at, stop - 1):gsub("\r", "")
  self.at = stop + 1
  return data
end

function methods.receive(self, pattern)
  local n = tonumber(pattern)
  if pattern == nil or pattern == "*l" then
    return line(self)
  elseif pattern == "*a" then
    return rest(self)
  elseif not n or n < 0 then
    error("bad argument #1 to 'receive' (bad pattern argument)", 2)
  elseif self.at + n - 1 > #self.text then
    return nil, "closed", rest(self)
  end
  return take(self, n)
end

function methods.receiveany(self, max)
  if type(max) ~= "number" or max < 1 then
    error("bad argument #1 to 'receiveany' (bad max argument)", 2)
  elseif self.at > #self.text then
    return nil, "closed"
  end
  return take(self, math.min(max, #self.text - self.at + 1))
end

-- Up to the pattern, or at most `size` bytes of what is before it; second result: the pattern was reached.
local function until_pattern(self, pattern, inclusive, size)
  local first, last = self.text:find(pattern, self.at, true)
  local before = first and first - self.at
  if size and (before and before > size or not first and #self.text - self.at + 1 - #pattern >= size) then
    return take(self, size), false
  elseif not first then
    return nil, "closed", rest(self)
  end
  local data = self.text:sub(self.at, inclusive and last or first - 1)
  self.at = last + 1
  return data, true
end

function methods.receiveuntil(self, pattern, opts)
  if type(pattern) ~= "string" then
    error("bad argument #1 to 'receiveuntil' (string expected, got " .. type(pattern) .. ")", 2)
  elseif pattern == "" then
    return nil, "pattern is empty"
  end
  local inclusive = opts and opts.inclusive or false
  local ended = false -- the pattern was reached by a call with a size
  return function(size)
    if ended then
      ended = false
      return nil, nil, nil
    end
    local data, reached, partial = until_pattern(self, pattern, inclusive, size)
    if data == nil then
      return nil, reached, partial
    end
    ended = size ~= nil and reached
    return data
  end
end

-- Everything is here already.
function methods.settimeout() end
function methods.settimeouts() end

local function refuse(name)
  return function()
    return nil, name .. ": the request's body can only be read"
  end
end

for _, name in ipairs({ "send", "close", "setkeepalive", "connect", "sslhandshake", "getreusedtimes" }) do
  methods[name] = refuse(name)
end

-- ngx.req.socket([raw]).
function _M.open(raw)
  if raw then
    local sock, err = response.raw_socket()
    if not sock then
      return nil, err
    end
    return socket.of_client(sock)
  end
  local ok, err = exchange.read_body()
  if not ok then
    return nil, err
  end
  local text = exchange.body_get()
  if not text or text == "" then
    return nil, "no body"
  end
  return setmetatable({ text = text, at = 1 }, META)
end

return _M

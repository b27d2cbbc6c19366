-- LuaJIT's string.buffer for plugins from files: without the functions that hand out pointers (ref, reserve, commit,
-- putcdata), with which a plugin could write anywhere. Not for our own code.
-- Invariant: a guest never holds a real buffer, only what stands for it here.

local buffer = require "string.buffer"

local real = setmetatable({}, { __mode = "k" }) -- stand-in -> buffer
local prototype = newproxy(true)
local methods = {}

local function made(object)
  local standin = newproxy(prototype)
  real[standin] = object
  return standin
end

local function of(standin)
  return real[standin] or error("bad argument #1 to a buffer's method (buffer expected)", 3)
end

-- put and set take buffers too.
local function reals(n, value, ...)
  if n > 0 then
    return real[value] or value, reals(n - 1, ...)
  end
end

-- Those that give the buffer itself.
for _, name in ipairs({ "put", "putf", "set", "reset", "skip", "encode" }) do
  local method = buffer.new()[name]
  methods[name] = function(self, ...)
    method(of(self), reals(select("#", ...), ...))
    return self
  end
end

for _, name in ipairs({ "get", "tostring", "decode" }) do
  local method = buffer.new()[name]
  methods[name] = function(self, ...)
    return method(of(self), ...)
  end
end

function methods.free(self)
  of(self):free()
end

local meta = getmetatable(prototype)
meta.__index = methods
meta.__len = function(self)
  return #of(self)
end
meta.__tostring = function(self)
  return of(self):tostring()
end
meta.__concat = function(a, b)
  return tostring(real[a] or a) .. tostring(real[b] or b)
end
meta.__metatable = "buffer"

return {
  new = function(...)
    return made(buffer.new(...))
  end,
  encode = buffer.encode,
  decode = buffer.decode,
}

-- ngx.pipe: programs beside the worker, by lua-resty-core's interface. Off unless the setting lua_pipe is on. What starts, reads
-- and kills them is runtime/lua/pipe.c.
-- Invariant: a program ends with the phase or timer that started it.

local missing = require "moongate.ngx.missing"
local node = require "moongate.abi.node"
local pipe = require "moongate.abi.pipe"

local _M = {}

-- Of the gateway's environment only this: the rest may hold its secrets.
local INHERITED = { "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR" }
local TIMEOUTS = { "write_timeout", "stdout_read_timeout", "stderr_read_timeout", "wait_timeout" }

local off = missing.refuse("ngx.pipe.spawn",
  "the setting lua_pipe is off, so plugins start no programs; ask a service over ngx.socket.tcp")

local methods = {}
local PROC = { __index = methods, __gateway = true }

-- An array of texts (numbers are made into text).
local function texts(value, what)
  local out = {}
  for i, item in ipairs(value) do
    if type(item) ~= "string" and type(item) ~= "number" then
      error(("bad %s: an array of strings expected, got %s at %d"):format(what, type(item), i), 3)
    end
    out[i] = tostring(item)
    if out[i]:find("\0", 1, true) then
      error(("bad %s: a NUL byte in the string at %d"):format(what, i), 3)
    end
  end
  return out
end

local function check_args(args)
  if type(args) == "string" then
    args = { "/bin/sh", "-c", args }
  elseif type(args) ~= "table" then
    error("bad args arg: table or string expected, got " .. type(args), 3)
  elseif #args == 0 then
    error("bad args arg: non-empty table expected", 3)
  end
  return texts(args, "args arg")
end

local function inherited()
  local out = {}
  for _, name in ipairs(INHERITED) do
    local value = node.getenv(name)
    out[#out + 1] = value and name .. "=" .. value
  end
  return out
end

local function check_environ(environ)
  if environ == nil then
    return inherited()
  elseif type(environ) ~= "table" then
    error("bad environ option: table expected, got " .. type(environ), 3)
  end
  environ = texts(environ, "environ option")
  for _, text in ipairs(environ) do
    if not text:find("^[^=]+=") then
      error("bad environ option: NAME=value expected, got " .. text, 3)
    end
  end
  return environ
end

local function is_timeout(value)
  return value == nil or type(value) == "number" and value >= 0 and value <= 2147483647
end

local function check_options(opts)
  if type(opts) ~= "table" then
    error("bad opts arg: table expected, got " .. type(opts), 3)
  end
  for _, name in ipairs(TIMEOUTS) do
    if not is_timeout(opts[name]) then
      error(("bad %s option: milliseconds expected"):format(name), 3)
    end
  end
  local size = opts.buffer_size -- buffers grow as they need to
  if size ~= nil and (type(size) ~= "number" or size < 1) then
    error("bad buffer_size option: a positive number expected", 3)
  end
end

-- spawn(args[, opts]): the program, or nil and why.
function _M.spawn(args, opts)
  if not pipe.allowed() then
    off()
  end
  opts = opts == nil and {} or opts
  check_options(opts)
  local raw, err = pipe.spawn(check_args(args), check_environ(opts.environ), opts.merge_stderr == true)
  if not raw then
    return nil, err
  end
  raw:set_timeouts(opts.write_timeout, opts.stdout_read_timeout, opts.stderr_read_timeout, opts.wait_timeout)
  return setmetatable({ raw = raw }, PROC)
end

function methods.set_timeouts(self, ...)
  for i = 1, 4 do
    if not is_timeout((select(i, ...))) then
      error(("bad %s arg: milliseconds expected"):format(TIMEOUTS[i]), 2)
    end
  end
  self.raw:set_timeouts(...)
end

function methods.wait(self)
  return self.raw:wait()
end

function methods.pid(self)
  return self.raw:pid()
end

function methods.kill(self, signum)
  if type(signum) ~= "number" then
    error("bad signum arg: number expected, got " .. type(signum), 2)
  end
  return self.raw:kill(signum)
end

function methods.shutdown(self, direction)
  if direction ~= "stdin" and direction ~= "stdout" and direction ~= "stderr" then
    error("bad direction arg: stdin, stdout or stderr expected, got " .. tostring(direction), 2)
  end
  return self.raw:shutdown(direction)
end

function methods.write(self, data)
  local kind = type(data)
  if kind == "table" then
    data = table.concat(texts(data, "data arg"))
  elseif kind == "string" or kind == "number" then
    data = tostring(data)
  else
    error("bad data arg: string, number, or table expected, got " .. kind, 2)
  end
  local ok, err = self.raw:write(data)
  if not ok then
    return nil, err
  end
  return #data
end

for _, stream in ipairs({ "stdout", "stderr" }) do
  methods[stream .. "_read_all"] = function(self)
    return self.raw:read(stream, "all")
  end

  methods[stream .. "_read_line"] = function(self)
    return self.raw:read(stream, "line")
  end

  methods[stream .. "_read_bytes"] = function(self, n)
    if type(n) ~= "number" or n < 0 then
      error("bad len arg: a number of bytes expected", 2)
    elseif n == 0 then
      return ""
    end
    return self.raw:read(stream, "bytes", n)
  end

  methods[stream .. "_read_any"] = function(self, max)
    if type(max) ~= "number" or max < 1 then
      error("bad max arg: a number of bytes expected", 2)
    end
    return self.raw:read(stream, "any", max)
  end
end

return _M

-- ngx.thread, and the semaphores of `require "ngx.semaphore"`.

local wait = require "moongate.abi.wait"

local _M = {}

-- ---- semaphores: waiters are ids of parked threads, in order ----

local methods = {}
local META = { __index = methods, __metatable = false }

function _M.new_semaphore(n)
  if type(n or 0) ~= "number" or (n or 0) < 0 then
    error("bad argument #1 (a number not below 0 expected)", 2)
  end
  return setmetatable({ resources = n or 0, waiters = {}, first = 1, last = 0 }, META)
end

-- true, or nil, "timeout".
function methods.wait(self, timeout)
  if type(timeout) ~= "number" or timeout < 0 then
    error("bad argument #1 (timeout in seconds expected)", 2)
  end
  if self.resources > 0 then
    self.resources = self.resources - 1
    return true
  elseif timeout == 0 then
    return nil, "timeout"
  end
  local id = wait.park_id()
  self.last = self.last + 1
  local at = self.last
  self.waiters[at] = id
  local ok, err = wait.park(timeout)
  if not ok then
    self.waiters[at] = nil
    return nil, err
  end
  return true
end

local function wake_one(self)
  while self.first <= self.last do
    local id = self.waiters[self.first]
    self.waiters[self.first] = nil
    self.first = self.first + 1
    if id and wait.unpark(id) then
      return true
    end
  end
  return false
end

function methods.post(self, n)
  for _ = 1, n or 1 do
    if not wake_one(self) then
      self.resources = self.resources + 1
    end
  end
  return true
end

function methods.count(self)
  local waiting = 0
  for i = self.first, self.last do
    if self.waiters[i] then
      waiting = waiting + 1
    end
  end
  return self.resources - waiting
end

-- ---- light threads ----

local HANDLE = { __name = "thread" }

local function id_of(handle)
  if type(handle) ~= "table" or getmetatable(handle) ~= HANDLE then
    error("attempt to use a non-thread", 3)
  end
  return handle.id
end

function _M.fill(ngx)
  ngx.thread = {
    spawn = function(fn, ...)
      return setmetatable({ id = wait.spawn(fn, ...) }, HANDLE)
    end,
    wait = function(...)
      local ids = {}
      for i = 1, select("#", ...) do
        ids[i] = id_of((select(i, ...)))
      end
      return wait.wait(unpack(ids))
    end,
    kill = function(handle)
      return wait.kill(id_of(handle))
    end,
  }
end

return _M

-- Timers and parking over a clock that specs move: what the queue waits with.
-- Invariant: advance() runs what is due in the order of its time, everything else stands still.

local M = {}

function M.new()
  local self = { clock = 1000, log = {}, counted = {}, timers = {}, parked = {}, ids = 0 }
  local current

  local function resume(co, ...)
    local outer = current
    current = co
    local ok, err = coroutine.resume(co, ...)
    current = outer
    assert(ok, err)
  end

  local function begin(fn, ...)
    resume(coroutine.create(fn), ...)
  end

  self.wait = {
    timer_at = function(delay, fn, ...)
      if self.refuse then
        return nil, self.refuse
      end
      table.insert(self.timers, { at = self.clock + delay, fn = fn, ... })
      return true
    end,
    timer_every = function(_, fn)
      self.watch = fn
      return true
    end,
    park_id = function() return current end,
    park = function(timeout)
      self.parked[current] = timeout and self.clock + timeout or math.huge
      return coroutine.yield()
    end,
    unpark = function(co)
      if self.parked[co] then
        self.parked[co] = self.clock
        return true
      end
      return false
    end,
  }
  self.node = {
    mono = function() return self.clock end,
    exit_time = function() return self.exit_time end,
    log = function(level, text) table.insert(self.log, level .. " " .. text) end,
  }
  self.stats = {
    label = function(name, value) return name .. "=" .. value end,
    counter = function(name, labels) return name .. "{" .. labels .. "}" end,
    add = function(handle, n) self.counted[handle] = (self.counted[handle] or 0) + n end,
  }

  local function next_due()
    local at, what, i = math.huge, nil, nil
    for index, timer in ipairs(self.timers) do
      if timer.at < at then
        at, what, i = timer.at, timer, index
      end
    end
    for co, due in pairs(self.parked) do
      if due < at then
        at, what, i = due, co, nil
      end
    end
    return at, what, i
  end

  -- Lets that much time pass.
  function self.advance(seconds)
    local target = self.clock + seconds
    while true do
      local at, what, i = next_due()
      if at > target then
        break
      end
      self.clock = math.max(self.clock, at)
      if i then
        table.remove(self.timers, i)
        begin(what.fn, false, unpack(what))
      else
        self.parked[what] = nil
        resume(what)
      end
    end
    self.clock = target
  end

  -- The worker ends, with so many seconds left.
  function self.finish(seconds)
    self.exit_time = seconds
    begin(self.watch, true)
    self.advance(seconds)
  end

  -- A queue module of its own over this time.
  function self.load()
    package.loaded["moongate.abi.wait"], package.loaded["moongate.abi.node"] = self.wait, self.node
    package.loaded["moongate.abi.stats"] = self.stats
    package.loaded["moongate.queue"] = nil
    return require "moongate.queue"
  end

  return self
end

return M

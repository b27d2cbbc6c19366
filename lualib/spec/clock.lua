-- Time in unit mode: the real one, or frozen and moved by hand. Timers and sleeps of plugins that are run
-- phase by phase live here, so that advancing the clock fires what is due, in order.
-- Not the clock of a gateway that gw.start opened.

local node = require "moongate.abi.node"
local wait = require "moongate.abi.wait"

local Clock = {}
Clock.__index = Clock

local function new()
  return setmetatable({ timers = {}, last = 0 }, Clock)
end

--- Seconds since 1970, as ngx.now gives them.
function Clock.now(self)
  return self.frozen or node.now()
end

-- Monotonic seconds.
function Clock.mono(self)
  return self.frozen and self.frozen - self.origin + self.mono_origin or node.mono()
end

--- Stops time, at `at` (seconds since 1970; now when absent).
function Clock.freeze(self, at)
  node.update_time()
  self.frozen = at or self.frozen or node.now()
  self.origin, self.mono_origin = self.frozen, self.mono_origin or node.mono()
  return self.frozen
end

--- Time runs again; what timers were pending is dropped.
function Clock.release(self)
  self.frozen, self.mono_origin = nil, nil
  self.timers = {}
end

local function next_due(self, ends)
  local found
  for _, timer in pairs(self.timers) do
    if timer.at <= ends and (not found or timer.at < found.at or timer.at == found.at and timer.id < found.id) then
      found = timer
    end
  end
  return found
end

--- Moves time on by seconds (freezing it first) and runs the timers that are due on the way; how many ran.
function Clock.advance(self, seconds)
  if not self.frozen then
    self:freeze()
  end
  local ends, ran = self.frozen + (seconds or 0), 0
  local timer = next_due(self, ends)
  while timer do
    self.frozen = math.max(self.frozen, timer.at)
    if timer.period then
      timer.at = timer.at + timer.period
    else
      self.timers[timer.id] = nil
    end
    ran = ran + 1
    self.run_timer(timer)
    timer = next_due(self, ends)
  end
  self.frozen = math.max(self.frozen, ends)
  return ran
end

-- For the fake abi: sleeping moves a frozen clock; otherwise it waits.
function Clock.sleep(self, seconds)
  if self.frozen then
    self:advance(seconds)
  else
    wait.sleep(seconds)
  end
end

function Clock.add_timer(self, delay, period, fn, ...)
  self.last = self.last + 1
  self.timers[self.last] = { id = self.last, at = self:now() + delay, period = period, fn = fn, n = select("#", ...), ... }
  return self.last
end

--- How many timers are pending.
function Clock.pending(self)
  local n = 0
  for _ in pairs(self.timers) do
    n = n + 1
  end
  return n
end

return { new = new }

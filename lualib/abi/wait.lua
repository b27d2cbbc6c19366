-- What may wait: sleep, parking, light threads, timers. C keeps the waits and resumes; the code
-- after a wait may never run (the request can end first).
-- Not sockets: abi/socket.

local c = require "moongate.abi.c"

local native = c.native

local _M = {}

-- Waits that many seconds (0: to the end of this turn of the loop).
_M.sleep = native.sleep

-- Waits until unpark(id) or the timeout (seconds, nil: no end). `prepare(id)` is called before
-- waiting, to publish the id. true, value | nil, "timeout".
_M.park = native.park
-- An id for the next park of this thread.
_M.park_id = native.park_id
-- Ends the wait of that park with a value. false when it is over already.
_M.unpark = native.unpark

-- Light threads: spawn(fn, ...) runs fn at once until it waits; wait(t, ...) until any has ended
-- -> ok, results...; kill(t).
_M.spawn = native.spawn
_M.wait = native.wait
_M.kill = native.kill

-- dns_lookup(name, srv) -> array of {type, ttl, address} ({type, ttl, target, port, priority, weight} of
-- services) | nil, why. Waits only when the answer is not known yet.
_M.dns_lookup = native.dns_lookup

-- Timers. The function is called as fn(premature, ...) in a task of its own.
local timers, last = {}, 0

local function add(starter, delay, fn, repeats, ...)
  last = last + 1
  local ok, err = starter(last, delay, repeats)
  if not ok then
    return nil, err
  end
  timers[last] = { fn = fn, n = select("#", ...), repeats = repeats, ... }
  return last
end

-- true, or nil and "too many pending timers" | "process exiting".
function _M.timer_at(delay, fn, ...)
  return add(native.timer_start, delay, fn, false, ...)
end

function _M.timer_every(delay, fn, ...)
  return add(native.timer_start, delay, fn, true, ...)
end

_M.timer_counts = native.timer_counts -- pending, running

-- Called by C in the timer's task.
native.set_timer_main(function(id, premature)
  local timer = timers[id]
  if premature or not timer.repeats then
    timers[id] = nil
  end
  return timer.fn(premature, unpack(timer, 1, timer.n))
end)

return _M

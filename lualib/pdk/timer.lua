-- kong.timer: timers with names. The functions run as fn(premature, ...), in a task without a request.
-- Names are for logs elsewhere; here they only must be given.

local wait = require("moongate.abi.wait")

local _M = {}

local function check(delay, fn)
  if type(delay) ~= "number" or delay < 0 then
    error("delay must be a number of seconds, 0 or more", 3)
  elseif type(fn) ~= "function" then
    error("callback must be a function", 3)
  end
end

--- Runs fn once after `delay` seconds. All phases. Returns true, or nil and why.
function _M:at(delay, fn, ...)
  check(delay, fn)
  return wait.timer_at(delay, fn, ...)
end

--- Runs fn every `delay` seconds. All phases.
function _M:every(delay, fn, ...)
  check(delay, fn)
  return wait.timer_every(delay, fn, ...)
end

--- at, with a name.
function _M:named_at(name, delay, fn, ...)
  check(delay, fn)
  return wait.timer_at(delay, fn, ...)
end

--- every, with a name.
function _M:named_every(name, delay, fn, ...)
  check(delay, fn)
  return wait.timer_every(delay, fn, ...)
end

return _M

-- ngx.timer and ngx.sleep.

local wait = require "moongate.abi.wait"

local _M = {}

local LONGEST_S = 1e9 -- what C takes

local function check(delay, fn)
  if type(delay) ~= "number" then
    error("bad argument #1 (number expected, got " .. type(delay) .. ")", 3)
  elseif delay < 0 then
    error("delay must not be negative", 3)
  elseif delay > LONGEST_S or delay ~= delay then
    error(("delay too large: %g s"):format(delay), 3)
  elseif type(fn) ~= "function" then
    error("bad argument #2 (function expected, got " .. type(fn) .. ")", 3)
  end
end

function _M.fill(ngx)
  ngx.sleep = function(seconds)
    local n = tonumber(seconds)
    if not n then
      error("bad argument #1 to 'sleep' (number expected, got " .. type(seconds) .. ")", 2)
    elseif not (n >= 0 and n <= LONGEST_S) then
      error(('invalid sleep duration "%s"'):format(tostring(seconds)), 2)
    end
    wait.sleep(n)
  end
  ngx.timer = {
    at = function(delay, fn, ...)
      check(delay, fn)
      return wait.timer_at(delay, fn, ...)
    end,
    every = function(delay, fn, ...)
      check(delay, fn)
      if delay == 0 then
        error("delay cannot be zero", 2)
      end
      return wait.timer_every(delay, fn, ...)
    end,
    pending_count = function()
      return (wait.timer_counts())
    end,
    running_count = function()
      return (select(2, wait.timer_counts()))
    end,
  }
end

return _M

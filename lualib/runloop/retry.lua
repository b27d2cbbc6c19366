-- The next target by a plugin's word: what kong.service.set_target_retry_callback was given, called before each
-- attempt after the first. Not how often is tried (core).
-- Invariant: a callback that names no target ends the attempts, and why is logged once.

local exchange = require "moongate.abi.exchange"
local task = require "moongate.abi.task"

local _M = {}

local KEY = {} -- of the request's callback in task.get_extra

-- Takes the request's callback, of the plugin that runs; the last one counts.
function _M.set(callback)
  local held = task.get_extra(KEY)
  held.callback, held.record = callback, task.current()
  exchange.ask_on_retry()
end

-- The balancer chain of every route: runs only in requests with a callback.
function _M.run()
  local held = task.find_extra(KEY)
  if not held then
    return
  end
  task.set_current(held.record)
  local host, port = held.callback()
  if type(host) ~= "string" then
    error("set_target_retry_callback: its function gave no target: " .. tostring(port or host), 0)
  end
  local ok, err = exchange.set_target(host, tonumber(port) or exchange.port())
  task.set_current(nil)
  if not ok then
    error("set_target_retry_callback: " .. tostring(err), 0)
  end
end

return _M

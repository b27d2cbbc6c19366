-- The name guests know: require "kong.tools.yield": gives way to other requests within a long computation.

local phase = require("moongate.abi.phase")
local wait = require("moongate.abi.wait")

local _M = {}

local TURNS = 1000 -- calls from a loop until one of them gives way

local turns = 0

--- May code wait in this phase (by name; the current one when absent)?
function _M.in_yieldable_phase(name)
  if name == nil then
    return phase.may_wait()
  end
  return name == "rewrite" or name == "access" or name == "content" or name == "timer"
    or name == "ssl_certificate" or name == "ssl_client_hello"
end

--- Lets other requests run, where waiting is possible; from a loop (`in_loop`) every 1000th time.
function _M.yield(in_loop, name)
  if not _M.in_yieldable_phase(name) or not phase.may_wait() then
    return
  end
  if in_loop then
    turns = turns + 1
    if turns < TURNS then
      return
    end
    turns = 0
  end
  wait.sleep(0)
end

return _M

-- The name guests know: require "kong.tools.timestamp": the beginnings of the calendar's windows, in UTC.

local node = require("moongate.abi.node")
local windows = require("moongate.limits.windows")

local floor = math.floor

local _M = {}

function _M.get_utc()
  return floor(node.now())
end

function _M.get_utc_ms()
  return floor(node.now() * 1000)
end

--- {second=, minute=, hour=, day=, month=, year=}: where the windows that hold `now` (ms) begin, in ms.
function _M.get_timestamps(now)
  local at = (now or _M.get_utc_ms()) / 1000
  local out = {}
  for _, period in ipairs(windows.periods) do
    out[period] = windows.of(period, at) * 1000
  end
  return out
end

return _M

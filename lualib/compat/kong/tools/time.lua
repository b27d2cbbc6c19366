-- The name guests know: require "kong.tools.time": clocks. "Updated" ones read the clock now.

local node = require("moongate.abi.node")
local request = require("moongate.abi.request")

local floor = math.floor

local _M = {}

function _M.get_now()
  return node.now()
end

function _M.get_now_ms()
  return floor(node.now() * 1000)
end

function _M.get_updated_now()
  node.update_time()
  return node.now()
end

function _M.get_updated_now_ms()
  node.update_time()
  return floor(node.now() * 1000)
end

function _M.get_start_time_ms()
  return floor(request.start_time() * 1000)
end

function _M.get_updated_monotonic_ms()
  return floor(node.mono() * 1000)
end

function _M.get_updated_monotonic_ns()
  return node.mono() * 1e9
end

function _M.time_ns()
  node.update_time()
  return node.now() * 1e9
end

return _M

-- kong.nginx: what nginx would say of itself, said of this gateway.

local node = require("moongate.abi.node")

local _M = {}

--- "http". All phases.
function _M.get_subsystem()
  return "http"
end

--- Connections and requests of all workers since the start: connections_active, connections_reading,
-- connections_writing, connections_waiting, connections_accepted, connections_handled, total_requests. All phases.
function _M.get_statistics()
  local counts = node.connections()
  return {
    connections_active = counts.active,
    connections_reading = counts.reading,
    connections_writing = counts.writing,
    connections_waiting = counts.waiting,
    connections_accepted = counts.accepted,
    connections_handled = counts.handled,
    total_requests = counts.requests,
  }
end

return _M

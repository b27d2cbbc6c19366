-- The name guests know: require "kong.observability.tracing.request_id".

local phase = require("moongate.abi.phase")
local request = require("moongate.abi.request")

return {
  --- The request's identifier, or nil when there is no request.
  get = function()
    return phase.has_request() and request.id() or nil
  end,
}

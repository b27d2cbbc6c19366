-- kong.router: what the request matched. The tables are shared by all requests: read only.

local route = require("moongate.abi.route")
local phases = require("moongate.pdk.phases")

local check, AUTHENTICATED = phases.check, phases.AUTHENTICATED

local _M = {}

--- The route, or nil. phases: access to log.
function _M.get_route()
  check(AUTHENTICATED)
  return route.route()
end

--- The route's service, or nil. phases: access to log.
function _M.get_service()
  check(AUTHENTICATED)
  return route.service()
end

return _M

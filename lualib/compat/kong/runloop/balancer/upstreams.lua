-- The name guests know: require "kong.runloop.balancer.upstreams": which upstreams there are.

local route = require("moongate.abi.route")

local _M = {}

--- {[name] = id} of all upstreams.
function _M.get_all_upstreams()
  local out = {}
  for index = 0, route.count("upstream") - 1 do
    local upstream = route.entity("upstream", index)
    out[upstream.name] = upstream.id
  end
  return out
end

function _M.get_upstream_by_id(id)
  for index = 0, route.count("upstream") - 1 do
    local upstream = route.entity("upstream", index)
    if upstream.id == id then
      return upstream
    end
  end
  return false
end

function _M.get_upstream_by_name(name)
  local id = _M.get_all_upstreams()[name]
  return id and _M.get_upstream_by_id(id)
end

return _M

-- Health of upstreams' targets in the Admin API. What is healthy is the balancer's to say (abi/upstream), for all workers.

local entities_api = require("moongate.admin.entities_api")
local errors = require("moongate.admin.errors")
local kinds = require("moongate.admin.kinds")
local publish = require("moongate.admin.publish")
local upstreams = require("moongate.abi.upstream")

local _M = {}

--- GET /upstreams/{upstream}/targets/all
_M.all_targets = entities_api.collection_below(kinds.by_kind.upstreams, kinds.by_kind.targets, "upstream")

local function upstream_of(call)
  return publish.store():find("upstreams", call.params[1])
end

--- GET /upstreams/{upstream}/health[?balancer_health=1]: its targets with their health, or its own. What was written and is not in
--- use yet is not there.
function _M.upstream(call)
  local upstream = upstream_of(call)
  local text = upstream and upstreams.health_text(upstream.id, call.query.balancer_health == "1")
  return text and { status = 200, text = text } or errors.not_found()
end

--- PUT /upstreams/{upstream}/targets/{target}[/{address}]/healthy and .../unhealthy
function _M.set(verdict)
  return function(call)
    local upstream = upstream_of(call)
    local target = upstream and publish.store():find_below("targets", call.params[2], "upstream", upstream.id)
    if not target then
      return errors.not_found()
    end
    local ok, why = upstreams.set_health(upstream.id, target.target, call.params[3], verdict == "healthy")
    return ok and { status = 204 } or errors.message(400, tostring(why))
  end
end

return _M

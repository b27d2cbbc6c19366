-- The health of Upstreams' targets: what it is, and setting it by hand. Of the configuration in use,
-- for all workers. Not balancing itself, which is C's (runtime/core/balancer.h).

local c = require "moongate.abi.c"
local json = require "moongate.abi.json"

local native = c.native

local _M = {}

-- health(upstream) -> {data = {{target, weight, health, data = {addresses = {...}}}, ...}, node_id},
-- as Kong's GET /upstreams/{upstream}/health; or nil and why. upstream: name or id.
-- With `summary`, {data = {health, details = {weight}}, node_id}: the Upstream as a whole.
function _M.health(upstream, summary)
  local text, err = native.upstream_health(upstream, summary)
  if not text then
    return nil, err
  end
  return json.decode(text)
end

-- The same as JSON text.
_M.health_text = native.upstream_health

-- set_health(upstream, target, address | nil, healthy): target is an id or "host:port" as configured,
-- address "ip:port" (nil: all of the target's). true, or nil and why.
_M.set_health = native.upstream_set_health

-- export(whether): /metrics of this worker shows kong_upstream_target_health.
_M.export = native.upstream_metrics

return _M

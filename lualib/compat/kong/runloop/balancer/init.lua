-- The name guests know: require "kong.runloop.balancer". Targets' health is the gateway's own; plugins do not see it.

local upstreams = require("kong.runloop.balancer.upstreams")

return {
  get_all_upstreams = upstreams.get_all_upstreams,
  get_upstream_by_id = upstreams.get_upstream_by_id,
  get_upstream_by_name = upstreams.get_upstream_by_name,
  --- nil: nothing is known.
  get_upstream_health = function()
    return nil
  end,
}

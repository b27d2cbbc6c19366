-- Counters in this node's shared memory: exact over all its workers.

local shdict = require "moongate.abi.shdict"

local NAME = "kong_rate_limiting_counters"

local handle

local _M = {}

-- take(conf, key, plan) -> taken, used[] | nil, why. plan: starts, lengths (s), limits, n, cost (1 when nil;
-- 0 only looks).
function _M.take(_, key, plan)
  handle = handle or shdict.find(NAME)
  if not handle then
    return nil, "shared dictionary " .. NAME .. " is missing"
  end
  return shdict.limit_take(handle, key, plan.cost or 1, plan.starts, plan.lengths, plan.limits)
end

return _M

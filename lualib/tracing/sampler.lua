-- Whether a trace is recorded: by what its parent says, else by chance. The chance is taken from the
-- trace's identifier, so that all who use the same rate decide alike.

local _M = {}

-- 0 up to 1, from the last 6 bytes.
local function position(trace_id)
  local n = 0
  for i = 11, 16 do
    n = n * 256 + trace_id:byte(i)
  end
  return n / 2 ^ 48
end

function _M.by_chance(rate, trace_id)
  return rate >= 1 or (rate > 0 and position(trace_id) < rate)
end

-- parent: true, false, or nil when nothing is known. strategy: "parent_drop_probability_fallback" (a parent that
-- is not recorded decides) or "parent_probability_fallback" (any parent decides).
function _M.decide(strategy, rate, trace_id, parent)
  if parent == false or (parent == true and strategy == "parent_probability_fallback") then
    return parent
  end
  return _M.by_chance(rate, trace_id)
end

return _M

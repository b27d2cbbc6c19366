-- The usual AI request in one step in C (abi_ai.c): same format on both sides, nothing odd about it.
-- Not the rules for what is odd, nor any refusal: plugins/ai-proxy.

local c = require "moongate.abi.c"
local exchange = require "moongate.abi.exchange"

local C, native, u32 = c.C, c.native, c.u32
local band = require("bit").band

local _M = {}

-- plan{shape, foreign, model, model_raw, label, host, port, https, path, header_name, header_value,
-- allow_override, options = {name, raw, ...}, dropped, body_max_bytes, replace_model, may_stream,
-- stream_denied, stream_always, ask_usage, statistics, plugin_id, provider} -> a plan for apply. Texts; absent ones are nil.
_M.plan = native.ai_plan

-- Does all of it, waiting for the body, or nothing. true when done, then whether it is a stream,
-- whether the client asked for usage, whether another plugin logs; false: not usual.
function _M.apply(plan, body_max_bytes)
  local code = C.mg_ai_apply(plan, u32)
  if code == C.MG_AI_NEEDS_BODY then
    if not exchange.read_body(body_max_bytes) then
      return false
    end
    code = C.mg_ai_apply(plan, u32)
  end
  if code ~= C.MG_OK then
    return false
  end
  local flags = u32[0]
  return true, band(flags, C.MG_AI_STREAM) ~= 0, band(flags, C.MG_AI_USAGE_ASKED) ~= 0,
    band(flags, C.MG_AI_LOGGED) ~= 0
end

return _M

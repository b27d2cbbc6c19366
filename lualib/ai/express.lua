-- Which configurations of ai-proxy may take the usual request's way through C, and the plan for it.
-- It is NOT a second definition of what ai-proxy does: plan.lua and request.lua are; a spec holds
-- the two ways against each other.

local ai = require "moongate.abi.ai"

local _M = {}

local SHAPES = {
  ["llm/v1/chat"] = { "messages", "prompt" },
  ["llm/v1/completions"] = { "prompt", "messages" },
  ["llm/v1/embeddings"] = { "input", nil },
}

-- Configurations that need more than the usual way does: translation, payloads, a credential
-- outside of the headers, a query, a model that the client chooses or that renames max_tokens.
local function is_usual(plan)
  return SHAPES[plan.route_type] ~= nil
    and plan.format == "openai" and plan.client_format == "openai" and not plan.bridge
    and not plan.payloads and plan.name_header
    and plan.provider ~= "azure" and not plan.target.query
    and not plan.auth.param_name
    and plan.model ~= nil
    and not (plan.drops_max_tokens and (plan.model:find("^o%d") or plan.model:find("^gpt%-5")))
    and #plan.drop <= 1
    and not plan.options.input_cost -- the log in C knows no prices
end

-- The plan for moongate.abi.ai.apply, or nil. plugin_id is for the log.
function _M.build(plan, plugin_id)
  if not is_usual(plan) then
    return nil
  end
  local options = {}
  for _, option in ipairs(plan.overrides) do
    options[#options + 1] = option.name
    options[#options + 1] = option.raw
  end
  local shape, target, auth = SHAPES[plan.route_type], plan.target, plan.auth
  return ai.plan({
    plugin_id = plugin_id,
    provider = plan.provider,
    shape = shape[1],
    foreign = shape[2],
    body_max_bytes = plan.body_max_bytes,
    model = plan.model,
    model_raw = plan.model_raw,
    replace_model = plan.replace_model,
    label = plan.model_label,
    host = target.host,
    port = target.port,
    https = target.scheme == "https",
    path = target.path,
    header_name = auth.header_name,
    header_value = auth.header_value,
    allow_override = auth.allow_override,
    options = options,
    dropped = plan.drop[1],
    may_stream = plan.route_type ~= "llm/v1/embeddings",
    stream_denied = plan.streaming == "deny",
    stream_always = plan.streaming == "always",
    ask_usage = plan.must_ask_usage,
    statistics = plan.statistics,
  })
end

return _M

-- Token counts, times and cost of one answer, as logs and metrics show them.
-- It is NOT the reader of usage (a tap in C, or anthropic/values.lua) and stores nothing.
-- Invariant: a count the provider did not report is an estimate and is flagged as one.

local _M = {}

local PER = 1e6 -- prices are per million tokens
local BYTES_PER_TOKEN = 4

local function factor_by(list, matches)
  local best
  for _, row in ipairs(type(list) == "table" and list or {}) do
    if matches(row) and (not best or (row.above or 0) > (best.above or 0)) then
      best = row
    end
  end
  return best
end

-- Price of the tokens written to the provider's cache; rows of the list name it by time to live.
local function write_cost(counts, options, written)
  local default = options.cache_write_cost or options.input_cost
  local prices = {}
  for _, row in ipairs(options.cache_write_cost_list or {}) do
    prices[row.ttl] = row.cost
  end
  local hour = math.min(counts.cache_write_1h_tokens or 0, written)
  return hour * (prices["1h"] or default) + (written - hour) * (prices["5m"] or default)
end

-- Price of the tokens in the currency of the options, or nil when a price is missing.
-- counts = {prompt_tokens, completion_tokens, cached_tokens, cache_write_tokens,
-- cache_write_1h_tokens}.
function _M.cost(counts, options, service_tier)
  local input_cost, output_cost = options.input_cost, options.output_cost
  if not input_cost or not output_cost then
    return nil
  end
  local prompt = counts.prompt_tokens or 0
  local window = factor_by(options.context_window_factor, function(row)
    return prompt > row.above
  end)
  local tier = factor_by(options.service_tier_factor, function(row)
    return row.tier == service_tier
  end)
  local cached = options.cache_read_cost and math.min(counts.cached_tokens or 0, prompt) or 0
  local written = math.min(counts.cache_write_tokens or 0, prompt - cached)
  local input = (prompt - cached - written) * input_cost
    + cached * (options.cache_read_cost or 0) + write_cost(counts, options, written)
  local output = (counts.completion_tokens or 0) * output_cost
  local total = input * (window and window.input_factor or 1)
    + output * (window and window.output_factor or 1)
  return total * (tier and tier.factor or 1) / PER
end

-- Fills counts the provider did not report: four bytes of the request or of the answer's text make
-- a token; without a count of bytes an event of a stream is one. hints = {request_bytes}.
-- Returns counts, whether anything was estimated.
function _M.complete(tap, hints)
  local prompt, completion = tap.prompt_tokens, tap.completion_tokens
  local estimated = not prompt or not completion
  prompt = prompt or math.ceil((hints.request_bytes or 0) / BYTES_PER_TOKEN)
  completion = completion
    or tap.content_bytes and math.ceil(tap.content_bytes / BYTES_PER_TOKEN)
    or tap.stream and tap.events or 0
  return {
    prompt_tokens = prompt,
    completion_tokens = completion,
    total_tokens = tap.total_tokens and not estimated and tap.total_tokens or prompt + completion,
    cached_tokens = tap.cached_tokens,
    cache_write_tokens = tap.cache_write_tokens,
    cache_write_1h_tokens = tap.cache_write_1h_tokens,
    reasoning_tokens = tap.reasoning_tokens,
  }, estimated
end

-- The `usage` part of the log. latency_ms is the time from sending the request to the last byte.
function _M.usage(counts, estimated, tap, latency_ms, cost)
  local completion = counts.completion_tokens
  return {
    prompt_tokens = counts.prompt_tokens,
    completion_tokens = completion,
    total_tokens = counts.total_tokens,
    time_per_token = completion > 0 and latency_ms / completion or 0,
    time_to_first_token = tap.stream and tap.first_event_ms or nil,
    cost = cost,
    prompt_tokens_details = counts.cached_tokens
      and { cached_tokens = counts.cached_tokens } or nil,
    completion_tokens_details = counts.reasoning_tokens
      and { reasoning_tokens = counts.reasoning_tokens } or nil,
    estimated = estimated or nil,
  }
end

-- The `meta` part of the log. call = {plugin_id, model, stream}; plan as plan.lua builds it.
function _M.meta(plan, call, tap, latency_ms)
  local options = plan.options
  local azure = plan.provider == "azure"
  return {
    plugin_id = call.plugin_id,
    provider_name = plan.provider,
    request_model = call.model,
    response_model = tap.model or call.model,
    llm_latency = latency_ms,
    request_mode = call.stream and "stream" or "oneshot",
    azure_instance_id = azure and options.azure_instance or nil,
    azure_deployment_id = azure and options.azure_deployment_id or nil,
    azure_api_version = azure and (options.azure_api_version or "2023-05-15") or nil,
  }
end

return _M

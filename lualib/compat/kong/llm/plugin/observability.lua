-- The name guests know: require "kong.llm.plugin.observability": numbers of an AI request, in its ctx.

local ngx = require("moongate.ngx")

local _M = {}

local KEY, START = "ai_llm_metrics", "ai_llm_request_start_time"

local known = {
  llm_tpot_latency = true, llm_e2e_latency = true, llm_prompt_tokens_count = true, llm_completion_tokens_count = true,
  llm_total_tokens_count = true, llm_usage_cost = true,
}

local function numbers()
  local out = ngx.ctx[KEY]
  if not out then
    out = {}
    ngx.ctx[KEY] = out
  end
  return out
end

local function check(name)
  if not known[name] then
    error("metric not registered: " .. tostring(name), 3)
  end
end

--- Makes a name known. true, or nil and why.
function _M.metrics_register(name)
  if known[name] then
    return nil, "key already registered: " .. name
  end
  known[name] = true
  return true
end

function _M.metrics_set(name, value)
  check(name)
  numbers()[name] = value
  return true
end

function _M.metrics_add(name, by)
  check(name)
  numbers()[name] = (numbers()[name] or 0) + by
  return true
end

--- A number; 0 when nobody has set it. Totals and times per token are computed.
function _M.metrics_get(name)
  check(name)
  local all = numbers()
  if name == "llm_total_tokens_count" and not all[name] then
    return (all.llm_prompt_tokens_count or 0) + (all.llm_completion_tokens_count or 0)
  elseif name == "llm_tpot_latency" and not all[name] then
    local tokens = all.llm_completion_tokens_count or 0
    return tokens > 0 and (all.llm_e2e_latency or 0) / tokens or 0
  end
  return all[name] or 0
end

function _M.record_request_start()
  ngx.ctx[START] = ngx.ctx[START] or ngx.now()
  return true
end

--- Seconds since record_request_start, kept as llm_e2e_latency in milliseconds.
function _M.record_request_end()
  local start = ngx.ctx[START]
  if not start then
    return 0
  end
  local seconds = ngx.now() - start
  _M.metrics_set("llm_e2e_latency", math.floor(seconds * 1000))
  return seconds
end

return _M

-- rate-limiting: fixed calendar windows for a consumer, credential, IP, service, header or path.
-- A request takes from all its windows or from none, in one atomic step that also decides: no
-- concurrency admits more than the limit.
-- Not: token budgets of LLMs.

local node = require "moongate.abi.node"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"
local request = require "moongate.abi.request"
local windows = require "moongate.limits.windows"

local kong = kong
local floor, max = math.floor, math.max

local RateLimiting = {
  PRIORITY = 910,
  VERSION = "3.14.0",
}

local POLICIES = {
  ["local"] = "moongate.limits.shared",
  cluster = "moongate.limits.shared",
  redis = "moongate.limits.redis",
}

-- conf -> what is derived from it once: periods, limits, header names, policy.
local plans = setmetatable({}, { __mode = "k" })

local function build(conf)
  local plan = { periods = {}, limits = {}, limit_headers = {}, remaining_headers = {}, n = 0,
    starts = {}, lengths = {}, limit_texts = {} }
  for _, period in ipairs(windows.periods) do
    local limit = conf[period]
    if limit then
      local n = plan.n + 1
      local name = period:sub(1, 1):upper() .. period:sub(2)
      plan.n, plan.periods[n], plan.limits[n] = n, period, limit
      plan.limit_texts[n] = ("%d"):format(limit)
      plan.limit_headers[n] = "X-RateLimit-Limit-" .. name
      plan.remaining_headers[n] = "X-RateLimit-Remaining-" .. name
    end
  end
  plan.take = require(POLICIES[conf.policy]).take
  plans[conf] = plan
  return plan
end

local function by_consumer()
  local consumer = route.consumer()
  return consumer and consumer.id
end

local function by_credential()
  local credential = route.credential()
  return credential and credential.id
end

local IDENTIFIERS = {
  consumer = function()
    return by_consumer() or by_credential()
  end,
  ["consumer-group"] = function()
    return by_consumer() or by_credential()
  end,
  credential = by_credential,
  service = function()
    local service = route.service()
    return service and service.id
  end,
  header = function(conf)
    return request.header(conf.header_name)
  end,
  path = function(conf)
    return request.path() == conf.path and conf.path or nil
  end,
  ip = function()
    return nil
  end,
}

-- Whose counters, within the plugin's scope.
local function key_of(conf)
  local who = IDENTIFIERS[conf.limit_by](conf) or request.client_ip()
  return (conf.__plugin_id or "") .. ":" .. who
end

local function set_headers(plan, used, taken, now)
  local tightest, least, reset = 1, math.huge, 1
  for i = 1, plan.n do
    local left = max(0, floor(plan.limits[i] - used[i]))
    response.set_header(plan.limit_headers[i], plan.limit_texts[i])
    response.set_header(plan.remaining_headers[i], ("%d"):format(left))
    if left < least then
      tightest, least = i, left
      reset = max(1, floor(plan.starts[i] + plan.lengths[i] - now))
    end
  end
  local reset_text = ("%d"):format(reset)
  response.set_header("RateLimit-Limit", plan.limit_texts[tightest])
  response.set_header("RateLimit-Remaining", ("%d"):format(least))
  response.set_header("RateLimit-Reset", reset_text)
  if not taken then
    response.set_header("Retry-After", reset_text)
  end
end

function RateLimiting:access(conf)
  local plan = plans[conf] or build(conf)
  local now = node.now()
  for i = 1, plan.n do
    plan.starts[i], plan.lengths[i] = windows.of(plan.periods[i], now)
  end
  local taken, used = plan.take(conf, key_of(conf), plan)
  if taken == nil then
    if conf.fault_tolerant then
      kong.log.err("rate-limiting: cannot count, letting the request pass: ", used)
      return
    end
    error("rate-limiting: cannot count: " .. tostring(used))
  end
  if not conf.hide_client_headers then
    set_headers(plan, used, taken, now)
  end
  if not taken then
    return kong.response.error(conf.error_code, conf.error_message)
  end
end

return RateLimiting

-- rate-limiting: fixed calendar windows for a consumer, credential, IP, service, header or path.
-- A request takes from all its windows or from none, in one atomic step that also decides: no
-- concurrency admits more than the limit.
-- Not: token budgets of LLMs.

local crypto = require "moongate.abi.crypto"
local json = require "moongate.abi.json"
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

-- conf -> what is derived from it once: periods, limits, header names, policy. `starts` and `lengths`
-- are of the request that runs; a policy that waits copies what it needs first.
local plans = setmetatable({}, { __mode = "k" })

local function add_window(plan, period, limit)
  local n = plan.n + 1
  local name = period:sub(1, 1):upper() .. period:sub(2)
  plan.n, plan.periods[n], plan.limits[n] = n, period, limit
  plan.limit_texts[n] = ("%d"):format(limit)
  plan.limit_headers[n] = "X-RateLimit-Limit-" .. name
  plan.remaining_headers[n] = "X-RateLimit-Remaining-" .. name
end

local function build(conf)
  local plan = { periods = {}, limits = {}, limit_headers = {}, remaining_headers = {}, n = 0,
    starts = {}, lengths = {}, limit_texts = {} }
  for _, period in ipairs(windows.periods) do
    if conf[period] then
      add_window(plan, period, conf[period])
    end
  end
  plan.scope = (conf.__plugin_id or "") .. ":"
  plan.take = require(POLICIES[conf.policy]).take
  plans[conf] = plan
  return plan
end

-- Whose counters ---------------------------------------------------------------------------------

local function by_credential()
  local credential = route.credential()
  return credential and credential.id
end

local function by_consumer()
  local consumer = route.consumer()
  return consumer and consumer.id or by_credential()
end

-- The groups of the generation that was asked last.
local groups = {}

local function by_group()
  local consumer = route.consumer()
  local number = consumer and consumer.consumer_groups and consumer.consumer_groups[1] -- 1-based
  if not number then
    return by_consumer()
  end
  local generation = route.generation()
  if groups.generation ~= generation then
    groups.generation, groups.list = generation, json.decode(route.raw("consumer_groups"))
  end
  local group = groups.list[number]
  return group and group.id or by_consumer()
end

local IDENTIFIERS = {
  consumer = by_consumer,
  ["consumer-group"] = by_group,
  credential = by_credential,
  service = function()
    local service = route.service()
    return service and service.id
  end,
  -- Hashed: the value may be long, or a secret, or look like somebody's address.
  header = function(conf)
    local value = request.header(conf.header_name)
    return value and crypto.hex(crypto.sha256(value))
  end,
  path = function(conf)
    return request.path() == conf.path and conf.path or nil
  end,
  ip = function()
    return nil
  end,
}

local function key_of(conf, plan)
  return plan.scope .. (IDENTIFIERS[conf.limit_by](conf) or request.client_ip())
end

-- What the client is told ------------------------------------------------------------------------

-- RateLimit-* speak of the window with the least left; of equal ones, the longest.
local function set_headers(plan, used, taken, now)
  local tightest, least = 1, math.huge
  for i = 1, plan.n do
    local left = max(0, floor(plan.limits[i] - used[i]))
    response.set_header(plan.limit_headers[i], plan.limit_texts[i])
    response.set_number(plan.remaining_headers[i], left)
    if left <= least then
      tightest, least = i, left
    end
  end
  local start, length = windows.of(plan.periods[tightest], now)
  local reset = max(1, length - floor(now - start))
  response.set_header("RateLimit-Limit", plan.limit_texts[tightest])
  response.set_number("RateLimit-Remaining", least)
  response.set_number("RateLimit-Reset", reset)
  if not taken then
    response.set_number("Retry-After", reset)
  end
end

-- Counting failed: the request passes, or fails where that is configured.
local function uncounted(conf, why, reported)
  if not conf.fault_tolerant then
    error("rate-limiting: cannot count: " .. tostring(why))
  elseif not reported then
    kong.log.err("cannot count, letting requests pass: ", why)
  end
end

function RateLimiting:access(conf)
  local plan = plans[conf] or build(conf)
  local now = node.now()
  for i = 1, plan.n do
    plan.starts[i], plan.lengths[i] = windows.of(plan.periods[i], now)
  end
  local taken, used, reported = plan.take(conf, key_of(conf, plan), plan)
  if taken == nil then
    return uncounted(conf, used, reported)
  end
  if not conf.hide_client_headers then
    set_headers(plan, used, taken, now)
  end
  if not taken then
    return kong.response.error(conf.error_code, conf.error_message)
  end
end

return RateLimiting

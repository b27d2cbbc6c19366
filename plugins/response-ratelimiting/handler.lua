-- response-ratelimiting: limits units that the upstream names in a header of its response, such as
-- "X-Kong-Limit: videos=2, images=1", per client and calendar window.
-- In shared memory a response's units are taken in one atomic step before the client gets it. Redis cannot be asked
-- then: the usage found in access decides, and units are counted after the response, so it can overshoot.
-- Not limits on requests (rate-limiting).

local exchange = require "moongate.abi.exchange"
local node = require "moongate.abi.node"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"
local wait = require "moongate.abi.wait"
local windows = require "moongate.limits.windows"

local kong = kong
local floor, format, max = math.floor, string.format, math.max
local gmatch, match = string.gmatch, string.match

local ResponseRateLimiting = {
  PRIORITY = 900,
  VERSION = "3.14.0",
  OPTIONAL = { header_filter = true, log = true },
}

local POLICIES = {
  ["local"] = "moongate.limits.shared",
  cluster = "moongate.limits.shared",
  redis = "moongate.limits.redis",
}
local REFUSAL = "API rate limit exceeded"
local NO_LIMIT = 2 ^ 52

local plans = setmetatable({}, { __mode = "k" }) -- conf -> {scope, take, waits, limits = {one per name}}

-- One name's windows: {name, n, periods, limits, ...header names}.
local function build_limit(name, given)
  local one = { name = name, n = 0, periods = {}, limits = {}, limit_headers = {}, remaining_headers = {} }
  for _, period in ipairs(windows.periods) do
    if given[period] then
      local n = one.n + 1
      one.n, one.periods[n], one.limits[n] = n, period, given[period]
      local title = period:sub(1, 1):upper() .. period:sub(2)
      one.limit_headers[n] = format("X-RateLimit-Limit-%s-%s", name, title)
      one.remaining_headers[n] = format("X-RateLimit-Remaining-%s-%s", name, title)
    end
  end
  one.upstream_header = "X-RateLimit-Remaining-" .. name
  return one
end

local function build(conf)
  local names, plan = {}, { limits = {} }
  for name in pairs(conf.limits) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    plan.limits[i] = build_limit(name, conf.limits[name])
  end
  plan.scope = (conf.__plugin_id or "") .. ":"
  plan.take = require(POLICIES[conf.policy]).take
  plan.waits = conf.policy == "redis"
  plans[conf] = plan
  return plan
end

local function identifier(conf)
  local credential = route.credential()
  if conf.limit_by == "credential" then
    return credential and credential.id or request.client_ip()
  elseif conf.limit_by == "consumer" then
    local consumer = route.consumer()
    return consumer and consumer.id or credential and credential.id or request.client_ip()
  end
  return request.client_ip()
end

-- Takes `cost` units of one name (0: only looks). `limits`: what may be used then. As limits/*.take.
local function take(conf, plan, who, one, cost, limits)
  local now, starts, lengths = node.now(), {}, {}
  for i = 1, one.n do
    starts[i], lengths[i] = windows.of(one.periods[i], now)
  end
  return plan.take(conf, plan.scope .. who .. ":" .. one.name, { n = one.n, periods = one.periods, limits = limits,
    starts = starts, lengths = lengths, cost = cost })
end

-- Before the upstream ----------------------------------------------------------------------------

-- What is left of one name in its fullest window.
local function least(one, used)
  local left = math.huge
  for i = 1, one.n do
    left = math.min(left, max(0, floor(one.limits[i] - used[i])))
  end
  return left
end

-- Usage by name; nil when it cannot be had.
local function look(conf, plan, who)
  local usage = {}
  for _, one in ipairs(plan.limits) do
    local taken, used, reported = take(conf, plan, who, one, 0, one.limits)
    if taken == nil then
      if not conf.fault_tolerant then
        error("response-ratelimiting: cannot count: " .. tostring(used))
      elseif not reported then
        kong.log.err("cannot count, letting requests pass: ", used)
      end
      return nil
    end
    usage[one.name] = used
  end
  return usage
end

function ResponseRateLimiting:access(conf)
  local plan = plans[conf] or build(conf)
  local who = identifier(conf)
  local usage = look(conf, plan, who)
  if not usage then
    return
  end
  for _, one in ipairs(plan.limits) do
    local left = least(one, usage[one.name])
    if left == 0 and conf.block_on_first_violation then
      return kong.response.error(429, REFUSAL)
    end
    request.set_header(one.upstream_header, format("%d", left))
  end
  local own = kong.ctx.plugin
  own.who, own.usage = who, usage
  exchange.want("header_filter")
end

-- After it ---------------------------------------------------------------------------------------

-- Units by name out of "videos=2, images": a name alone is one unit; what is no whole number is none.
local function units_of(text)
  local out = {}
  for part in gmatch(text or "", "[^,]+") do
    local name, value = match(part, "^%s*([^=]-)%s*=%s*(.-)%s*$")
    name = name or match(part, "^%s*(.-)%s*$")
    local units = value == nil and 1 or tonumber(value)
    if units and units > 0 and units < NO_LIMIT and units % 1 == 0 then
      out[name] = (out[name] or 0) + units
    end
  end
  return out
end

-- Takes the units of one name now, unless a window is used up already. taken, used[].
local function take_now(conf, plan, own, one, units)
  local limits = {}
  for i = 1, one.n do
    limits[i] = math.ceil(one.limits[i]) + units - 1 -- the last unit left may be overdrawn, as Kong does
  end
  return take(conf, plan, own.who, one, units, limits)
end

-- Redis: what access saw decides.
local function decide_by_usage(own, one, units)
  local used, after, taken = own.usage[one.name], {}, true
  for i = 1, one.n do
    taken = taken and (units == 0 or used[i] < one.limits[i])
    after[i] = used[i] + units
  end
  return taken, taken and after or used
end

local function tell(one, used)
  for i = 1, one.n do
    response.set_header(one.limit_headers[i], format("%d", one.limits[i]))
    response.set_header(one.remaining_headers[i], format("%d", max(0, floor(one.limits[i] - used[i]))))
  end
end

function ResponseRateLimiting:header_filter(conf)
  local plan, own = plans[conf] or build(conf), kong.ctx.plugin
  if not own.usage then
    return
  end
  local units = units_of(exchange.upstream_header(conf.header_name))
  response.clear_header(conf.header_name)
  local stop = false
  for _, one in ipairs(plan.limits) do
    local cost = units[one.name] or 0
    local taken, used = true, own.usage[one.name]
    if plan.waits then
      taken, used = decide_by_usage(own, one, cost)
    elseif cost > 0 then
      taken, used = take_now(conf, plan, own, one, cost)
    end
    stop = stop or not taken
    if not conf.hide_client_headers then
      tell(one, used)
    end
  end
  if stop then
    return kong.response.exit(429, { message = REFUSAL })
  elseif plan.waits and next(units) then
    own.units = units
    exchange.want("log")
  end
end

local function count_later(premature, conf, who, units)
  local plan = plans[conf] or build(conf)
  for _, one in ipairs(plan.limits) do
    local cost = units[one.name]
    if cost then
      local limits = {}
      for i = 1, one.n do
        limits[i] = NO_LIMIT
      end
      local taken, why, reported = take(conf, plan, who, one, cost, limits)
      if taken == nil and not reported then
        kong.log.err("cannot count ", one.name, ": ", why)
      end
    end
  end
end

function ResponseRateLimiting:log(conf)
  local own = kong.ctx.plugin
  if own.units then
    local ok, err = wait.timer_at(0, count_later, conf, own.who, own.units)
    if not ok then
      kong.log.err("cannot count: ", err)
    end
  end
end

return ResponseRateLimiting

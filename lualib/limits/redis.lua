-- Counters in Redis: exact over all gateways that share it. One script a request decides and counts
-- in one step on the server, so no round trip lies between reading and writing.
-- A server that failed is not asked again for a second, so that its timeout is not every request's.
-- Invariant: nothing of the shared plan is read after the first wait.

local node = require "moongate.abi.node"
local redis = require "moongate.redis.client"

local _M = {}

local POOL_IDLE_MS, POOL_SIZE = 60000, 64
local REST_S = 1 -- after a failure
local TRIES = 2  -- a pooled connection may have died unnoticed

-- KEYS: a counter for each window. ARGV: limit and time to live (s) for each, in turn; the cost.
-- Answers 1 or 0 (taken), then the counters.
local SCRIPT = [[
local used, full, cost = {}, false, tonumber(ARGV[#ARGV])
for i = 1, #KEYS do
  used[i] = tonumber(redis.call("GET", KEYS[i]) or "0")
  full = full or used[i] + cost > tonumber(ARGV[2 * i - 1])
end
if full then return {0, unpack(used)} end
if cost == 0 then return {1, unpack(used)} end
for i = 1, #KEYS do
  used[i] = redis.call("INCRBY", KEYS[i], ARGV[#ARGV])
  if used[i] == cost then redis.call("EXPIRE", KEYS[i], ARGV[2 * i]) end
end
return {1, unpack(used)}
]]

-- Server's pool name -> {until_ (monotonic s), why}. As many as there are configured servers.
local resting = {}

-- What EVAL gets: the keys, then limit and life of each, then the cost.
local function arguments(key, plan)
  local args, n = {}, plan.n
  for i = 1, n do
    args[i] = ("ratelimit:{%s}:%d:%s"):format(key, plan.starts[i] * 1000, plan.periods[i])
    args[n + 2 * i - 1] = ("%.14g"):format(plan.limits[i])
    args[n + 2 * i] = ("%d"):format(plan.lengths[i])
  end
  args[3 * n + 1] = ("%.14g"):format(plan.cost or 1)
  return args
end

local function is_stale(client, err)
  return client:get_reused_times() ~= 0 and err ~= "timeout"
end

-- The script's answer; nil, why.
local function ask(r, pool, n, args)
  local answer, err
  for i = 1, TRIES do
    local client
    client, err = redis.connect(r, pool)
    if not client then
      return nil, err
    end
    answer, err = client:eval(SCRIPT, n, unpack(args))
    if answer then
      client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
      return answer
    end
    local again = answer == nil and i < TRIES and is_stale(client, err)
    client:close()
    if not again then
      break
    end
  end
  return nil, err
end

-- An answer as the script gives it: [taken, used...].
local function read(answer, n)
  if type(answer) ~= "table" or #answer ~= n + 1 then
    return nil, "unexpected answer"
  end
  local used = {}
  for i = 1, n do
    used[i] = tonumber(answer[i + 1])
    if not used[i] then
      return nil, "unexpected answer"
    end
  end
  return answer[1] == 1, used
end

-- take(conf, key, plan) -> taken, used[] | nil, why[, known: this has been reported already]. plan.cost: 1
-- when nil; 0 only looks.
function _M.take(conf, key, plan)
  local r, n = conf.redis, plan.n
  local pool = redis.pool_name(r)
  local rest = resting[pool]
  if rest and node.mono() < rest.until_ then
    return nil, rest.why, true
  end
  local answer, err = ask(r, pool, n, arguments(key, plan))
  local taken, used
  if answer then
    taken, used = read(answer, n)
    err = taken == nil and used or nil
  end
  if taken == nil then
    local why = ("redis %s:%s: %s"):format(tostring(r.host), tostring(r.port), tostring(err))
    resting[pool] = { until_ = node.mono() + REST_S, why = why }
    return nil, why
  end
  resting[pool] = nil
  return taken, used
end

return _M

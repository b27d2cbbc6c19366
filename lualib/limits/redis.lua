-- Counters in Redis: exact over all gateways that share it. One script a request decides and counts
-- in one step on the server, so no round trip lies between reading and writing.
-- The connection is pooled by server, user and database.

local redis = require "resty.redis"

local _M = {}

local POOL_IDLE_MS, POOL_SIZE = 60000, 64

-- KEYS: a counter for each window. ARGV: limit and time to live (s) for each, in turn.
-- Answers 1 or 0 (taken), then the counters.
local SCRIPT = [[
local used, full = {}, false
for i = 1, #KEYS do
  used[i] = tonumber(redis.call("GET", KEYS[i]) or "0")
  full = full or used[i] + 1 > tonumber(ARGV[2 * i - 1])
end
if full then return {0, unpack(used)} end
for i = 1, #KEYS do
  used[i] = redis.call("INCR", KEYS[i])
  if used[i] == 1 then redis.call("EXPIRE", KEYS[i], ARGV[2 * i]) end
end
return {1, unpack(used)}
]]

local function pool_name(r)
  return table.concat({ r.host, r.port, r.username or "", r.database, tostring(r.ssl) }, ":")
end

local function prepare(client, r)
  if client:get_reused_times() ~= 0 then
    return true
  end
  if r.password and r.password ~= "" then
    local ok, err
    if r.username and r.username ~= "" then
      ok, err = client:auth(r.username, r.password)
    else
      ok, err = client:auth(r.password)
    end
    if not ok then
      return nil, "authentication: " .. tostring(err)
    end
  end
  if r.database ~= 0 then
    local ok, err = client:select(r.database)
    if not ok then
      return nil, "database " .. r.database .. ": " .. tostring(err)
    end
  end
  return true
end

local function connect(r)
  local client = redis:new()
  client:set_timeout(r.timeout)
  local ok, err = client:connect(r.host, r.port, {
    pool = pool_name(r), ssl = r.ssl, ssl_verify = r.ssl_verify, server_name = r.server_name,
  })
  if ok then
    ok, err = prepare(client, r)
  end
  if not ok then
    client:close()
    return nil, "redis " .. tostring(r.host) .. ":" .. tostring(r.port) .. ": " .. tostring(err)
  end
  return client
end

local function arguments(key, plan)
  local keys, limits = {}, {}
  for i = 1, plan.n do
    keys[i] = ("ratelimit:{%s}:%d:%s"):format(key, plan.starts[i] * 1000, plan.periods[i])
    limits[2 * i - 1], limits[2 * i] = plan.limits[i], plan.lengths[i]
  end
  for i = 1, #limits do
    keys[#keys + 1] = limits[i]
  end
  return keys
end

-- take(conf, key, plan) -> taken, used[] | nil, why.
function _M.take(conf, key, plan)
  local args = arguments(key, plan) -- before any wait: the plan's windows are shared
  local client, err = connect(conf.redis)
  if not client then
    return nil, err
  end
  local answer
  answer, err = client:eval(SCRIPT, plan.n, unpack(args))
  if not answer then
    client:close()
    return nil, "redis: " .. tostring(err)
  end
  client:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
  local taken = table.remove(answer, 1) == 1
  return taken, answer
end

return _M

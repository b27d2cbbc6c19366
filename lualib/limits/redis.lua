-- Counters in Redis: exact over all gateways that share it. One script a request decides and counts
-- in one step on the server, so no round trip lies between reading and writing.
-- A server that failed is not asked again for a second, so that its timeout is not every request's.
-- Invariant: nothing of the shared plan is read after the first wait.

local crypto = require "moongate.abi.crypto"
local node = require "moongate.abi.node"
local redis = require "resty.redis"

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

local names = setmetatable({}, { __mode = "k" }) -- conf.redis -> name of its pool

-- Connections are shared by those who would have made the same: a password takes part, hashed.
local function pool_name(r)
  local name = names[r]
  if not name then
    name = table.concat({ r.host, r.port, r.username or "", crypto.hex(crypto.sha256(r.password or "")),
      r.database or 0, tostring(r.ssl), tostring(r.ssl_verify), r.server_name or "" }, ":")
    names[r] = name
  end
  return name
end

local function authenticate(client, r)
  if not r.password or r.password == "" then
    return true
  elseif r.username and r.username ~= "" then
    return client:auth(r.username, r.password)
  end
  return client:auth(r.password)
end

-- What a new connection needs before the first command.
local function prepare(client, r)
  if client:get_reused_times() ~= 0 then
    return true
  end
  local ok, err = authenticate(client, r)
  if not ok then
    return nil, "authentication: " .. tostring(err)
  end
  if r.database and r.database ~= 0 then
    ok, err = client:select(r.database)
    if not ok then
      return nil, "database " .. r.database .. ": " .. tostring(err)
    end
  end
  return true
end

local function handshake(client, r)
  if not r.ssl or client:get_reused_times() ~= 0 then
    return true
  end
  local ok, err = rawget(client, "_sock"):sslhandshake(nil, r.server_name or r.host, r.ssl_verify)
  return ok, err and "TLS: " .. tostring(err)
end

-- A client ready for a command; nil, why.
local function connect(r, pool)
  local client = redis:new()
  client:set_timeout(r.timeout)
  local ok, err = client:connect(r.host, tonumber(r.port), { pool = pool })
  if ok then
    ok, err = handshake(client, r)
  end
  if ok then
    ok, err = prepare(client, r)
  end
  if not ok then
    client:close()
    return nil, err
  end
  return client
end

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
    client, err = connect(r, pool)
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
  local pool = pool_name(r)
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

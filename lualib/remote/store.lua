-- Where gateways share their configuration in Redis: bundles by hash, which of them is current, a stream of changes, and who runs
-- what. A stream, not publish/subscribe: what was missed while disconnected is still there.
-- Not who follows it (follow.lua) nor who pushes (cli/config_push).
-- Invariant: `current` names a bundle that was stored before it.

local crypto = require "moongate.abi.crypto"
local json = require "moongate.util.json_encode"
local redis = require "moongate.redis.client"
local decode = require("cjson.safe").decode

local _M = {}

local KEEP_OLD_S = 7 * 24 * 3600 -- a bundle that is no longer current, for who wants to go back
local EVENTS_MAX = 1000
local NODE_GONE_S = 24 * 3600

--- The keys of a cluster. All have one hash tag, so that they live in one slot of a Redis Cluster.
function _M.keys(cluster)
  local prefix = "moongate:{" .. cluster .. "}:"
  return {
    current = prefix .. "current", events = prefix .. "events", nodes = prefix .. "nodes",
    bundle = prefix .. "bundle:", signature = prefix .. "signature:",
  }
end

--- Where config_redis and its settings point: {redis = for redis.client, cluster, keys}; or nil, why.
-- setting(name): their values.
function _M.source(setting)
  local server, why = redis.parse_url(setting("config_redis"))
  if not server then
    return nil, "config_redis: " .. why
  end
  local password, cluster = setting("config_redis_password"), setting("config_redis_cluster")
  server.ssl_verify = setting("tls_verify")
  server.password = password ~= "" and password or server.password
  return { redis = server, cluster = cluster, keys = _M.keys(cluster) }
end

-- The settings that a command line hands over, in this order (runtime/cli/remote.c).
local HANDED = { "config_redis", "config_redis_cluster", "config_redis_password", "tls_verify" }

--- A connection for one command line, whose first arguments say where (they are taken): fn(client, source)'s
-- three results; or nil, why.
function _M.with(args, fn)
  local values = {}
  for _, name in ipairs(HANDED) do
    values[name] = table.remove(args, 1)
  end
  values.tls_verify = values.tls_verify == "on"
  local source, why = _M.source(function(name)
    return values[name]
  end)
  local client
  if source then
    client, why = redis.connect(source.redis)
    why = not client and ("redis %s:%d: %s"):format(source.redis.host, source.redis.port, tostring(why))
  end
  if not client then
    return nil, why
  end
  local result, more, flag = fn(client, source)
  client:close()
  return result, more, flag
end

function _M.hash_of(bundle)
  return crypto.hex(crypto.sha256(bundle))
end

local null = ngx.null

local function get(client, key)
  local value, why = client:get(key)
  if value == nil or value == false then
    return nil, why
  end
  return value ~= null and value or false
end

--- The current hash, false when nothing was ever pushed; nil, why when Redis failed.
function _M.current(client, keys)
  return get(client, keys.current)
end

--- The bundle of a hash and its signature (false: none); nil, why.
function _M.bundle(client, keys, hash)
  local text, why = get(client, keys.bundle .. hash)
  if not text then
    return nil, why or "is not there"
  elseif _M.hash_of(text) ~= hash then
    return nil, "does not match its hash"
  end
  local signature
  signature, why = get(client, keys.signature .. hash)
  if signature == nil then
    return nil, why
  end
  return text, signature
end

--- The stream's last id, to wait from; nil, why.
function _M.last_event(client, keys)
  local list, why = client:xrevrange(keys.events, "+", "-", "COUNT", 1)
  if type(list) ~= "table" then
    return nil, why
  end
  return list[1] and list[1][1] or "0-0"
end

--- Waits at most block_ms for an event behind `id`: the last id, or `id` when there was none; nil, why.
function _M.wait(client, keys, id, block_ms)
  local answer, why = client:xread("BLOCK", block_ms, "COUNT", EVENTS_MAX, "STREAMS", keys.events, id)
  if answer == null then
    return id
  elseif type(answer) ~= "table" then
    return nil, why
  end
  local events = answer[1][2]
  return events[#events][1]
end

local function queue(client, keys, hash, bundle, signature, who)
  client:multi()
  local ok, why = client:set(keys.bundle .. hash, bundle)
  if ok and signature then
    ok, why = client:set(keys.signature .. hash, signature)
  end
  if ok then
    ok, why = client:set(keys.current, hash)
  end
  if ok then
    ok, why = client:xadd(keys.events, "MAXLEN", "~", EVENTS_MAX, "*", "hash", hash, "by", who)
  end
  if not ok then
    client:discard()
    return nil, why -- EXEC would only say that something was refused
  end
  return client:exec()
end

-- EXEC's answer holds one for each command; an error among them is {false, why}.
local function failure_in(answers)
  for _, one in ipairs(answers) do
    if type(one) == "table" and one[1] == false then
      return tostring(one[2])
    end
  end
end

--- Makes a bundle the current one. opts: signature, who, expect (hash that must be current; nil: whichever).
-- The new and the old hash (false: none); or nil, why, and whether somebody else was faster.
function _M.publish(client, keys, bundle, opts)
  local hash = _M.hash_of(bundle)
  local ok, why = client:watch(keys.current)
  local old
  if ok then
    old, why = _M.current(client, keys)
  end
  if old == nil or not ok then
    return nil, why
  elseif opts.expect and opts.expect ~= old then
    client:unwatch()
    return nil, ("the current configuration is %s"):format(old or "none"), true
  end
  local answers
  answers, why = queue(client, keys, hash, bundle, opts.signature, opts.who or "")
  if answers == null then
    return nil, "somebody else pushed at the same time", true
  elseif type(answers) ~= "table" or failure_in(answers) then
    return nil, why or failure_in(answers)
  end
  if old and old ~= hash then
    client:expire(keys.bundle .. old, KEEP_OLD_S)
    client:expire(keys.signature .. old, KEEP_OLD_S)
  end
  client:persist(keys.bundle .. hash)
  client:persist(keys.signature .. hash)
  return hash, old
end

--- Says what a node runs. node: {hash, version, hostname, at (s, wall clock)}. true; nil, why.
function _M.beat(client, keys, id, node)
  return client:hset(keys.nodes, id, json.encode(node))
end

--- What is known of the nodes, id -> node; who was not heard of for a day is forgotten. nil, why.
function _M.nodes(client, keys, now)
  local flat, why = client:hgetall(keys.nodes)
  if type(flat) ~= "table" then
    return nil, why
  end
  local nodes = {}
  for i = 1, #flat, 2 do
    local node = decode(flat[i + 1])
    if type(node) == "table" and type(node.at) == "number" and now - node.at < NODE_GONE_S then
      nodes[flat[i]] = node
    else
      client:hdel(keys.nodes, flat[i])
    end
  end
  return nodes
end

return _M

-- A gateway that takes its configuration from Redis: one worker waits for changes and writes each into a directory that the
-- master watches, as a mounted ConfigMap is. Checking, installing and reporting are the ordinary reload's.
-- Not who pushes (cli/config_push). Invariant: nothing missing or damaged in Redis ever takes away what is on disk.

local bundle = require "moongate.remote.bundle"
local crypto = require "moongate.abi.crypto"
local file = require "moongate.util.file"
local node = require "moongate.abi.node"
local redis = require "moongate.redis.client"
local stats = require "moongate.abi.stats"
local store = require "moongate.remote.store"
local wait = require "moongate.abi.wait"

local native = require("moongate.abi.c").native

local _M = {}

local BLOCK_MS = 30000     -- a wait for the stream; after it, `current` is looked at in any case
local SLACK_MS = 5000      -- what Redis may take beyond it
local BEAT_S = 10
local REST_S, REST_MORE_S = 1, 4 -- before a new connection, so that a fleet does not come at once
local LOG_ERR, LOG_WARN, LOG_NOTICE = 4, 5, 6

local NEVER_S = 1e8
local SETTLE_S = 2         -- until what was taken is in use, or refused

local connected = stats.gauge("moongate_config_remote_connected", "",
  "1 while the connection to config_redis is up")
local contact = stats.gauge("moongate_config_remote_last_contact_timestamp_seconds", "",
  "When config_redis answered last")

-- ---- what is said ----

local said -- the last trouble: said once, until it changes or is over
local unusable -- why what is in Redis was not taken: `config nodes` shows it

local function trouble(why, is_connected)
  stats.set(connected, is_connected and 1 or 0)
  if said ~= why then
    said = why
    node.log(is_connected and LOG_WARN or LOG_ERR, "config_redis: " .. why .. "; the configuration on disk stays in use")
  end
end

local function fine()
  stats.set(connected, 1)
  if said then
    said = nil
    node.log(LOG_NOTICE, "config_redis: back again")
  end
end

-- ---- telling the others ----

-- The first of the problems for which a configuration was refused.
local function first_error(problems)
  for line in problems:gmatch("[^\n]+") do
    if not line:find(": warning: ", 1, true) then
      return line
    end
  end
  return "it was refused"
end

-- Says what this node has. true; nil, why.
local function tell(source, client)
  local configuration, ok, problems = native.configuration()
  return store.beat(client, source.keys, node.node_id(), {
    hash = native.volume_content(source.dir) or "", configuration_hash = configuration,
    problem = unusable or not ok and first_error(problems) or nil,
    version = node.version(), hostname = node.hostname(), at = node.now(),
  })
end

local function beat(premature, source)
  if premature then
    return
  end
  local client = redis.connect(source.redis, redis.pool_name(source.redis))
  if not client then
    return -- follow() says why
  elseif tell(source, client) then
    client:set_keepalive(2 * BEAT_S * 1000, 1)
  else
    client:close()
  end
end

local function set_unusable(source, why)
  if unusable ~= why then
    unusable = why
    wait.timer_at(0, beat, source)
  end
end

-- ---- taking a bundle ----

-- Others have their turn between the steps, each of which takes its time for a large bundle.
local function breathe()
  wait.sleep(0)
end

-- Does the signature fit, where one is asked for? true; nil, why.
local function check_signature(source, text, signature)
  if not source.public_key then
    return true
  elseif not signature then
    return nil, "is not signed, and config_redis_public_key asks for a signature"
  end
  local raw = crypto.decode_base64(signature)
  if not raw or not crypto.verify("EdDSA", source.public_key, text, raw) then
    return nil, "has a signature that does not fit config_redis_public_key"
  end
  return true
end

-- Writes the bundle of that hash into the directory. true; nil, why.
local function take(source, client, hash)
  local text, signature = store.bundle(client, source.keys, hash)
  if not text then
    return nil, ("bundle %s %s"):format(hash, signature)
  end
  local ok, files, why
  breathe()
  ok, why = check_signature(source, text, signature)
  if ok then
    breathe()
    files, why = bundle.unpack(text, source.public_key ~= nil)
  end
  if not files then
    return nil, ("bundle %s %s"):format(hash, why)
  end
  breathe()
  ok, why = native.volume_replace(source.dir, hash, files)
  if not ok then
    return nil, ("%s cannot be written: %s"):format(source.dir, why)
  end
  node.log(LOG_NOTICE, ("config_redis: took %s"):format(hash))
  wait.timer_at(SETTLE_S, beat, source)
  return true
end

-- Looks what is current and takes it when it is not on disk. true, and what is odd about it; nil, why.
local function look(source, client)
  local hash, why = store.current(client, source.keys)
  if hash == nil then
    return nil, why
  elseif hash == false then
    return true, "nothing has been pushed to cluster '" .. source.cluster .. "', or Redis was emptied"
  elseif not hash:find("^%x+$") or #hash ~= 64 then
    return nil, "`current` holds no hash"
  elseif hash ~= native.volume_content(source.dir) then
    return take(source, client, hash)
  end
  return true
end

-- ---- the life of a connection ----

-- Follows until the connection ends or the worker does: why.
local function follow(source)
  local client, why = redis.connect(source.redis)
  if not client then
    return why
  end
  client:set_timeout(BLOCK_MS + SLACK_MS)
  local id
  id, why = store.last_event(client, source.keys)
  while id and not node.exiting() do
    local ok, what = look(source, client)
    stats.set(contact, node.now())
    set_unusable(source, not ok and what or nil)
    if ok and not what then
      fine()
    else
      trouble(what, true)
    end
    id, why = store.wait(client, source.keys, id, BLOCK_MS)
  end
  client:close()
  return why
end

local function rest()
  local byte = node.random_bytes(1):byte()
  return REST_S + REST_MORE_S * byte / 255
end

local ending -- the park of who waits for the state's end

local function wait_end()
  ending = wait.park_id()
  wait.park()
end

-- Runs at the end of the state: what waits for Redis is not waited for.
local function on_end(premature)
  if premature and ending then
    wait.unpark(ending)
  end
end

local function run(premature, source)
  if premature then
    return
  end
  local follower, end_waiter = wait.spawn(follow, source), wait.spawn(wait_end)
  local ok, why = wait.wait(follower, end_waiter)
  wait.kill(follower)
  wait.kill(end_waiter)
  ending = nil
  if not ok then
    set_unusable(source, tostring(why))
  end
  if why then
    trouble(tostring(why))
  end
  wait.timer_at(rest(), run, source)
end

-- ---- start ----

-- Reads the public key that signatures are checked with. true; nil, why.
local function add_key(source)
  local path = node.setting("config_redis_public_key")
  if path == "" then
    return true
  end
  local text, why = file.read(path)
  if text then
    source.public_key = crypto.public_key(text)
    why = path .. " holds no public key in PEM"
  end
  return source.public_key and true, "config_redis_public_key: " .. tostring(why)
end

--- Follows in this worker from now on, where config_redis is set. Called once for a Lua state.
function _M.start()
  if (node.setting("config_redis") or "") == "" or node.worker_id() ~= 0 then
    return
  end
  local source, why = store.source(node.setting)
  local ok = source ~= nil
  if ok then
    source.dir = native.remote_dir()
    ok, why = add_key(source)
  end
  if not ok then
    return trouble(why)
  end
  wait.timer_at(NEVER_S, on_end)
  wait.timer_at(0, run, source)
  wait.timer_at(0, beat, source)
  wait.timer_every(BEAT_S, beat, source)
end

return _M

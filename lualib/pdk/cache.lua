-- kong.cache: values of this worker by key, made by a callback once at a time; nil is a value too.
-- Not shared between workers. A new configuration empties it, as Kong's does.
-- Invariant: a request that dies while its callback waits holds others up for one LOOK_S at most.

local node = require("moongate.abi.node")
local phase = require("moongate.abi.phase")
local route = require("moongate.abi.route")
local task = require("moongate.abi.task")
local wait = require("moongate.abi.wait")

local mono = node.mono

local HALF_SIZE = 5000 -- keys in the young half, before it becomes the old one
local WAIT_S = 5    -- after that one makes the value oneself
local LOOK_S = 0.05 -- how often who waits looks whether the maker still lives: its end wakes nobody

local _M = {}

local young, old, count = {}, {}, 0
local loading = {} -- key -> {maker = token of its task, waiters = ids of parked threads}
local generation = 0

local function clear()
  young, old, count = {}, {}, 0
end

-- Is the running request of the configuration that the values belong to?
local function is_current()
  local number = route.generation()
  if number > generation then
    generation = number
    clear()
  end
  return number == generation
end

local function put(key, entry)
  if not young[key] then
    count = count + 1
    if count > HALF_SIZE then
      young, old, count = {}, young, 1
    end
  end
  young[key] = entry
end

local function find(key)
  local entry = young[key]
  if not entry then
    entry = old[key]
    if entry then
      put(key, entry)
    end
  end
  if entry and entry.expires and mono() >= entry.expires then
    return nil
  end
  return entry
end

local function ttl_of(options, value, own)
  local ttl = own
  if type(ttl) ~= "number" or ttl < 0 then
    ttl = options and (value == nil and options.neg_ttl or value ~= nil and options.ttl) or 0
  end
  return ttl
end

local function wake(key)
  local lock = loading[key]
  loading[key] = nil
  for _, id in ipairs(lock and lock.waiters or {}) do
    wait.unpark(id)
  end
end

-- The callback's errors are results here, as callers of Kong's cache expect: hence the pcall.
local function load_value(key, options, callback, ...)
  local ok, value, err, ttl = pcall(callback, ...)
  if not ok then
    return nil, "callback threw an error: " .. tostring(value)
  elseif err ~= nil then
    return nil, err
  end
  if value ~= nil and options and options.l1_serializer then
    value, err = options.l1_serializer(value)
    if err ~= nil then
      return nil, err
    end
  end
  ttl = ttl_of(options, value, ttl)
  put(key, { value = value, expires = ttl > 0 and mono() + ttl or nil })
  return value
end

-- Waits while another request makes the value. The entry, or nil: make it now.
local function wait_for(key)
  local began = mono()
  repeat
    local lock = loading[key]
    if not lock or not task.alive(lock.maker) or not phase.may_wait() then
      return nil
    end
    lock.waiters[#lock.waiters + 1] = wait.park_id()
    wait.park(LOOK_S)
    local entry = find(key)
  until entry or mono() - began >= WAIT_S
  return find(key)
end

--- The value of a key, made by callback(...) -> value, err, ttl when there is none.
-- options: ttl, neg_ttl (of nil) in seconds, 0: no end; l1_serializer(value). May wait in access and timers.
-- Returns value (nil is cached too), or nil and why.
function _M:get(key, options, callback, ...)
  if type(key) ~= "string" then
    error("key must be a string", 2)
  elseif type(callback) ~= "function" then
    error("callback must be a function", 2)
  end
  if not is_current() then
    return callback(...)
  end
  local entry = find(key) or wait_for(key)
  if entry then
    return entry.value
  end
  loading[key] = { maker = task.token(), waiters = {} }
  local value, err = load_value(key, options, callback, ...)
  wake(key)
  return value, err
end

--- What is known of a key: remaining seconds (0: no end), nil, value; nil when it is not there.
function _M:probe(key)
  local entry = is_current() and find(key)
  if entry then
    return entry.expires and entry.expires - mono() or 0, nil, entry.value
  end
end

--- Stores a value. Returns true.
function _M:safe_set(key, value, _, ttl)
  is_current()
  put(key, { value = value, expires = ttl and ttl > 0 and mono() + ttl or nil })
  return true
end

--- Forgets a key, in this worker.
function _M:invalidate_local(key)
  young[key], old[key] = nil, nil
end

_M.invalidate = _M.invalidate_local

--- Forgets everything, in this worker.
function _M:purge()
  clear()
end

return _M

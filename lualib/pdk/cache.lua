-- kong.cache and kong.core_cache: values by key, made by a callback once at a time; nil is a value too.
-- Level 1 is this worker's, level 2 all workers' (cache_shared.lua), level 3 the callback, level 4 a value past its
-- time that stands in while the callback fails. A new configuration begins with nothing.
-- Invariant: a request that dies while its callback waits holds others up for a second at most.

local node = require("moongate.abi.node")
local phase = require("moongate.abi.phase")
local route = require("moongate.abi.route")
local task = require("moongate.abi.task")
local wait = require("moongate.abi.wait")
local cache_shared = require("moongate.pdk.cache_shared")

local mono = node.mono

local HALF_SIZE = 5000 -- keys in the young half, before it becomes the old one
local WAIT_S = 5       -- after that one makes the value oneself
local LOOK_S = 0.05    -- how often who waits looks whether the maker still lives: its end wakes nobody
local FIRST_STEP_S = 0.001 -- of waiting for another worker; doubled up to LOOK_S
local SHM_SET_TRIES = 3
local LOG_WARN = 5

local Cache = {}
Cache.__index = Cache

-- ---- level 1 ----

local function clear(self)
  self.young, self.old, self.count = {}, {}, 0
end

local function forget(self, key)
  if key then
    self.young[key], self.old[key] = nil, nil
  else
    clear(self)
  end
end

-- Is the running request of the configuration that the values belong to?
local function is_current(self)
  local number = route.generation()
  if number > self.generation then
    self.generation = number
    self.shared:use_prefix()
    clear(self)
  end
  if number ~= self.generation then
    return false
  end
  self.shared:read_news(self.forget)
  return true
end

local function put(self, key, value, ttl)
  local young = self.young
  if not young[key] then
    self.count = self.count + 1
    if self.count > HALF_SIZE then
      self.young, self.old, self.count = {}, young, 1
      young = self.young
    end
  end
  young[key] = { value = value, expires = ttl > 0 and mono() + ttl or nil, ttl = ttl }
end

-- The entry of a key, be it past its time; nil.
local function any(self, key)
  local entry = self.young[key]
  if not entry then
    entry = self.old[key]
    if entry then
      self.young[key] = entry
    end
  end
  return entry
end

local function find(self, key)
  local entry = any(self, key)
  if entry and entry.expires and mono() >= entry.expires then
    return nil
  end
  return entry
end

-- ---- options ----

local function check_number(options, name, level)
  local value = options[name]
  if value == nil then
    return
  elseif type(value) ~= "number" then
    error("opts." .. name .. " must be a number", level + 1)
  elseif value < 0 then
    error("opts." .. name .. " must be >= 0", level + 1)
  end
end

local NO_OPTIONS = {}

local function check_options(options, level)
  if options == nil then
    return NO_OPTIONS
  elseif type(options) ~= "table" then
    error("opts must be a table", level + 1)
  end
  check_number(options, "ttl", level + 1)
  check_number(options, "neg_ttl", level + 1)
  check_number(options, "resurrect_ttl", level + 1)
  check_number(options, "shm_set_tries", level + 1)
  if options.l1_serializer ~= nil and type(options.l1_serializer) ~= "function" then
    error("opts.l1_serializer must be a function", level + 1)
  end
  return options
end

local function check_arguments(key, callback, level)
  if type(key) ~= "string" then
    error("key must be a string", level + 1)
  elseif callback ~= nil and type(callback) ~= "function" then
    error("callback must be nil or a function", level + 1)
  end
end

local function ttl_of(options, value, own)
  if type(own) == "number" then
    return own
  end
  return (value == nil and options.neg_ttl or value ~= nil and options.ttl) or 0
end

-- ---- putting values into both levels ----

-- What level 1 keeps of a value. Its errors are results, as callers of Kong's cache expect: hence the pcall.
local function serialized(options, value)
  if value == nil or not options.l1_serializer then
    return value
  end
  local ok, made, err = pcall(options.l1_serializer, value)
  if not ok then
    return nil, "l1_serializer threw an error: " .. tostring(made)
  elseif err ~= nil then
    return nil, tostring(err)
  elseif made == nil then
    return nil, "l1_serializer returned a nil value"
  end
  return made
end

-- Returns what level 1 holds now, or nil and why.
local function keep(self, key, value, ttl, options)
  local made, err = serialized(options, value)
  if err then
    return nil, err
  end
  put(self, key, made, ttl)
  return made
end

-- The entry of a key after a look at level 2, which moves it up; or nil[, why].
local function promote(self, key, options)
  local found, value, ttl = self.shared:get(key)
  if not found then
    return nil
  end
  local _, err = keep(self, key, value, ttl, options)
  return self.young[key], err
end

local function store(self, key, value, ttl, options)
  local made, err = keep(self, key, value, ttl, options)
  if err then
    return nil, err
  end
  self.shared:set(key, value, ttl, options.shm_set_tries or SHM_SET_TRIES)
  return made
end

-- A value past its time, for a while longer; nothing when there is none.
local function resurrect(self, key, options, why)
  local ttl = options.resurrect_ttl
  if not ttl then
    return false
  end
  local found, value, _, is_stale = self.shared:get(key, true)
  if not found or not is_stale then
    return false
  end
  node.log(LOG_WARN, ("[kong] cache: callback of '%s' failed (%s): the value before is used for %g s more"):format(
    key, tostring(why), ttl))
  return true, store(self, key, value, ttl, options)
end

-- ---- level 3 ----

-- Returns value, nil, level; or nil and why. The callback's errors are results: hence the pcall.
-- What was made while another configuration came, or everything was forgotten, is the caller's alone.
local function load_value(self, key, options, callback, ...)
  local prefix = self.shared.prefix
  local ok, value, err, own = pcall(callback, ...)
  if not ok then
    err = "callback threw an error: " .. tostring(value)
  end
  if self.shared.prefix ~= prefix then
    if err ~= nil then
      return nil, err
    end
    return value, nil, 3
  elseif err ~= nil then
    local kept, old, why = resurrect(self, key, options, err)
    if kept then
      return old, why, 4
    end
    return nil, err
  end
  local ttl = ttl_of(options, value, own)
  if ttl < 0 then -- the callback's word for: not to be kept
    return value, nil, 3
  end
  value, err = store(self, key, value, ttl, options)
  return value, err, 3
end

local function wake(self, key)
  local lock = self.loading[key]
  self.loading[key] = nil
  for _, id in ipairs(lock and lock.waiters or {}) do
    wait.unpark(id)
  end
end

-- Waits while another request of this worker makes the value. The entry, or nil: make it now.
local function wait_for(self, key)
  local began = mono()
  repeat
    local lock = self.loading[key]
    if not lock or not task.alive(lock.maker) or not phase.may_wait() then
      return nil
    end
    lock.waiters[#lock.waiters + 1] = wait.park_id()
    wait.park(LOOK_S)
    local entry = find(self, key)
  until entry or mono() - began >= WAIT_S
  return find(self, key)
end

-- Waits while another worker makes the value. The entry; or nil: make it now, and the lock that is held for it, if any.
local function wait_for_worker(self, key, options)
  local began, step = mono(), FIRST_STEP_S
  while true do
    local lock = self.shared:try_lock(key)
    if lock then
      return nil, lock
    elseif not phase.may_wait() or mono() - began >= WAIT_S then
      return nil
    end
    wait.sleep(step)
    step = math.min(step * 2, LOOK_S)
    local entry = promote(self, key, options)
    if entry then
      return entry
    end
  end
end

-- Runs make() alone over all workers, as far as that can be waited for.
local function alone(self, key, options, callback, ...)
  self.loading[key] = { maker = task.token(), waiters = {} }
  local entry, lock = wait_for_worker(self, key, options)
  if entry then
    wake(self, key)
    return entry.value, nil, 2
  end
  local value, err, level = load_value(self, key, options, callback, ...)
  if lock then
    cache_shared.unlock(lock)
  end
  wake(self, key)
  return value, err, level
end

-- ---- public ----

local function get(self, key, options, callback, ...)
  if not is_current(self) then
    if callback then
      return callback(...)
    end
    return nil, nil, -1
  end
  local entry = find(self, key)
  if entry then
    return entry.value, nil, 1
  end
  local err
  entry, err = promote(self, key, options)
  if entry or err then
    return entry and entry.value, err, 2
  elseif not callback then
    return nil, nil, -1
  end
  entry = wait_for(self, key)
  if entry then
    return entry.value, nil, 1
  end
  return alone(self, key, options, callback, ...)
end

--- The value of a key, made by callback(...) -> value, err, ttl when there is none (a ttl below 0: do not keep it).
-- All phases; where waiting is allowed (access, timers ...) one caller of all workers makes it and the others wait.
-- options: ttl, neg_ttl (of nil) in seconds, 0: no end; resurrect_ttl: seconds that a value past its time serves while the
-- callback fails; l1_serializer(value) -> what this worker keeps; shm_set_tries. Without callback it only looks.
-- Returns value (nil is cached too), nil, level (1 worker, 2 shared, 3 callback, 4 resurrected, -1 none); or nil and why.
-- Example: local user, err = kong.cache:get("user:" .. id, { ttl = 60 }, load_user, id)
function Cache:get(key, options, callback, ...)
  check_arguments(key, callback, 2)
  return get(self, key, check_options(options, 2), callback, ...)
end

--- Several keys at once: bulk is { key, options, callback, argument, ..., n = 4 * how many }.
-- All phases. Returns { value, err, level, ..., n = 3 * how many }; see each_bulk_res. Or nil and why.
function Cache:get_bulk(bulk, options)
  if type(bulk) ~= "table" then
    error("bulk must be a table", 2)
  elseif options ~= nil and type(options) ~= "table" then
    error("opts must be a table", 2)
  elseif type(bulk.n) ~= "number" then
    error("bulk must have n field", 2)
  end
  local out = { n = bulk.n / 4 * 3 }
  for i = 1, bulk.n, 4 do
    local key, own, callback, argument = bulk[i], bulk[i + 1], bulk[i + 2], bulk[i + 3]
    check_arguments(key, callback, 2)
    local at = (i - 1) / 4 * 3
    out[at + 1], out[at + 2], out[at + 3] = get(self, key, check_options(own, 2), callback, argument)
  end
  return out
end

--- Walks over the results of get_bulk: for i, value, err, level in kong.cache.each_bulk_res(results) do. All phases.
function Cache.each_bulk_res(results)
  if type(results) ~= "table" or type(results.n) ~= "number" then
    error("res must be the results of get_bulk", 2)
  end
  local i = 0
  return function()
    i = i + 1
    local at = (i - 1) * 3
    if at < results.n then
      return i, results[at + 1], results[at + 2], results[at + 3]
    end
  end
end

--- Makes the value anew, whatever is there, in all workers. All phases. Parameters as in get.
-- Returns value, nil, ttl in seconds (0: no end); or nil and why.
function Cache:renew(key, options, callback, ...)
  check_arguments(key, callback, 2)
  if callback == nil then
    error("callback must be a function", 2)
  end
  options = check_options(options, 2)
  if not is_current(self) then
    return callback(...)
  end
  local value, err = load_value(self, key, options, callback, ...)
  self.shared:publish(key)
  if err ~= nil then
    return nil, err
  end
  local entry = find(self, key)
  return value, nil, entry and entry.ttl or 0
end

--- What is known of a key: remaining seconds (0: no end), nil, value; nil when it is not there. All phases.
function Cache:probe(key)
  check_arguments(key, nil, 2)
  if not is_current(self) then
    return nil
  end
  local entry = find(self, key)
  if entry then
    return entry.expires and entry.expires - mono() or 0, nil, entry.value
  end
  local found, value, ttl = self.shared:get(key)
  if found then
    return ttl, nil, value
  end
end

--- Stores a value for all workers, for ttl seconds (nil: no end). All phases. Returns true.
function Cache:safe_set(key, value, _, ttl)
  check_arguments(key, nil, 2)
  is_current(self)
  store(self, key, value, ttl or 0, NO_OPTIONS)
  self.shared:publish(key)
  return true
end

--- Forgets a key, in all workers of this node. All phases. Returns true.
function Cache:invalidate_local(key)
  check_arguments(key, nil, 2)
  is_current(self)
  forget(self, key)
  self.shared:delete(key)
  self.shared:publish(key)
  return true
end

--- Forgets a key, in all workers. Nodes share nothing, so it is invalidate_local. All phases. Returns true.
Cache.invalidate = Cache.invalidate_local

--- Forgets everything, in all workers. All phases. Returns true.
function Cache:purge()
  clear(self)
  self.shared:publish(nil)
  self.generation = 0 -- the next look begins anew
  return true
end

-- One more cache over these dictionaries, as another worker has it.
local function new(id, hits, misses)
  local self = setmetatable({ loading = {}, generation = 0 }, Cache)
  self.shared = cache_shared.new(id, hits, misses)
  self.forget = function(key)
    forget(self, key)
  end
  clear(self)
  return self
end

return {
  cache = new("db", "kong_db_cache", "kong_db_cache_miss"),
  core_cache = new("core", "kong_core_db_cache", "kong_core_db_cache_miss"),
  new = new,
}

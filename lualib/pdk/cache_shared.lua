-- The part of kong.cache that all workers share: values as text (level 2), locks of keys, news of what was
-- forgotten. Not the worker's own values nor the rules (cache.lua).
-- Invariant: keys carry the configuration they were made under, so that no other one sees them.

local node = require("moongate.abi.node")
local route = require("moongate.abi.route")
local shdict = require("moongate.abi.shdict")
local task = require("moongate.abi.task")
local wait = require("moongate.abi.wait")
local json = require("moongate.pdk.json")
local news = require("moongate.pdk.news")

local M = {}

local JSON = 1         -- flag of values that are tables
local LEASE_S = 1      -- a lock is its holder's that long, and longer while the holder lives
local WATCH_S = 0.2    -- how often a worker looks whether its holders live
local DEPTH_MAX = 32
local EPOCH = ":epoch"
local EVERYTHING = "\0" -- no key of a plugin's

local Shared = {}
Shared.__index = Shared

-- ---- values as text ----

local SCALAR = { string = true, number = true, boolean = true }

-- Is it a tree of scalars that JSON gives back as it was?
local function is_plain(value, depth)
  if type(value) ~= "table" then
    return SCALAR[type(value)] or value == json.null
  elseif depth > DEPTH_MAX then
    return false
  end
  local n = #value
  for key, member in pairs(value) do
    local fits = n > 0 and type(key) == "number" or n == 0 and type(key) == "string"
    if not fits or not is_plain(member, depth + 1) then
      return false
    end
  end
  return true
end

-- Value and flags for the dictionary; nothing when it cannot be written as text.
local function encoded(value)
  if SCALAR[type(value)] then
    return value, 0
  elseif type(value) == "table" and is_plain(value, 0) then
    local ok, text = pcall(json.encode, value) -- NaN and its like
    if ok then
      return text, JSON
    end
  end
end

-- Stores, evicting as often as it takes: a large value may need more room than one round frees.
local function store(handle, key, value, ttl, flags, tries)
  local ok, err
  for _ = 1, tries do
    ok, err = shdict.set(handle, key, value, ttl, flags)
    if ok or err ~= "no memory" then
      break
    end
  end
  return ok, err
end

function Shared:name_of(key)
  return self.prefix .. key
end

--- What is known of a key: true, value (nil is one), remaining seconds (0: no end), is it stale; false.
function Shared:get(key, stale)
  if not self.hits then
    return false
  end
  local name, handle = self:name_of(key), self.hits
  local value, flags, is_stale = shdict.get(handle, name, stale)
  if value == nil then
    handle = self.misses
    local missing = shdict.get(handle, name)
    if not missing then
      return false
    end
  elseif flags == JSON then
    value = json.decode(value)
  end
  return true, value, is_stale and 0 or shdict.ttl(handle, name) or 0, is_stale
end

--- Stores a value (nil too) for ttl seconds (0: no end). What is no text stays in its worker: false, why.
function Shared:set(key, value, ttl, tries)
  if not self.hits then
    return false, "no shared memory"
  end
  local name = self:name_of(key)
  if value == nil then
    shdict.delete(self.hits, name)
    return store(self.misses, name, true, ttl, 0, tries)
  end
  shdict.delete(self.misses, name)
  local text, flags = encoded(value)
  if text == nil then
    shdict.delete(self.hits, name)
    return false, "not a value of text, numbers and tables of these"
  end
  return store(self.hits, name, text, ttl, flags, tries)
end

function Shared:delete(key)
  if self.hits then
    shdict.delete(self.hits, self:name_of(key))
    shdict.delete(self.misses, self:name_of(key))
  end
end

-- ---- news ----

--- Tells the other workers that a key is to be forgotten; nil: all keys.
function Shared:publish(key)
  if key == nil and self.events then
    shdict.incr(self.events, self.id .. EPOCH, 1, 0)
  end
  self.news:publish(key or EVERYTHING)
end

--- Calls forget(key) for what other workers published since the last look; forget() for everything. One look
--- in each turn of the loop: what was published before a request came is known when it runs.
function Shared:read_news(forget)
  local now = node.now()
  if now == self.looked then
    return
  end
  self.looked = now
  local everything = false
  local complete = self.news:read(function(key)
    everything = everything or key == EVERYTHING
    forget(key)
  end)
  if everything or not complete then
    self:use_prefix()
    forget()
  end
end

--- From now on keys are those of the configuration in use.
function Shared:use_prefix()
  local epoch = self.events and shdict.get(self.events, self.id .. EPOCH) or 0
  self.prefix = ("%s:%s:%d:"):format(self.id, route.hash(), epoch)
end

-- ---- locks ----

local NOBODYS = {} -- in the stead of a lock where nobody waits
local held, watching = {}, false -- [{name, handle, task's token, owner's mark}] = true

local function free(lock)
  if shdict.get(lock.handle, lock.name) == lock.mark then
    shdict.delete(lock.handle, lock.name)
  end
  held[lock] = nil
end

-- Keeps the leases of tasks that live and ends those of tasks that died.
local function watch(premature)
  watching = false
  for lock in pairs(held) do
    if premature or not task.alive(lock.token) then
      free(lock)
    else
      shdict.expire(lock.handle, lock.name, LEASE_S)
    end
  end
  if next(held) and not premature then
    watching = wait.timer_at(WATCH_S, watch) ~= nil
  end
end

local serial = 0

--- Takes the lock of a key for the running task, for unlock; nil when somebody else has it. With one worker there
--- is nobody else.
function Shared:try_lock(key)
  if not self.locks or node.worker_count() == 1 then
    return NOBODYS
  end
  serial = serial + 1
  local name = self:name_of(key)
  local mark = node.worker_pid() .. ":" .. serial
  local ok, err = shdict.add(self.locks, name, mark, LEASE_S)
  if not ok then
    return err ~= "exists" and NOBODYS or nil -- without memory for locks nobody waits
  end
  local lock = { name = name, handle = self.locks, token = task.token(), mark = mark }
  held[lock] = true
  if not watching then
    watching = wait.timer_at(WATCH_S, watch) ~= nil
  end
  return lock
end

--- Gives back what try_lock gave; harmless when that was given back already.
function M.unlock(lock)
  if held[lock] then
    free(lock)
  end
end

--- id: tells caches in the same dictionaries apart. hits, misses: names of dictionaries.
function M.new(id, hits, misses)
  local self = setmetatable({
    id = "cache:" .. id, hits = shdict.find(hits), misses = shdict.find(misses),
    events = shdict.find("kong_cluster_events"), locks = shdict.find("kong_locks"), prefix = "",
    looked = 0, news = news.new("cache:" .. id),
  }, Shared)
  if not self.misses then
    self.hits = nil
  end
  return self
end

return M

-- The name guests know: require "kong.resty.mlcache": caches with a name of their own. They are parts of kong.cache: what it
-- promises holds here (one maker at a time, nil is cached, ttl and neg_ttl). Not resty.mlcache, the library.
-- Invariant: a key of one cache is never another's: it begins with the cache's name.

local cache = require("moongate.pdk.cache").cache

local _M = {}
local Cache = {}
Cache.__index = Cache

--- A cache. name: a string; options: ttl, neg_ttl (seconds; 30 and 5 without), l1_serializer. The dictionary and sizes
--- that Kong's takes are of no effect: kong.cache bounds them all.
function _M.new(name, dictionary, options)
  if type(name) ~= "string" or type(dictionary) ~= "string" then
    error("a cache needs a name and the name of a shared dictionary", 2)
  elseif not ngx.shared[dictionary] then
    return nil, "no such lua_shared_dict: " .. dictionary
  end
  options = options or {}
  return setmetatable({
    prefix = name .. "\0", keys = {},
    options = { ttl = options.ttl or 30, neg_ttl = options.neg_ttl or 5, l1_serializer = options.l1_serializer },
  }, Cache)
end

local function with_defaults(self, options)
  local out = {}
  for name, value in pairs(self.options) do
    out[name] = value
  end
  for name, value in pairs(options or {}) do
    out[name] = value
  end
  return out
end

--- The value of a key, made by callback(...) when it is not there: value, nil, level; or nil and why.
function Cache:get(key, options, callback, ...)
  local full = self.prefix .. tostring(key)
  if not callback then
    local remaining, _, value = cache:probe(full)
    return value, nil, remaining and 1 or -1
  end
  return cache:get(full, with_defaults(self, options), callback, ...)
end

--- Remaining seconds, nil, value; nil when it is not there.
function Cache:peek(key)
  return cache:probe(self.prefix .. tostring(key))
end

function Cache:set(key, options, value)
  return cache:safe_set(self.prefix .. tostring(key), value, nil, with_defaults(self, options).ttl)
end

function Cache:delete(key)
  cache:invalidate_local(self.prefix .. tostring(key))
  return true
end

--- Makes the value anew, as if it were not there.
function Cache:renew(key, options, callback, ...)
  return cache:renew(self.prefix .. tostring(key), with_defaults(self, options), callback, ...)
end

--- Forgets all: of every cache, since they are one.
function Cache.purge()
  cache:purge()
  return true
end

--- Other workers' news: there are none to wait for.
function Cache.update()
  return true
end

return _M

-- ngx.shared.DICT over abi/shdict: names are found on first use; methods as OpenResty's.

local shdict = require "moongate.abi.shdict"

local _M = {}

local methods = {}
local META = { __index = methods, __gateway = true }

local STORABLE = { string = true, number = true, boolean = true, ["nil"] = true }

-- The handle of a dictionary of ours; raises for anything else, as a method called with a dot.
local function zone_of(self)
  if type(self) ~= "table" or getmetatable(self) ~= META then
    error("bad \"zone\" argument", 3)
  end
  return self.id
end

local function key_of(key)
  if key == nil then
    return nil, "nil key"
  end
  key = type(key) == "string" and key or tostring(key)
  if key == "" then
    return nil, "empty key"
  elseif #key > 65535 then
    return nil, "key too long"
  end
  return key
end

function methods.get(self, key)
  local id = zone_of(self)
  local k, err = key_of(key)
  if not k then
    return nil, err
  end
  local value, flags = shdict.get(id, k)
  return value, value ~= nil and flags ~= 0 and flags or (value == nil and flags or nil)
end

function methods.get_stale(self, key)
  local id = zone_of(self)
  local k, err = key_of(key)
  if not k then
    return nil, err
  end
  local value, flags, stale = shdict.get(id, k, true)
  return value, value ~= nil and flags ~= 0 and flags or nil, stale
end

local function storer(mode, safe)
  return function(self, key, value, ttl, flags)
    local id = zone_of(self)
    local k, err = key_of(key)
    if not k then
      return nil, err
    elseif not STORABLE[type(value)] then
      return nil, "bad value type"
    end
    ttl = ttl and tonumber(ttl)
    if ttl and ttl < 0 then
      error("bad \"exptime\" argument", 2)
    end
    return shdict.store(id, mode, k, value, ttl, flags, safe)
  end
end

methods.set, methods.safe_set = storer("set", false), storer("set", true)
methods.add, methods.safe_add = storer("add", false), storer("add", true)
methods.replace = storer("replace", false)

function methods.delete(self, key)
  return methods.set(self, key, nil)
end

function methods.incr(self, key, by, init, init_ttl)
  local id = zone_of(self)
  local k, err = key_of(key)
  if not k then
    return nil, err
  end
  local n = tonumber(by)
  if not n then
    error("cannot convert " .. tostring(by) .. " to number", 2)
  elseif init_ttl ~= nil and init == nil then
    error("must provide \"init\" when providing \"init_ttl\"", 2)
  elseif init_ttl ~= nil and (tonumber(init_ttl) or -1) < 0 then
    error("bad \"init_ttl\" argument", 2)
  end
  return shdict.incr(id, k, n, tonumber(init), tonumber(init_ttl))
end

local function by_key(fn)
  return function(self, key, ...)
    local id = zone_of(self)
    local k, err = key_of(key)
    if not k then
      return nil, err
    end
    return fn(id, k, ...)
  end
end

methods.ttl, methods.expire, methods.llen = by_key(shdict.ttl), by_key(shdict.expire), by_key(shdict.len)
methods.lpush = by_key(function(id, key, value)
  return shdict.push(id, key, value, true)
end)
methods.rpush = by_key(function(id, key, value)
  return shdict.push(id, key, value, false)
end)
methods.lpop = by_key(function(id, key)
  return shdict.pop(id, key, true)
end)
methods.rpop = by_key(function(id, key)
  return shdict.pop(id, key, false)
end)

function methods.flush_all(self)
  shdict.flush_all(zone_of(self))
end

function methods.flush_expired(self, max)
  return shdict.flush_expired(zone_of(self), max)
end

function methods.get_keys(self, max)
  return shdict.keys(zone_of(self), max or 1024)
end

function methods.capacity(self)
  return shdict.capacity(zone_of(self))
end

function methods.free_space(self)
  return shdict.free_space(zone_of(self))
end

function _M.fill(ngx)
  ngx.shared = setmetatable({}, {
    __index = function(t, name)
      local id = type(name) == "string" and shdict.find(name)
      if id then
        local dict = setmetatable({ id = id }, META)
        rawset(t, name, dict)
        return dict
      end
    end,
  })
end

return _M

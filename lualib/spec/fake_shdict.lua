-- Shared dictionaries of unit mode behind the names of abi/shdict: Lua tables whose expiry follows the
-- spec's clock. No eviction: what a spec stores fits.

local DEFAULTS = { "kong", "kong_locks", "kong_cluster_events", "kong_rate_limiting_counters", "kong_db_cache",
  "kong_db_cache_miss", "kong_core_db_cache", "kong_core_db_cache_miss", "prometheus_metrics", "kong_secrets", "moongate" }

local function new(clock)
  local _M = { texts = {} }
  local ids, dicts

  -- Empties all of them.
  function _M.reset()
    ids, dicts = {}, {}
    for i, name in ipairs(DEFAULTS) do
      ids[name], dicts[i] = i, {}
    end
  end
  _M.reset()

  local function live(h, key)
    local entry = dicts[h][key]
    if entry and entry.expires and entry.expires <= clock:now() then
      return nil, entry
    end
    return entry, entry
  end

  local function expiry(ttl_s)
    return ttl_s and ttl_s > 0 and clock:now() + ttl_s or nil
  end

  function _M.find(name)
    return ids[name]
  end
  function _M.names()
    return { unpack(DEFAULTS) }
  end
  function _M.get(h, key, stale)
    local entry, any = live(h, key)
    entry = entry or stale and any
    if not entry then
      return nil
    elseif entry.list then
      return nil, "value is a list"
    end
    return entry.value, entry.flags or 0, entry ~= live(h, key)
  end
  function _M.store(h, mode, key, value, ttl_s, flags)
    local entry = live(h, key)
    if mode == "add" and entry then
      return false, "exists", false
    elseif mode == "replace" and not entry then
      return false, "not found", false
    end
    dicts[h][key] = value ~= nil and { value = value, flags = flags, expires = expiry(ttl_s) } or nil
    return true, nil, false
  end
  for _, mode in ipairs({ "set", "add", "replace" }) do
    _M[mode] = function(h, key, value, ttl_s, flags)
      return _M.store(h, mode, key, value, ttl_s, flags)
    end
  end
  function _M.delete(h, key)
    dicts[h][key] = nil
    return true
  end
  function _M.incr(h, key, by, init, ttl_s)
    local entry = live(h, key)
    if not entry then
      if not init then
        return nil, "not found"
      end
      entry = { value = init, expires = expiry(ttl_s) }
      dicts[h][key] = entry
    elseif type(entry.value) ~= "number" then
      return nil, "not a number"
    end
    entry.value = entry.value + by
    return entry.value, nil, false
  end
  function _M.ttl(h, key)
    local entry = live(h, key)
    if not entry then
      return nil, "not found"
    end
    return entry.expires and entry.expires - clock:now() or 0
  end
  function _M.expire(h, key, ttl_s)
    local entry = live(h, key)
    if not entry then
      return nil, "not found"
    end
    entry.expires = expiry(ttl_s)
    return true
  end
  function _M.flush_all(h)
    dicts[h] = {}
  end
  function _M.flush_expired(h)
    local n = 0
    for key in pairs(dicts[h]) do
      if not live(h, key) then
        dicts[h][key] = nil
        n = n + 1
      end
    end
    return n
  end
  function _M.keys(h, max)
    local out = {}
    for key in pairs(dicts[h]) do
      if live(h, key) and (not max or max == 0 or #out < max) then
        out[#out + 1] = key
      end
    end
    return out
  end
  function _M.push(h, key, value, left)
    local entry = live(h, key)
    if not entry then
      entry = { list = {} }
      dicts[h][key] = entry
    elseif not entry.list then
      return nil, "value not a list"
    end
    table.insert(entry.list, left and 1 or #entry.list + 1, value)
    return #entry.list
  end
  function _M.pop(h, key, left)
    local entry = live(h, key)
    if not entry then
      return nil
    elseif not entry.list then
      return nil, "value not a list"
    end
    local value = table.remove(entry.list, left and 1 or nil)
    if #entry.list == 0 then
      dicts[h][key] = nil
    end
    return value
  end
  function _M.len(h, key)
    local entry = live(h, key)
    if entry and not entry.list then
      return nil, "value not a list"
    end
    return entry and #entry.list or 0
  end
  function _M.capacity()
    return 1048576
  end
  function _M.free_space()
    return 1048576
  end
  -- Windows by name of their start: taken when every one has room.
  function _M.limit_take(h, key, cost, start_s, length_s, limit)
    local used, full = {}, nil
    for i = 1, #limit do
      used[i] = _M.get(h, key .. ":" .. length_s[i] .. ":" .. start_s[i]) or 0
      full = full or used[i] + cost > limit[i] and i or nil
    end
    if full then
      return false, used, full
    end
    for i = 1, #limit do
      used[i] = _M.incr(h, key .. ":" .. length_s[i] .. ":" .. start_s[i], cost, 0,
        start_s[i] + length_s[i] - clock:now())
    end
    return true, used
  end
  return _M
end

return { new = new }

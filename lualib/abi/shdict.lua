-- Shared dictionaries by handle (a small integer): one table for all workers.
-- Results and texts are those of ngx.shared.DICT, which is made of this (ngx/shared).

local c = require "moongate.abi.c"

local C, native, num, i32, ffi = c.C, c.native, c.num, c.i32, c.ffi

local TEXTS = {
  [-1] = "not found", [-2] = "exists", [-3] = "no memory", [-4] = "not a number",
  [-5] = "invalid key", [-6] = "value is a list", [-7] = "value not a list",
}

local MAX_WINDOWS = 8
local starts, lengths = ffi.new("double[8]"), ffi.new("double[8]")
local limits, used = ffi.new("double[8]"), ffi.new("double[8]")

local _M = { texts = TEXTS }

_M.find = native.shd_find       -- find(name) -> handle | nil
_M.names = native.shd_names
_M.get = native.shd_get         -- get(handle, key[, stale]) -> value, flags, is_stale | nil[, why]
_M.store = native.shd_store     -- store(h, mode, key, value, ttl_s, flags, safe) -> ok, err, forcible
_M.delete = native.shd_delete
_M.ttl = native.shd_ttl
_M.expire = native.shd_expire
_M.flush_all = native.shd_flush_all
_M.flush_expired = native.shd_flush_expired
_M.keys = native.shd_keys       -- keys(h, max; 0 all) -> array
_M.push = native.shd_push       -- push(h, key, value, left) -> len | nil, why
_M.pop = native.shd_pop         -- pop(h, key, left) -> value | nil[, why]
_M.len = native.shd_len
_M.capacity = native.shd_capacity
_M.free_space = native.shd_free_space

function _M.set(h, key, value, ttl_s, flags)
  return native.shd_store(h, "set", key, value, ttl_s, flags, false)
end

function _M.add(h, key, value, ttl_s, flags)
  return native.shd_store(h, "add", key, value, ttl_s, flags, false)
end

function _M.replace(h, key, value, ttl_s, flags)
  return native.shd_store(h, "replace", key, value, ttl_s, flags, false)
end

-- incr(handle, key, by[, init[, init_ttl_s]]) -> new, nil, forcible | nil, why.
function _M.incr(h, key, by, init, ttl_s)
  local code = C.mg_shd_incr(h, key, #key, by, init and 1 or 0, init or 0, ttl_s or 0, num, i32)
  if code == 0 then
    return num[0], nil, i32[0] ~= 0
  end
  return nil, TEXTS[code] or "failed"
end

-- Takes `cost` from every window or from none. start and length in seconds, limit: at most 8
-- each. true|false, array of used, 1-based index of the first full window (nil when taken).
function _M.limit_take(h, key, cost, start_s, length_s, limit)
  local n = #limit
  if n < 1 or n > MAX_WINDOWS then
    error("limit_take takes 1 to 8 windows", 2)
  end
  for i = 1, n do
    starts[i - 1], lengths[i - 1], limits[i - 1] = start_s[i], length_s[i], limit[i]
  end
  local taken = C.mg_limit_take(h, key, #key, cost, starts, lengths, limits, used, n, i32)
  if taken < 0 then
    error("limit_take: no such dictionary", 2)
  end
  local out = {}
  for i = 1, n do
    out[i] = used[i - 1]
  end
  return taken == 1, out, taken == 0 and i32[0] + 1 or nil
end

return _M

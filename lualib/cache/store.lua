-- Stored responses in this node's shared memory, for all its workers: fetch, keep, purge, flush. Purge,
-- flush and fetch are also what an Admin API needs.
-- Not what may be stored (cache/rules). An entry: {status, headers = {n1, v1, ...}, body, stored_at, ttl}.
-- Invariant: keys of others in the same dictionary are never touched.

local json = require "moongate.abi.json"
local json_encode = require "moongate.util.json_encode"
local shdict = require "moongate.abi.shdict"

local PREFIX = "proxy-cache:"
local VERSION = 1

local handles = {} -- name -> handle of a dictionary that exists

local _M = {}

local function open(name)
  local handle = handles[name] or shdict.find(name)
  if not handle then
    return nil, "shared dictionary " .. name .. " is missing"
  end
  handles[name] = handle
  return handle
end

-- Is there a dictionary of that name?
function _M.exists(name)
  return open(name) ~= nil
end

-- The largest body that is kept: one entry shall not drive all others out.
function _M.max_body_bytes(name)
  local handle = open(name)
  return handle and shdict.capacity(handle) / 16 or 0
end

-- The entry of a key; nil when there is none; nil, why.
function _M.fetch(name, key)
  local handle, err = open(name)
  if not handle then
    return nil, err
  end
  local text = shdict.get(handle, PREFIX .. key)
  local size, rest = string.match(text or "", "^(%d+)\n()")
  if not size then
    return nil
  end
  local entry = json.decode(text:sub(rest, rest + size - 1))
  if entry.version ~= VERSION then
    shdict.delete(handle, PREFIX .. key)
    return nil
  end
  entry.body = text:sub(rest + size)
  return entry
end

-- Keeps an entry for storage_s seconds. true, or nil and why.
function _M.keep(name, key, entry, storage_s)
  local handle, err = open(name)
  if not handle then
    return nil, err
  end
  local head = json_encode.encode({ version = VERSION, status = entry.status, headers = json_encode.array(entry.headers),
    stored_at = entry.stored_at, ttl = entry.ttl })
  local ok, why = shdict.set(handle, PREFIX .. key, #head .. "\n" .. head .. entry.body, storage_s)
  return ok or nil, why
end

-- Takes an entry out. true when there was one.
function _M.purge(name, key)
  local handle = open(name)
  if not handle or shdict.get(handle, PREFIX .. key) == nil then
    return false
  end
  shdict.delete(handle, PREFIX .. key)
  return true
end

-- Takes all entries out; how many.
function _M.flush(name)
  local handle, n = open(name), 0
  for _, key in ipairs(handle and shdict.keys(handle, 0) or {}) do
    if key:sub(1, #PREFIX) == PREFIX then
      shdict.delete(handle, key)
      n = n + 1
    end
  end
  return n
end

return _M

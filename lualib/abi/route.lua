-- The entities of the generation that the current request began with, as Lua tables: decoded from
-- their JSON on first use, once per generation, never to be changed by callers.
-- Not the plugins' configurations (runloop/conf).

local c = require "moongate.abi.c"
local json = require "moongate.abi.json"

local C, native, num, u32, state = c.C, c.native, c.num, c.u32, c.state
local consumer_of = c.ffi.new("uint32_t[1]")

local _M = {}

local NULL_INDEX = -1

-- generation number -> kind, or name of a list or memo -> its table. Weak: a generation's go when Lua next collects
-- after C has dropped it.
local caches = {}

local function cache_of(generation, kind)
  local all = caches[generation]
  if not all then
    all = {}
    caches[generation] = all
  end
  local cache = all[kind]
  if not cache then
    cache = {}
    all[kind] = cache
  end
  return cache
end

-- A table of the generation for what is derived from it, by name: made empty, gone with it.
function _M.memo(name)
  return cache_of(C.mg_generation(), name)
end

-- Lists that the document has beside "entities".
local TOP = { consumer_groups = true, vaults = true, ca_certificates = true, certificates = true, daos = true,
  sets = true }

-- The entities of a kind that only Lua reads ("vaults", "acls", a plugin's own ...), as an array
-- that is decoded once per generation.
function _M.list(name)
  local memo = _M.memo("lists")
  local list = memo[name]
  if not list then
    list = json.decode(TOP[name] and native.raw_entities(name) or native.entity_list(name))
    memo[name] = list
  end
  return list
end

-- Members that the document gives as 1-based indexes: entities refer to each other as {id = ...}.
local LINKS = {
  route = { "service" }, plugin = { "route", "service", "consumer", "consumer_group" },
  service = { "client_certificate" }, upstream = { "client_certificate" },
}
local LISTED = { consumer_group = "consumer_groups", client_certificate = "certificates" }

local function link(kind, found)
  for _, name in ipairs(LINKS[kind] or {}) do
    local index = found[name]
    if type(index) == "number" then
      local id = LISTED[name] and _M.list(LISTED[name])[index].id or native.entity_id(name, index - 1)
      found[name] = { id = id }
    end
  end
end

-- Called by the runloop when a generation is gone.
function _M.forget(generation)
  caches[generation] = nil
end

-- Entity `index` (0-based) of `kind` in the current request's generation (without a request: in
-- the one in use), or nil.
function _M.entity(kind, index)
  if not index or index < 0 then
    return nil
  end
  local generation = C.mg_generation()
  local cache = cache_of(generation, kind)
  local found = cache[index]
  if not found then
    local text, extra = native.entity(kind, index)
    if not text then
      return nil
    end
    found = json.decode(text)
    if kind == "credential" then
      found.consumer = extra and { id = extra } or found.consumer
    end
    link(kind, found)
    cache[index] = found
  end
  return found
end

local entity = _M.entity

local function of(kind, which)
  return function()
    if state.has_request == 0 then
      error("no request found", 2)
    end
    return C.mg_request_num(which, num) == 0 and entity(kind, num[0]) or nil
  end
end

_M.route = of("route", C.MG_ROUTE)
_M.service = of("service", C.MG_SERVICE)
_M.consumer = of("consumer", C.MG_CONSUMER)
_M.credential = of("credential", C.MG_CREDENTIAL)

-- Index of the authenticated consumer, -1: none.
function _M.consumer_index()
  return C.mg_request_num(C.MG_CONSUMER, num) == 0 and num[0] or NULL_INDEX
end

-- Sets who the client is, by index (nil: nobody). true, or nil and why.
function _M.set_consumer(consumer, credential)
  local code = C.mg_consumer_set(consumer or NULL_INDEX, credential or NULL_INDEX)
  if code == 0 then
    return true
  end
  return nil, c.why[code]
end

-- Sets who the client is and tells the upstream by X-Consumer-* and X-Credential-Identifier; without
-- a credential (nil) by X-Anonymous-Consumer. Lines of these names that the client sent are gone.
-- identifier: text or nil. true, or nil and why.
function _M.identify(consumer, credential, identifier)
  identifier = identifier or ""
  local code = C.mg_identify(consumer, credential or NULL_INDEX, identifier, #identifier)
  if code == 0 then
    return true
  end
  return nil, c.why[code]
end

-- Takes off what the client sent under the names of identify().
function _M.clear_identity()
  C.mg_identity_clear()
end

-- The credential of a kind ("keyauth", "basicauth", "jwt", "hmacauth", "acl", ...) by its lookup
-- key, and its index and its consumer's: nil when there is none.
function _M.find_credential(kind, key)
  if C.mg_credential_find(kind, #kind, key, #key, u32, consumer_of) == 0 then
    local index = u32[0]
    return entity("credential", index), index, consumer_of[0]
  end
end

-- A consumer by id or username, and its index; by custom_id with `custom`.
function _M.find_consumer(name, custom)
  local index = native.find_consumer(name, custom)
  if index then
    return entity("consumer", index), index
  end
end

-- Finds service, route or upstream by id or name.
function _M.find(kind, name)
  local index = native.find_entity(kind, name)
  if index then
    return entity(kind, index), index
  end
end

-- id(kind, index) -> id[, kind and index of the consumer, for a credential]; decodes nothing.
_M.id = native.entity_id
-- How many entities of a kind there are (indexes 0 .. n-1).
_M.count = native.entity_count
-- Raw JSON arrays: "consumer_groups", "vaults", "ca_certificates", "certificates", "daos"; objects: "sets", "code", "secrets".
_M.raw = native.raw_entities
_M.generation = native.generation
-- Names the configuration: the same in all workers.
_M.hash = native.generation_hash

return _M

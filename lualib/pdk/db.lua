-- kong.db: the configuration's entities, read only, with the names of Kong's DAOs.
-- Not a database: what would write says so. Entities are shared tables, never to be changed.
-- Invariant: entities are those of the generation the request began with.

local route = require("moongate.abi.route")

local null = require("cjson").null

local _M = {}
local Dao = {}

local WORKSPACE = "default"
local PAGE_SIZE, MAX_PAGE_SIZE = 100, 1000
local READ_ONLY = "operation unsupported: the configuration is read only (change its files)"

-- ---- finders: (key) -> entity or nil ----

local function credential(kind)
  return function(key)
    return (route.find_credential(kind, key))
  end
end

local function named(kind)
  return function(name)
    local found = route.find(kind, name)
    return found and found.name == name and found or nil
  end
end

local function by_id(kind)
  return function(id)
    local found = route.find(kind, id)
    return found and found.id == id and found or nil
  end
end

-- For kinds without an index by id.
local function scan_for_id(kind)
  return function(id)
    for index = 0, route.count(kind) - 1 do
      local found = route.entity(kind, index)
      if found.id == id then
        return found
      end
    end
  end
end

local function consumer_by_id(id)
  local found = route.find_consumer(id)
  return found and found.id == id and found or nil
end

local function consumer_by_username(name)
  local found = route.find_consumer(name)
  return found and found.username == name and found or nil
end

-- kind: what route.entity takes (nil: cannot be listed). id: finder by id. unique: finders by other fields.
local DAOS = {
  consumers = {
    kind = "consumer", id = consumer_by_id, key = { "id" },
    unique = {
      username = consumer_by_username,
      custom_id = function(id)
        return (route.find_consumer(id, true))
      end,
    },
  },
  services = { kind = "service", id = by_id("service"), key = { "id" }, unique = { name = named("service") } },
  routes = { kind = "route", id = by_id("route"), key = { "id" }, unique = { name = named("route") } },
  upstreams = { kind = "upstream", id = by_id("upstream"), key = { "id" }, unique = { name = named("upstream") } },
  plugins = {
    kind = "plugin", id = scan_for_id("plugin"),
    key = { "name", "route", "service", "consumer" }, unique = {},
  },
  keyauth_credentials = { id = scan_for_id("credential"), key = { "key" }, unique = { key = credential("keyauth") } },
  basicauth_credentials = {
    id = scan_for_id("credential"), key = { "username" }, unique = { username = credential("basicauth") },
  },
  hmacauth_credentials = {
    id = scan_for_id("credential"), key = { "username" }, unique = { username = credential("hmacauth") },
  },
  jwt_secrets = { id = scan_for_id("credential"), key = { "key" }, unique = { key = credential("jwt") } },
  acls = {
    id = function()
      return nil
    end,
    key = { "consumer" }, unique = {},
  },
}

-- ---- methods of all DAOs ----

local function id_of(key, level)
  local id = key
  if type(key) == "table" then
    id = key.id
  end
  if type(id) ~= "string" then
    error("primary_key must be a table with an id", level + 1)
  end
  return id
end

--- The entity of a primary key, {id = ...}; nil when there is none.
function Dao:select(key)
  return self.spec.id(id_of(key, 2))
end

--- Entities one by one: for entity, err in dao:each() do. Nothing for kinds that cannot be listed.
function Dao:each()
  local kind, index = self.spec.kind, -1
  local n = kind and route.count(kind) or 0
  return function()
    index = index + 1
    if index < n then
      return route.entity(kind, index), nil, 1
    end
  end
end

--- A page of entities: array, nil, nil, offset of the next page (nil at the end).
function Dao:page(size, offset)
  size = size or PAGE_SIZE
  if type(size) ~= "number" or size < 1 or size > MAX_PAGE_SIZE then
    return nil, "size must be an integer between 1 and " .. MAX_PAGE_SIZE
  end
  local kind, from = self.spec.kind, tonumber(offset or 0)
  if not from then
    return nil, "bad offset"
  end
  local n, out = kind and route.count(kind) or 0, {}
  for index = from, math.min(from + size, n) - 1 do
    out[#out + 1] = route.entity(kind, index)
  end
  local after = from + size
  return out, nil, nil, after < n and tostring(after) or nil
end

local function key_part(value)
  if value == nil or value == null then
    return ""
  elseif type(value) == "table" then
    return tostring(value.id or "")
  end
  return tostring(value)
end

--- A text that names an entity in caches: cache_key("k1", ...) or cache_key(entity).
function Dao:cache_key(key, ...)
  local values = { key, ... }
  if type(key) == "table" then
    values = {}
    for i, name in ipairs(self.spec.key) do
      values[i] = key[name] or ""
    end
    if not key[self.spec.key[1]] and key.id then
      values[1] = key.id
    end
  end
  local out = { self.name }
  for i = 1, 5 do
    out[#out + 1] = key_part(values[i])
  end
  out[#out + 1] = WORKSPACE
  return table.concat(out, ":")
end

local function refuse()
  return nil, READ_ONLY, { code = 12, name = "operation unsupported", message = READ_ONLY }
end

Dao.insert, Dao.update, Dao.upsert, Dao.delete = refuse, refuse, refuse, refuse

-- ---- what single DAOs have ----

-- Groups of a consumer, as entities of the acl plugin have them.
local function groups_of(key)
  local consumer = consumer_by_id(id_of(key, 3))
  local out = {}
  for i, group in ipairs(consumer and consumer.groups or {}) do
    out[i] = { group = group, consumer = { id = consumer.id } }
  end
  return out
end

local function each_group(_, key)
  local groups, i = groups_of(key), 0
  return function()
    i = i + 1
    return groups[i]
  end
end

local function page_of_groups(_, key)
  return groups_of(key)
end

local function make_dao(name, spec)
  local dao = { name = name, spec = spec, schema = { name = name } }
  for field, find in pairs(spec.unique) do
    local function select_by(_, value)
      if type(value) ~= "string" then
        error(field .. " must be a string", 2)
      end
      return find(value)
    end
    dao["select_by_" .. field] = select_by
  end
  return setmetatable(dao, { __index = Dao })
end

for name, spec in pairs(DAOS) do
  _M[name] = make_dao(name, spec)
end
_M.acls.each_for_consumer, _M.acls.page_for_consumer = each_group, page_of_groups
_M.strategy = "off"

-- For kong.client: the index of a credential of the current configuration, or nil for any other table.
local indexes = setmetatable({}, { __mode = "k" })

local function remember(kind, key, found)
  local _, index = route.find_credential(kind, key)
  indexes[found] = index
  return index
end

local LOOKUP_KEYS = { { "keyauth", "key" }, { "jwt", "key" }, { "basicauth", "username" }, { "hmacauth", "username" } }

local function look_up(wanted)
  for _, pair in ipairs(LOOKUP_KEYS) do
    local key = wanted[pair[2]]
    if type(key) == "string" and route.find_credential(pair[1], key) == wanted then
      return remember(pair[1], key, wanted)
    end
  end
end

local function credential_index(wanted)
  if type(wanted) ~= "table" then
    return nil
  end
  local index = indexes[wanted]
  if index and route.entity("credential", index) == wanted then
    return index
  end
  return look_up(wanted)
end

--- The DAOs, under the names they have in Kong.
return setmetatable({ credential_index = credential_index }, { __index = _M })

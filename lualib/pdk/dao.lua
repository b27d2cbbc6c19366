-- The methods of kong.db.<entities>: select, select_by_<unique>, each, each_for_<foreign>, page, cache_key.
-- Where the entities come from is collection.lua's. Not a database: what would write says so.
-- Invariant: results are shared tables of the configuration, never to be changed.

local null = require("cjson").null

local M = {}

local WORKSPACE = "default"
local PAGE_SIZE, MAX_PAGE_SIZE = 100, 1000
local REFUSED = "cannot %s '%s' entities%s when not using a database"
local CACHE_KEY_PARTS = 5

local Dao = {}
Dao.__index = Dao

-- ---- reading ----

-- The value of a primary key: of a table that has its field, or the value itself.
local function key_value(self, key, what, level)
  local value = key
  if type(key) == "table" then
    value = key[self.primary_key]
  end
  if value == nil or type(value) == "table" then
    error(("%s must be a table with an %s"):format(what, self.primary_key), level + 1)
  end
  return value
end

--- The entity of a primary key, {id = ...}; nil when there is none.
function Dao:select(key)
  return self.collection:find(self.primary_key, key_value(self, key, "primary_key", 2))
end

--- Is there an entity with this primary key?
function Dao:exists(key)
  return self.collection:find(self.primary_key, key_value(self, key, "primary_key", 2)) ~= nil
end

local function walk(count, at)
  local i, n = 0, count
  return function()
    i = i + 1
    if i <= n then
      return at(i), nil, math.floor((i - 1) / PAGE_SIZE) + 1
    end
  end
end

--- Entities one by one: for entity, err in dao:each() do.
function Dao:each()
  local collection = self.collection
  return walk(collection:count(), function(i) return collection:at(i) end)
end

local function page(count, at, size, offset)
  size = size or PAGE_SIZE
  if type(size) ~= "number" or size < 1 or size > MAX_PAGE_SIZE or size % 1 ~= 0 then
    return nil, "size must be an integer between 1 and " .. MAX_PAGE_SIZE, { code = 9, name = "invalid size" }
  end
  local from = tonumber(offset or 0)
  if not from or from < 0 or from % 1 ~= 0 then
    return nil, "'" .. tostring(offset) .. "' is not a valid offset", { code = 7, name = "invalid offset" }
  end
  local out, last = {}, math.min(from + size, count)
  for i = from + 1, last do
    out[#out + 1] = at(i)
  end
  return out, nil, nil, last < count and tostring(last) or nil
end

--- A page of entities: array, nil, nil, offset of the next page (nil at the end).
function Dao:page(size, offset)
  local collection = self.collection
  return page(collection:count(), function(i) return collection:at(i) end, size, offset)
end

--- The entity whose cache_key(entity) is this text, or nil.
function Dao:select_by_cache_key(key)
  if type(key) ~= "string" then
    error("cache_key must be a string", 2)
  end
  for entity in self:each() do
    if self:cache_key(entity) == key then
      return entity
    end
  end
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
    for i, name in ipairs(self.cache_fields) do
      values[i] = key[name] or ""
    end
    if not key[self.cache_fields[1]] and key[self.primary_key] then
      values[1] = key[self.primary_key]
    end
  end
  local out = { self.name }
  for i = 1, CACHE_KEY_PARTS do
    out[#out + 1] = key_part(values[i])
  end
  out[#out + 1] = WORKSPACE
  return table.concat(out, ":")
end

-- ---- writing: refused ----

local VERBS = { insert = "create", update = "update", upsert = "create or update", delete = "remove" }

local function refuser(name, method, field)
  local by = field and " by '" .. field .. "'" or ""
  local message = REFUSED:format(VERBS[method], name, by)
  return function()
    return nil, message, { code = 12, name = "operation unsupported", message = message }
  end
end

-- ---- making ----

local function add_unique(dao, field)
  dao["select_by_" .. field] = function(self, value)
    if type(value) ~= "string" then
      error(field .. " must be a string", 2)
    end
    return self.collection:find(field, value)
  end
  for _, method in ipairs({ "update", "upsert", "delete" }) do
    dao[method .. "_by_" .. field] = refuser(dao.name, method, field)
  end
end

local function add_foreign(dao, field)
  local function of(self, key, level)
    local id = type(key) == "table" and key.id or key
    if type(id) ~= "string" then
      error(field .. " must be a table with an id", level + 1)
    end
    return self.collection:all(field, id)
  end
  dao["each_for_" .. field] = function(self, key)
    local list = of(self, key, 2)
    return walk(#list, function(i) return list[i] end)
  end
  dao["page_for_" .. field] = function(self, key, size, offset)
    local list = of(self, key, 2)
    return page(#list, function(i) return list[i] end, size, offset)
  end
end

--- A DAO. facts: name, primary_key (a field's name), cache_key (names of fields; nil: the primary key),
--- unique and foreign (lists of fields' names). collection: see collection.lua.
function M.new(facts, collection)
  local primary_key = facts.primary_key or "id"
  local dao = {
    name = facts.name, collection = collection, primary_key = primary_key,
    cache_fields = facts.cache_key or { primary_key },
    schema = {
      name = facts.name, primary_key = { primary_key }, cache_key = facts.cache_key,
      endpoint_key = facts.key,
    },
  }
  for _, field in ipairs(facts.unique or {}) do
    if field ~= primary_key then
      add_unique(dao, field)
    end
  end
  for _, field in ipairs(facts.foreign or {}) do
    add_foreign(dao, field)
  end
  for method in pairs(VERBS) do
    dao[method] = refuser(dao.name, method)
  end
  return setmetatable(dao, Dao)
end

return M

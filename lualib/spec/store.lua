-- The entities that a spec written for Kong inserts through blueprints (bp.routes:insert) or db, kept in
-- tables until the gateway is started with them. Defaults are filled as specs expect them.
-- Not a database: nothing is checked before the configuration is loaded.

local host = require "moongate.spec.host"
local kinds = require "moongate.config.kinds"
local node = require "moongate.abi.node"

local function copy(t)
  local out = {}
  for name, value in pairs(t or {}) do
    if value ~= ngx.null then
      out[name] = type(value) == "table" and copy(value) or value
    end
  end
  return setmetatable(out, getmetatable(t))
end

-- What is filled in, by kind: fn(entity, store, n).
local DEFAULTS = {
  services = function(entity, store, n)
    entity.name = entity.name or "service-" .. n
    if not entity.url then
      entity.host = entity.host or store.upstream.host
      entity.port = entity.port or store.upstream.port
      entity.protocol = entity.protocol or "http"
    end
  end,
  routes = function(entity, store)
    if entity.service == nil and not entity.no_service then
      entity.service = { id = store.blueprint.services:insert().id }
    end
    entity.no_service = nil
  end,
  consumers = function(entity, _, n)
    if not entity.username and not entity.custom_id then
      entity.username = "user-" .. n
    end
  end,
  upstreams = function(entity, _, n)
    entity.name = entity.name or "upstream-" .. n
  end,
  plugins = function(entity)
    entity.config = entity.config or {}
  end,
}

local CREDENTIALS = { keyauth_credentials = "key", basicauth_credentials = "username", hmacauth_credentials = "username",
  jwt_secrets = "key" }

-- Fields of a plugin's own entities that Kong fills by itself.
local function fill_auto(kind, entity)
  for _, item in ipairs(kind.definition.fields) do
    local name, field = next(item)
    if field.auto and field.type == "string" and entity[name] == nil then
      entity[name] = field.uuid and node.uuid() or node.uuid():gsub("-", "")
    elseif field.default ~= nil and entity[name] == nil then
      entity[name] = type(field.default) == "table" and copy(field.default) or field.default
    end
  end
end

local function fill(store, kind, entity, n)
  entity.id = entity.id or node.uuid()
  if DEFAULTS[kind] then
    DEFAULTS[kind](entity, store, n)
  end
  local key = CREDENTIALS[kind]
  if key then
    entity[key] = entity[key] or node.uuid():gsub("-", "")
  end
  if key and entity.consumer == nil then
    entity.consumer = { id = store.blueprint.consumers:insert().id }
  end
  if store.kinds.by_name[kind].plugin then
    fill_auto(store.kinds.by_name[kind], entity)
  end
  return entity
end

local Collection = {}

function Collection.insert(self, entity)
  local list = self.store.lists[self.kind] or {}
  self.store.lists[self.kind] = list
  local made = fill(self.store, self.kind, copy(entity), #list + 1)
  if self.plugin then
    made.name = self.plugin
  end
  list[#list + 1] = made
  return copy(made)
end

function Collection.insert_n(self, n, entity)
  local out = {}
  for i = 1, n do
    out[i] = self:insert(entity)
  end
  return out
end

-- The entity whose id or name, or whose `field`, is the key.
local function find(self, key, field)
  local wanted = type(key) == "table" and (key.id or key.name or key.username) or key
  for i, entity in ipairs(self.store.lists[self.kind] or {}) do
    if field and entity[field] == wanted
      or not field and (entity.id == wanted or entity.name == wanted or entity.username == wanted) then
      return entity, i
    end
  end
end

function Collection.select(self, key, field)
  local found = find(self, key, field)
  return found and copy(found)
end

-- Takes effect when the gateway is next started.
function Collection.update(self, key, values, field)
  local found = find(self, key, field)
  if not found then
    return nil, "not found"
  end
  for name, value in pairs(values) do
    found[name] = value ~= ngx.null and value or nil
  end
  return copy(found)
end

function Collection.upsert(self, key, values, field)
  local made = self:update(key, values, field)
  if made then
    return made
  end
  made = copy(values)
  made[field or "id"] = made[field or "id"] or (field and key or key.id)
  return self:insert(made)
end

function Collection.remove(self, key, field)
  local _, i = find(self, key, field)
  if i then
    table.remove(self.store.lists[self.kind], i)
  end
  return true
end

Collection.delete = Collection.remove

function Collection.truncate(self)
  self.store.lists[self.kind] = {}
  return true
end

function Collection.page(self)
  return copy(self.store.lists[self.kind] or {})
end

function Collection.each(self)
  local list, i = self:page(), 0
  return function()
    i = i + 1
    return list[i]
  end
end

-- As kong.db's: the key under which plugins keep an entity in kong.cache.
function Collection.cache_key(self, ...)
  return kong.db[self.kind]:cache_key(...)
end

-- Methods by field: select_by_username, update_by_key, upsert_by_name, delete_by_key ...
function Collection.__index(_, name)
  local method, field = tostring(name):match("^(%l+)_by_(.+)$")
  if method ~= "select" and method ~= "update" and method ~= "upsert" and method ~= "delete" then
    return Collection[name]
  elseif method == "select" or method == "delete" then
    return function(self, key)
      return Collection[method](self, key, field)
    end
  end
  return function(self, key, values)
    return Collection[method](self, key, values, field)
  end
end

local function collections(store)
  return setmetatable({}, { __index = function(t, name)
    local plugin = name:match("^(.+)_plugins$")
    local kind = plugin and "plugins" or name
    if not store.kinds.by_name[kind] then
      error("spec.helpers: there are no entities of the kind '" .. tostring(name) .. "' here: Kong's are, and what plugins"
        .. " declare in daos.lua", 2)
    end
    local made = setmetatable({ store = store, kind = kind, plugin = plugin and plugin:gsub("_", "-") or nil }, Collection)
    rawset(t, name, made)
    return made
  end })
end

local Store = {}
Store.__index = Store

-- The declarative configuration: lists by kind, references by id.
function Store.config(self)
  local out = { _format_version = "3.0" }
  for kind, list in pairs(self.lists) do
    if #list > 0 then
      out[kind] = copy(list)
      for _, entity in ipairs(out[kind]) do
        for _, reference in ipairs(self.kinds.by_name[kind].foreign) do
          local value = entity[reference.name]
          if type(value) == "table" then
            entity[reference.name] = value.id or value.name
          end
        end
      end
    end
  end
  return out
end

-- upstream: {host, port} that services go to by default.
local function new(upstream)
  local self = setmetatable({ lists = {}, upstream = upstream, kinds = kinds.new(host.plugin_daos()) }, Store)
  self.blueprint = collections(self)
  self.db = collections(self)
  self.db.truncate = function(_, kind)
    if kind then
      self.lists[kind] = nil
    else
      self.lists = {}
    end
    return true
  end
  return self
end

return { new = new }

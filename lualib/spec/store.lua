-- The entities that a spec written for Kong inserts through blueprints (bp.routes:insert) or db, kept in
-- tables until the gateway is started with them. Defaults are filled as specs expect them.
-- Not a database: nothing is checked before the configuration is loaded.

local node = require "moongate.abi.node"

local KINDS = {}
for name in ([[services routes plugins consumers consumer_groups upstreams targets certificates snis ca_certificates vaults
  keyauth_credentials basicauth_credentials hmacauth_credentials jwt_secrets acls oauth2_credentials]]):gmatch("%S+") do
  KINDS[name] = true
end

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
  return entity
end

local Collection = {}
Collection.__index = Collection

function Collection.insert(self, entity)
  local list = self.store.lists[self.kind]
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

local function find(self, key)
  local wanted = type(key) == "table" and (key.id or key.name or key.username) or key
  for i, entity in ipairs(self.store.lists[self.kind]) do
    if entity.id == wanted or entity.name == wanted or entity.username == wanted then
      return entity, i
    end
  end
end

function Collection.select(self, key)
  local found = find(self, key)
  return found and copy(found)
end

-- Takes effect when the gateway is next started.
function Collection.update(self, key, values)
  local found = find(self, key)
  if not found then
    return nil, "not found"
  end
  for name, value in pairs(values) do
    found[name] = value ~= ngx.null and value or nil
  end
  return copy(found)
end

function Collection.upsert(self, key, values)
  return self:update(key, values) or self:insert(values)
end

function Collection.remove(self, key)
  local _, i = find(self, key)
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

local function collections(store)
  return setmetatable({}, { __index = function(t, name)
    local plugin = name:match("^(.+)_plugins$")
    local kind = plugin and "plugins" or name
    if not KINDS[kind] then
      error("spec.helpers: there are no entities of the kind '" .. tostring(name) .. "' here", 2)
    end
    store.lists[kind] = store.lists[kind] or {}
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
        for _, name in ipairs({ "service", "route", "consumer", "consumer_group", "upstream", "certificate" }) do
          if type(entity[name]) == "table" then
            entity[name] = entity[name].id or entity[name].name
          end
        end
      end
    end
  end
  return out
end

-- upstream: {host, port} that services go to by default.
local function new(upstream)
  local self = setmetatable({ lists = {}, upstream = upstream }, Store)
  self.blueprint = collections(self)
  self.db = collections(self)
  self.db.truncate = function()
    self.lists = {}
    return true
  end
  return self
end

return { new = new }

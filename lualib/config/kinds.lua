-- The kinds of entities that one load knows: the built-in ones (entities.lua) and those that plugins
-- declare in daos.lua. It reads no entity (tree.lua) and checks none (check.lua).
-- Invariant: a built-in kind is never replaced; every kind here has a schema that can be used.

local entities = require("moongate.config.entities")
local typedefs = require("moongate.schema.typedefs")

local Schema = require("moongate.schema")

local M = {}

-- Fields by which other entities may be referred to, besides the id.
local NAME_FIELD = {
  services = "name", routes = "name", consumers = "username", consumer_groups = "name",
  upstreams = "name", plugins = "instance_name", snis = "name", vaults = "prefix",
  key_sets = "name", keys = "name",
}

local function has_field(fields, wanted)
  for _, item in ipairs(fields) do
    if next(item) == wanted then
      return true
    end
  end
  return false
end

-- What tree, links and check ask of a kind, derived from its definition once.
local function describe(definition, plugin)
  local kind = {
    name = definition.name, definition = definition, plugin = plugin,
    unique = {}, foreign = {}, children = {}, schema = nil,
    name_field = NAME_FIELD[definition.name] or definition.key,
  }
  for child, field in pairs(definition.children or {}) do
    kind.children[child] = field
  end
  for _, item in ipairs(definition.fields) do
    local name, field = next(item)
    if name == "id" then
      table.insert(kind.unique, 1, name)
    elseif field.unique then
      table.insert(kind.unique, name)
    elseif field.type == "foreign" then
      table.insert(kind.foreign, { name = name, kind = field.reference })
    end
  end
  return kind
end

local built_in = {}
for _, name in ipairs(entities.ORDER) do
  built_in[name] = describe(entities[name])
  built_in[name].schema = assert(Schema.new(entities[name]))
end

-- ---- what a plugin declares ----

-- A DAO's schema as a definition of ours: the id, tags and ttl that Kong gives are there too.
local function definition_of(dao)
  local fields = {}
  for i, item in ipairs(dao.fields) do
    fields[i] = item
  end
  local more = {
    { "id", typedefs.uuid, true }, { "tags", typedefs.tags, true },
    { "created_at", typedefs.auto_timestamp_s, true }, { "updated_at", typedefs.auto_timestamp_s, true },
    { "ttl", typedefs.ttl, dao.ttl },
  }
  for _, row in ipairs(more) do
    if row[3] and not has_field(fields, row[1]) then
      fields[#fields + 1] = { [row[1]] = row[2] }
    end
  end
  return {
    name = dao.name, key = dao.endpoint_key, fields = fields, entity_checks = dao.entity_checks,
    shorthand_fields = dao.shorthand_fields, transformations = dao.transformations,
    primary_key = dao.primary_key, cache_key = dao.cache_key,
  }
end

local function custom_kind(dao, plugin)
  if type(dao) ~= "table" or type(dao.name) ~= "string" then
    return nil, "daos.lua: an entity needs a 'name'"
  elseif type(dao.fields) ~= "table" then
    return nil, "daos.lua: " .. dao.name .. ": error in schema definition: no 'fields' table"
  elseif type(dao.primary_key) ~= "table" or type(dao.primary_key[1]) ~= "string" then
    return nil, "daos.lua: " .. dao.name .. ": error in schema definition: no 'primary_key' list"
  end
  local definition = definition_of(dao)
  local schema, err = Schema.new(definition)
  if not schema then
    return nil, "daos.lua: " .. err
  end
  local kind = describe(definition, plugin)
  kind.schema = schema
  return kind
end

-- daos.lua returns a list of schemas, or a map by name.
local function schemas_in(value)
  local names, out = {}, {}
  for key in pairs(value) do
    names[#names + 1] = key
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(names) do
    out[i] = value[key]
  end
  return out
end

local Kinds = {}
Kinds.__index = Kinds

local function add(self, kind)
  self.by_name[kind.name] = kind
  self.order[#self.order + 1] = kind.name
  self.custom[#self.custom + 1] = kind
end

local function add_plugin(self, row)
  if type(row.daos) ~= "table" then
    self.broken[row.plugin] = row.err or "daos.lua returns no table"
    return
  end
  for _, dao in ipairs(schemas_in(row.daos)) do
    local known = type(dao) == "table" and self.by_name[dao.name]
    local kind, err
    if known and known.plugin then
      err = "daos.lua: '" .. known.name .. "' is an entity of plugin '" .. known.plugin .. "' already"
    elseif not known then
      kind, err = custom_kind(dao, row.plugin)
    end
    if kind then
      add(self, kind)
    end
    self.broken[row.plugin] = self.broken[row.plugin] or err
  end
end

-- Children stand under what they refer to, as in Kong's declarative format.
local function link_children(self)
  for _, kind in ipairs(self.custom) do
    for _, reference in ipairs(kind.foreign) do
      local parent = self.by_name[reference.kind]
      if not parent then
        self.broken[kind.plugin] = ("daos.lua: %s.%s refers to '%s', which is no entity"):format(
          kind.name, reference.name, tostring(reference.kind))
      elseif not parent.children[kind.name] and not has_field(parent.definition.fields, kind.name) then
        parent.children[kind.name] = reference.name
      end
    end
  end
end

-- A copy whose children may grow in one load.
local function copy_of(kind)
  local copy = setmetatable({ children = {} }, { __index = kind })
  for child, field in pairs(kind.children) do
    copy.children[child] = field
  end
  return copy
end

--- The kinds of one load. rows: { plugin = name, daos = what daos.lua returned, or nil and err = }.
--- kinds.order: names, what is referred to first; kinds.by_name; kinds.custom: those of plugins;
--- kinds.broken: what is wrong, by plugin.
function M.new(rows)
  local self = setmetatable({ order = {}, by_name = {}, custom = {}, broken = {} }, Kinds)
  for i, name in ipairs(entities.ORDER) do
    self.order[i] = name
    self.by_name[name] = copy_of(built_in[name])
  end
  for _, row in ipairs(rows or {}) do
    add_plugin(self, row)
  end
  link_children(self)
  return self
end

--- What kong.db needs to know of plugins' entities: { name, key, primary_key, cache_key, unique, foreign }.
function Kinds:daos()
  local out = {}
  for i, kind in ipairs(self.custom) do
    local foreign = {}
    for _, reference in ipairs(kind.foreign) do
      foreign[reference.name] = reference.kind
    end
    out[i] = {
      name = kind.name, key = kind.definition.key, primary_key = kind.definition.primary_key,
      cache_key = kind.definition.cache_key, unique = kind.unique, foreign = foreign,
    }
  end
  return out
end

return M

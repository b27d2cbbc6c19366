-- All entities of a configuration in memory, and the rules of changing them: schema, unique fields, references. Every change is
-- checked as the loader would check the whole, so that what is here always loads.
-- Not where it is kept or put in use (publish.lua). Errors are answers of errors.lua.
-- Invariant: a refused change has changed nothing.

local config_kinds = require("moongate.config.kinds")
local errors = require("moongate.admin.errors")
local generated = require("moongate.config.generated")
local json = require("moongate.util.json_encode")
local kinds = require("moongate.admin.kinds")
local node = require("moongate.abi.node")
local plugins = require("moongate.admin.plugins")
local shape = require("moongate.schema.shape")

local Index = require("moongate.admin.index")
local Schema = require("moongate.schema")

local null = json.null

local Store = {}
Store.__index = Store

local built_in = config_kinds.new().by_name

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

function Store.is_id(text)
  return text:find(UUID) ~= nil
end

local function now()
  return math.floor(node.now())
end

--- A store of the lists that config/inventory.lua makes. Entities are taken.
function Store.new(lists)
  local self = setmetatable({ kinds = {}, members = {}, groups = {}, others = {} }, Store)
  local loaded_at = now()
  for _, row in ipairs(kinds.list) do
    local index, list = Index.new(row), lists[row.kind] or {}
    for _, entity in ipairs(list) do
      entity.created_at = entity.created_at or loaded_at
      entity.updated_at = entity.updated_at or entity.created_at
    end
    index:fill(list)
    self.kinds[row.kind] = index
  end
  for kind, list in pairs(lists) do -- entities of plugins (daos.lua): kept, and not shown
    if not self.kinds[kind] and kind ~= "consumer_group_consumers" and list[1] then
      self.others[#self.others + 1] = json.encode(kind) .. ":" .. json.encode(list)
    end
  end
  table.sort(self.others)
  for _, pair in ipairs(lists.consumer_group_consumers or {}) do
    self:join(pair.consumer.id, pair.consumer_group.id)
  end
  return self
end

-- schemas -----------------------------------------------------------------------------------------

--- The schema of an entity of this kind, or nil and an answer.
function Store.schema_of(kind, entity)
  if kind ~= "plugins" or type(entity.name) ~= "string" or entity.name == "" then
    return built_in[kind].schema
  end
  local schema, why = plugins.schema(entity.name)
  if schema then
    return schema
  end
  local failed = { name = why or ("plugin '" .. entity.name .. "' not enabled; add the '" .. entity.name
    .. "' plugin to the 'plugins' directory") }
  return nil, errors.schema_violation(built_in.plugins.schema, failed)
end

--- The entity as it is shown.
function Store:view(kind, entity)
  local out = shape.whole(assert(self.schema_of(kind, entity)), entity)
  local field = self.kinds[kind].row.verbatim
  if field then
    out[field] = entity[field]
  end
  return out
end

--- The same as JSON text, made once.
function Store:view_text(kind, entity)
  local views = self.kinds[kind].views
  local text = views[entity.id]
  if not text then
    text = json.encode(self:view(kind, entity))
    views[entity.id] = text
  end
  return text
end

-- reading -----------------------------------------------------------------------------------------

--- The entity with that id, or with that value of the kind's other name; nil.
function Store:find(kind, key)
  local index = self.kinds[kind]
  if Store.is_id(key) then
    return index.by_id[key]
  end
  local field = index.row.key
  return field and index.unique[field] and index.by_id[index.unique[field][key]] or self:find_instance(kind, key)
end

-- Names of instances of plugins may be given twice in files, so they are no index.
function Store:find_instance(kind, key)
  if kind ~= "plugins" then
    return nil
  end
  for _, id in ipairs(self.kinds.plugins.ids) do
    local entity = self.kinds.plugins.by_id[id]
    if entity.instance_name == key then
      return entity
    end
  end
end

--- The same among those that refer to a parent by `field`.
function Store:find_below(kind, key, field, parent)
  local index = self.kinds[kind]
  local found = self:find(kind, key)
  if found then
    local ref = found[field]
    return type(ref) == "table" and ref.id == parent and found or nil
  end
  for _, id in ipairs(index.row.key_below and index:ids_of(field, parent) or {}) do
    if index.by_id[id][index.row.key_below] == key then
      return index.by_id[id]
    end
  end
end

-- changing ----------------------------------------------------------------------------------------

-- {id =}, {name =} or a name, as {id =}; or nil and an answer.
local function resolve(self, field, kind, value)
  local wanted = value
  if type(value) == "table" then
    local row = kinds.by_kind[kind]
    wanted = value.id or (row.key and value[row.key]) or value.name
  end
  if type(wanted) ~= "string" then
    return nil, errors.schema_violation(Schema, { [field] = "expected a record with 'id'" })
  end
  local found = self:find(kind, wanted)
  if found then
    return { id = found.id }
  end
  return nil, errors.foreign(field, type(value) == "table" and value or { id = value }, kind)
end

local function resolve_all(self, row, input)
  local out = {}
  for key, value in pairs(input) do
    out[key] = value
  end
  for field, kind in pairs(row.foreign) do
    local value = input[field]
    if value ~= nil and value ~= null then
      local ref, answer = resolve(self, field, kind, value)
      if not ref then
        return nil, answer
      end
      out[field] = ref
    end
  end
  return out
end

-- A null that was written stays: without it the default would come back.
local function keep_nulls(out, input)
  for key, value in pairs(input) do
    if value == null and out[key] == nil then
      out[key] = null
    elseif type(value) == "table" and type(out[key]) == "table" and not json.is_array(value) then
      keep_nulls(out[key], value)
    end
  end
end

local function check_unique(index, entity)
  for field, seen in pairs(index.unique) do
    local value = entity[field]
    if value ~= nil and value ~= null and seen[value] and seen[value] ~= entity.id then
      return errors.unique({ [field] = value })
    end
  end
  local together = index:combination(entity)
  if together and index.combined[together] and index.combined[together] ~= entity.id then
    local fields = {}
    for _, field in ipairs(index.row.combined) do
      fields[field] = entity[field] == nil and null or entity[field]
    end
    return errors.unique(fields)
  end
end

-- What the input becomes, checked against everything; or nil and an answer.
local function prepare(self, kind, input, before)
  local index = self.kinds[kind]
  local resolved, answer = resolve_all(self, index.row, input)
  if not resolved then
    return nil, answer
  end
  resolved.created_at = before and before.created_at or type(input.created_at) == "number" and input.created_at or now()
  resolved.updated_at = now()
  local schema
  schema, answer = self.schema_of(kind, resolved)
  if not schema then
    return nil, answer
  end
  generated.fill(schema.definition.fields, resolved, node.random_bytes)
  local out, failed = schema:process(resolved, { transform = false })
  if not out then
    return nil, errors.schema_violation(schema, failed)
  end
  keep_nulls(out, resolved)
  answer = check_unique(index, out)
  if answer then
    return nil, answer
  end
  return out
end

--- Checks an entity as if it were written, without references to others: true, or nil and an answer.
function Store.validate(kind, input)
  local schema, answer = Store.schema_of(kind, input)
  if not schema then
    return nil, answer
  end
  local out, failed = schema:process(input, { transform = false })
  if not out then
    return nil, errors.schema_violation(schema, failed)
  end
  return true
end

local function with_id(input, id)
  local out = {}
  for key, value in pairs(input) do
    out[key] = value
  end
  out.id = id
  return out
end

--- A new entity; its id is the input's or made. The entity, or nil and an answer.
function Store:insert(kind, input)
  local index = self.kinds[kind]
  local id = input.id
  if id ~= nil and id ~= null and index.by_id[id] then
    return nil, errors.make("primary_key_violation", "primary key violation on key '" .. errors.show({ id = id }) .. "'",
      { id = id })
  end
  local entity, answer = prepare(self, kind, with_id(input, (id ~= nil and id ~= null) and id or node.uuid()))
  if entity then
    index:put(entity)
  end
  return entity, answer
end

--- Makes the entity of that id what the input says and nothing else; it need not be there.
function Store:replace(kind, id, input)
  local index = self.kinds[kind]
  local entity, answer = prepare(self, kind, with_id(input, id), index.by_id[id])
  if entity then
    index:put(entity)
  end
  return entity, answer
end

-- Records are merged field by field, everything else is replaced.
local function merge(record, base, changes)
  local out = {}
  for key, value in pairs(base) do
    out[key] = value
  end
  for key, value in pairs(changes) do
    local field = record.by_name[key]
    local both = type(value) == "table" and type(out[key]) == "table"
    out[key] = both and field and field.type == "record" and merge(Schema.compile(field), out[key], value) or value
  end
  return out
end

--- Changes some fields of an entity that is there.
function Store:update(kind, id, changes)
  local index = self.kinds[kind]
  local before = index.by_id[id]
  local schema, answer = self.schema_of(kind, { name = changes.name or before.name })
  if not schema then
    return nil, answer
  end
  local entity
  entity, answer = prepare(self, kind, with_id(merge(schema.record, before, changes), id), before)
  if entity then
    index:put(entity)
  end
  return entity, answer
end

-- Kinds that refer to `kind`: {index, field} each.
local function referrers(self, kind)
  local out = {}
  for _, row in ipairs(kinds.list) do
    for field, target in pairs(row.foreign) do
      if target == kind then
        out[#out + 1] = { index = self.kinds[row.kind], field = field, cascade = row.cascade[field] }
      end
    end
  end
  return out
end

--- Takes an entity out, and with it what is only there for its sake. true, or nil and an answer.
function Store:remove(kind, id)
  local list = referrers(self, kind)
  for _, by in ipairs(list) do
    if not by.cascade and next(by.index.refs[by.field][id] or {}) then
      return nil, errors.referenced(kind, by.index.row.kind)
    end
  end
  for _, by in ipairs(list) do
    for _, child in ipairs(by.index:ids_of(by.field, id)) do
      self:remove(by.index.row.kind, child)
    end
  end
  self:leave_all(id)
  self.kinds[kind]:remove(id)
  return true
end

-- consumer groups ---------------------------------------------------------------------------------

--- Puts a consumer into a group; false when it is there.
function Store:join(consumer, group)
  local members, groups = self.members[group] or {}, self.groups[consumer] or {}
  if members[consumer] then
    return false
  end
  members[consumer], groups[group] = true, true
  self.members[group], self.groups[consumer] = members, groups
  return true
end

--- Takes it out; false when it was not in.
function Store:leave(consumer, group)
  if not (self.members[group] and self.members[group][consumer]) then
    return false
  end
  self.members[group][consumer], self.groups[consumer][group] = nil, nil
  return true
end

-- For the end of a consumer or of a group.
function Store:leave_all(id)
  for group in pairs(self.groups[id] or {}) do
    self.members[group][id] = nil
  end
  for consumer in pairs(self.members[id] or {}) do
    self.groups[consumer][id] = nil
  end
  self.groups[id], self.members[id] = nil, nil
end

--- Members of a group, or groups of a consumer: entities in the order of their ids.
function Store:members_of(kind, id)
  local other = kind == "consumers" and "consumer_groups" or "consumers"
  local out = {}
  for key in pairs((kind == "consumers" and self.groups or self.members)[id] or {}) do
    out[#out + 1] = self.kinds[other].by_id[key]
  end
  table.sort(out, function(a, b) return a.id < b.id end)
  return out, other
end

-- the whole ---------------------------------------------------------------------------------------

--- All of it as one declarative file, JSON: entities once made into text are not made again.
function Store:text()
  local sections = {}
  for _, row in ipairs(kinds.list) do
    local index, list = self.kinds[row.kind], {}
    for i, id in ipairs(index.ids) do
      list[i] = index:text(id)
    end
    if list[1] then
      sections[#sections + 1] = '"' .. row.kind .. '":[' .. table.concat(list, ",\n") .. "]"
    end
  end
  local pairs_of_group = {}
  for _, group in ipairs(self.kinds.consumer_groups.ids) do
    for _, consumer in ipairs((self:members_of("consumer_groups", group))) do
      pairs_of_group[#pairs_of_group + 1] = ('{"consumer":{"id":"%s"},"consumer_group":{"id":"%s"}}'):format(consumer.id, group)
    end
  end
  if pairs_of_group[1] then
    sections[#sections + 1] = '"consumer_group_consumers":[' .. table.concat(pairs_of_group, ",\n") .. "]"
  end
  for _, section in ipairs(self.others) do
    sections[#sections + 1] = section
  end
  table.insert(sections, 1, '{"_format_version":"3.0"')
  return table.concat(sections, ",\n") .. "}\n"
end

return Store

-- What a plugin's schema says that no configuration would ever show: attributes that mean nothing, defaults that
-- their own field refuses, lists without elements. For plugin_check.lua.
-- Not the check of a configuration (schema/). Invariant: the definition is only read.

local Schema = require "moongate.schema"
local cures = require "moongate.config.cures"
local validators = require "moongate.schema.validators"

local _M = {}

local ATTRIBUTES = { "type", "required", "default", "description", "reference", "on_delete", "elements", "keys", "values",
  "fields", "entity_checks", "shorthand_fields", "transformations", "referenceable", "encrypted", "unique", "auto", "legacy",
  "immutable", "err", "deprecation", "indexed", "examples", "abstract", "nullable", "unique_across_ws", "func", "json_schema",
  "translate_backwards", "subschema_key", "name", "expr", "prefix_ws", "hash" }
local known = {}
for _, list in ipairs({ ATTRIBUTES, validators.order }) do
  for _, name in ipairs(list) do
    known[name] = true
  end
end
local names = {}
for name in pairs(known) do
  names[#names + 1] = name
end
table.sort(names)

local check_fields

local function check_attributes(field, path, add)
  for attribute in pairs(field) do
    if type(attribute) == "string" and not known[attribute] then
      local near = cures.closest(attribute, names)
      add("warning", ("%s: '%s' is no attribute of a field%s"):format(path, attribute,
        near and (": did you mean '" .. near .. "'?") or ": it does nothing"))
    end
  end
end

-- The first sentence in a tree of errors.
local function first_of(failed)
  while type(failed) == "table" do
    failed = select(2, next(failed))
  end
  return tostring(failed)
end

local function check_default(name, field, path, add)
  if field.default == nil or field.default == ngx.null or field.type == "record" then
    return
  end
  local schema = Schema.new({ name = name, fields = { { [name] = field } } })
  local out, failed
  if schema then
    out, failed = schema:process({})
  end
  if schema and not out then
    add("error", ("%s: its default is refused by the field itself: %s"):format(path, first_of(failed)))
  end
end

local function check_field(name, field, path, add)
  if type(field) ~= "table" then
    return
  end
  check_attributes(field, path, add)
  if (field.type == "array" or field.type == "set") and type(field.elements) ~= "table" then
    add("warning", ("%s: a field of type %s needs 'elements' (what its items are)"):format(path, field.type))
  end
  for _, inner in ipairs({ "elements", "keys", "values" }) do
    check_field(inner, field[inner], path .. "." .. inner, add)
  end
  check_fields(field, path, add)
  check_default(name, field, path, add)
end

local LISTS = { at_least_one_of = true, only_one_of = true, mutually_required = true, mutually_exclusive = true, distinct = true }

-- The definition of a field by its path ("redis.host"), or nil.
local function find(record, path)
  local at = record
  for part in path:gmatch("[^.]+") do
    local found
    for _, list in ipairs({ at.fields or {}, at.shorthand_fields or {} }) do
      for _, item in ipairs(list) do
        found = found or item[part]
      end
    end
    if type(found) ~= "table" then
      return nil
    end
    at = found
  end
  return at
end

local function check_entity_checks(record, path, add)
  for _, item in ipairs(record.entity_checks or {}) do
    local kind, argument = next(item)
    for _, name in ipairs(LISTS[kind] and type(argument) == "table" and argument or {}) do
      if type(name) == "string" and not find(record, name) then
        add("error", ("%s: entity check %s: there is no field '%s'"):format(path or "schema", kind, name))
      end
    end
  end
end

function check_fields(record, path, add)
  check_entity_checks(record, path, add)
  for _, item in ipairs(type(record.fields) == "table" and record.fields or {}) do
    local name, field = next(item)
    check_field(name, field, path and path .. "." .. name or name, add)
  end
end

--- add(level, text) for each mistake. definition: what schema.lua returns; it has passed Schema.new.
function _M.check(definition, add)
  check_fields(definition, nil, add)
end

return _M

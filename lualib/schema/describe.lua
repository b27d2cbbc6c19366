-- Schemas as the Admin API shows them (GET /schemas/...): Kong's {"fields":[{"name":{...}},...]} form.
-- It is pure: definitions in, plain tables out, arrays marked for util/json_encode. It validates nothing.
-- Invariant: functions never show, and what JSON writes can be read back to the same defaults.

local check = require("moongate.config.check")
local entities = require("moongate.config.entities")
local json = require("moongate.util.json_encode")
local shape = require("moongate.schema.shape")

local null = json.null

local M = {}

-- Attributes that hold one field, or a list of fields.
local FIELD = { elements = true, keys = true, values = true }
local FIELDS = { fields = true, shorthand_fields = true }

local describe_field

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- A plain value: functions are left out, infinity is null; a table with a first element is an array.
local function plain(value)
  local kind = type(value)
  if kind == "function" or kind == "userdata" and value ~= null then
    return nil
  elseif value == math.huge or value == -math.huge then
    return null
  elseif kind ~= "table" then
    return value
  elseif json.is_array(value) then
    local out = json.array()
    for i = 1, #value do
      out[#out + 1] = plain(value[i])
    end
    return out
  end
  local out = {}
  for _, key in ipairs(sorted_keys(value)) do
    out[key] = plain(value[key])
  end
  return out
end

-- An empty default tells by its field's type whether it is [] or {}. Records in a list are whole, as entities show them: who
-- compares defaults with entities finds them equal.
local function default_of(field)
  local records = field.elements and field.elements.type == "record"
  local out = plain(records and shape.value(field, field.default) or field.default)
  if type(out) == "table" and (field.type == "array" or field.type == "set") then
    return json.array(out)
  end
  return out
end

local function describe_fields(list)
  local out = json.array()
  for i, item in ipairs(list) do
    local name, field = next(item)
    out[i] = { [name] = describe_field(field) }
  end
  return out
end

-- Checks that are nothing but a function say which fields they look at.
local function describe_checks(checks)
  local out = json.array()
  for i, item in ipairs(checks) do
    local name, argument = next(item)
    out[i] = { [name] = plain(argument) }
  end
  return out
end

function describe_field(field)
  local out = {}
  for name, value in pairs(field) do
    if FIELD[name] then
      out[name] = describe_field(value)
    elseif FIELDS[name] then
      out[name] = describe_fields(value)
    elseif name == "entity_checks" then
      out[name] = describe_checks(value)
    elseif name == "default" then
      out[name] = default_of(field)
    else
      out[name] = plain(value)
    end
  end
  return out
end

local function describe(definition, fields)
  local out = { fields = describe_fields(fields) }
  out.entity_checks = describe_checks(definition.entity_checks or {})
  if definition.shorthand_fields then
    out.shorthand_fields = describe_fields(definition.shorthand_fields)
  end
  return out
end

--- A schema's definition, {fields = {...}, entity_checks = ...}, in Kong's form.
function M.definition(definition)
  return describe(definition, definition.fields)
end

--- A kind of entity of configuration files ("services", "keyauth_credentials" ...), or nil and why.
function M.entity(name)
  for _, kind in ipairs(entities.ORDER) do
    if kind == name then
      return M.definition(entities[kind])
    end
  end
  return nil, "no entity named '" .. tostring(name) .. "'"
end

--- A plugin's schema, as its schema.lua returns it: its own fields, `config` always required, and
--- `protocols`, which clients read from every plugin. Or nil and what is wrong with it.
function M.plugin(definition)
  local schema, err = check.plugin_schema(definition)
  if not schema then
    return nil, err
  end
  local fields, seen = {}, {}
  for i, item in ipairs(definition.fields) do
    local name = next(item)
    fields[i], seen[name] = { [name] = schema.fields[name] }, true
  end
  if not seen.protocols then
    fields[#fields + 1] = { protocols = schema.fields.protocols }
  end
  return describe(definition, fields)
end

return M

-- An entity as it is read back: shorthands from the fields they stand for, transformations' on_read undone.
-- Pure; the other direction is process.lua's. What uses it shows entities (the Admin API), not what runs.
-- Invariant: the output given is never changed; without shorthands and on_read it is given back equal.

local null = require("cjson").null
local process = require("moongate.schema.process")

local M = {}

local read_field

local function value_of(field, record)
  local deprecation = type(field.deprecation) == "table" and field.deprecation or {}
  local target = deprecation.replaced_with and deprecation.replaced_with[1]
  if target and target.reverse_mapping_function then
    return target.reverse_mapping_function(record)
  end
  local path = target and target.path or field.translate_backwards
  return path and process.deep_copy(process.get_path(record, path))
end

local function read_record(definition, record)
  local out = {}
  local fields = process.compile(definition).by_name
  for name, value in pairs(record) do
    out[name] = fields[name] and read_field(fields[name], value) or process.deep_copy(value)
  end
  for _, item in ipairs(definition.shorthand_fields or {}) do
    local name, field = next(item)
    local value = value_of(field, record)
    if value ~= nil and value ~= null then
      out[name] = value
    end
  end
  return out
end

function read_field(field, value)
  if type(value) ~= "table" then
    return value
  elseif field.type == "record" then
    return read_record(field, value)
  end
  local inner = field.elements or field.values
  if not inner or inner.type ~= "record" then
    return process.deep_copy(value)
  end
  local out = {}
  for key, item in pairs(value) do
    out[key] = read_field(inner, item)
  end
  return setmetatable(out, getmetatable(value))
end

--- The output of a schema of this definition as it is read back, or nil and what a transformation said.
function M.read(definition, output)
  local out = read_record(definition, output)
  for _, step in ipairs(definition.transformations or {}) do
    local err = process.run_step(step, out, step.on_read)
    if err then
      return nil, err
    end
  end
  return out
end

return M

-- Kong's schema language: a definition table becomes a schema that fills defaults and validates.
-- How a value is processed is in process.lua; where a mistake stands in a file is the loader's
-- business (config/). Guests reach this module as "kong.db.schema".
-- Invariant: definitions and inputs are never changed; every output is a fresh table without nulls.

local backwards = require("moongate.schema.backwards")
local entity_checks = require("moongate.schema.entity_checks")
local errors = require("moongate.schema.errors")
local null = require("cjson").null
local process = require("moongate.schema.process")

local Schema = {}
Schema.__index = Schema

Schema.compile = process.compile
Schema.deep_copy = process.deep_copy
Schema.is_reference = process.is_reference

local function strip_nulls(value)
  for key, item in pairs(value) do
    if item == null then
      value[key] = nil
    elseif type(item) == "table" then
      strip_nulls(item)
    end
  end
  return value
end

local function run_transformations(definition, out)
  for _, step in ipairs(definition.transformations or {}) do
    local err = process.run_step(step, out, step.on_write)
    if err then
      return err
    end
  end
end

-- public ------------------------------------------------------------------------------------

--- A copy of a record's definition in which every record below it is `required` unless it says otherwise: an entity
--- has all of its records, with their defaults, as Kong's entities and plugin configurations do.
function Schema.with_whole_records(record)
  local fields = {}
  for i, item in ipairs(record.fields) do
    local name, field = next(item)
    if type(field) == "table" and field.type == "record" and type(field.fields) == "table" then
      field = Schema.with_whole_records(field)
      if field.required == nil then
        field.required = true
      end
    end
    fields[i] = { [name] = field }
  end
  local out = {}
  for key, value in pairs(record) do
    out[key] = value
  end
  out.fields = fields
  return out
end

local check_definition

local function check_field(field, path)
  if type(field) ~= "table" or not process.types[field.type] then
    return nil, path .. ": unknown type '" .. tostring(type(field) == "table" and field.type) .. "'"
  end
  for _, inner in ipairs({ "elements", "keys", "values" }) do
    if field[inner] then
      local ok, err = check_field(field[inner], path .. "." .. inner)
      if not ok then
        return nil, err
      end
    end
  end
  if field.type == "record" then
    return check_definition(field, path)
  end
  return true
end

function check_definition(definition, path)
  if type(definition) ~= "table" or type(definition.fields) ~= "table" then
    return nil, path .. ": error in schema definition: no 'fields' table"
  end
  for i, item in ipairs(definition.fields) do
    if type(item) ~= "table" or type((next(item))) ~= "string" then
      return nil, path .. ": fields[" .. i .. "] must be a table of one field name"
    end
    local name, field = next(item)
    local ok, err = check_field(field, path .. "." .. name)
    if not ok then
      return nil, err
    end
  end
  return entity_checks.check_definition(definition, path)
end

--- A schema from its definition {name=, fields={{name={type=,...}},...}, entity_checks={...}},
--- or nil and what is wrong with the definition. The definition is borrowed for good.
function Schema.new(definition)
  if type(definition) ~= "table" then
    return nil, "expected a definition table"
  end
  local ok, err = check_definition(definition, definition.name or "schema")
  if not ok then
    return nil, err
  end
  local self = setmetatable({ name = definition.name, definition = definition }, Schema)
  self.record = process.compile(definition)
  self.fields = self.record.by_name
  return self
end

--- Makes a field definition that can be called to add attributes: `kind { required = true }`.
function Schema.define(definition)
  return setmetatable(definition, Schema.field_mt)
end

Schema.field_mt = {
  __call = function(base, extra)
    local merged = {}
    for key, value in pairs(base) do
      merged[key] = value
    end
    for key, value in pairs(extra or {}) do
      merged[key] = value
    end
    return setmetatable(merged, Schema.field_mt)
  end,
}

--- Fills defaults and validates. Returns the output and a list of warnings {path=, message=};
--- or nil, the errors by field ("@entity" is a list of sentences about the whole), the warnings.
--- options.transform = false leaves `transformations` out (values are already transformed).
function Schema:process(input, options)
  if type(input) ~= "table" then
    return nil, { ["@entity"] = { "expected an input table" } }, {}
  end
  local context = process.new_context()
  local out, failed = process.process_record(self.record, input, context)
  if failed then
    return nil, failed, context.warnings
  end
  if not (options and options.transform == false) then
    local err = run_transformations(self.definition, out)
    if err then
      return nil, { ["@entity"] = { err } }, context.warnings
    end
  end
  return strip_nulls(out), context.warnings
end

--- An output of process() as it is read back: shorthand fields from what they stand for, transformations' on_read.
-- Returns a copy, or nil and what a transformation said.
function Schema:backwards(output)
  return backwards.read(self.definition, output)
end

--- Kong's name for a check without output: true, or nil and the errors.
function Schema:validate(input)
  local out, failed = self:process(input)
  if not out then
    return nil, failed
  end
  return true
end

--- Validates one value against one field: the value, or nil and the error.
function Schema:validate_field(field, value)
  local _, err = process.process_value(field, value, process.new_context())
  if err ~= nil then
    return nil, err
  end
  return true
end

--- Iterates over (name, field) in the order of the definition.
function Schema:each_field()
  local i, record = 0, self.record
  return function()
    i = i + 1
    local name = record.names[i]
    return name, name and record.by_name[name]
  end
end

--- List of { path = {"config", "minute"}, message = "..." }, sorted by path.
function Schema.flatten_errors(self, failed)
  return errors.flatten(failed or self)
end

--- One sentence out of all errors, as Kong's Admin API words it.
function Schema.errors_to_string(self, failed)
  return errors.to_string(failed or self)
end

Schema.merge_field = Schema.field_mt.__call

--- The checks by their names, for guests' own validators: Schema.validators.is_regex(value) -> true, or nil and why.
Schema.validators = {}
for name, check in pairs(require("moongate.schema.validators").check) do
  Schema.validators[name] = function(...)
    local err = check(...)
    if err ~= nil then
      return nil, err
    end
    return true
  end
end

return Schema

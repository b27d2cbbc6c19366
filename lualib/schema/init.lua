-- Kong's schema language: a definition table becomes a schema that fills defaults and validates.
-- Single-field checks are in validators.lua, checks over several fields in entity_checks.lua;
-- where a mistake stands in a file is the loader's business (config/).
-- Invariant: definitions and inputs are never changed; every output is a fresh table.

local entity_checks = require("moongate.schema.entity_checks")
local errors = require("moongate.schema.errors")
local json = require("moongate.util.json_encode")
local validators = require("moongate.schema.validators")

local null = json.null
local floor = math.floor

local Schema = {}
Schema.__index = Schema

local VAULT_REFERENCE = "^{vault://.+}$"

-- Derived from definitions, which are immutable and may be shared between schemas.
local records = setmetatable({}, { __mode = "k" })
local plans = setmetatable({}, { __mode = "k" })

local process_value, process_record

--- true for a whole-value reference such as `{vault://env/openai-auth}`.
function Schema.is_reference(value)
  return type(value) == "string" and value:find(VAULT_REFERENCE) ~= nil
end

-- definition --------------------------------------------------------------------------------

local function add_field(record, name, field)
  if record.by_name[name] == nil then
    record.names[#record.names + 1] = name
  end
  record.by_name[name] = field
end

local function add_shorthands(record, definition)
  for _, item in ipairs(definition.shorthand_fields or {}) do
    local name, field = next(item)
    record.shorthands[#record.shorthands + 1] = { name = name, field = field }
  end
end

--- Fields of a record definition by name and in order; computed once per definition.
local function compile(definition)
  local record = records[definition]
  if record then
    return record
  end
  record = { names = {}, by_name = {}, shorthands = {}, checks = definition.entity_checks or {} }
  for _, item in ipairs(definition.fields or {}) do
    local name, field = next(item)
    add_field(record, name, field)
  end
  add_shorthands(record, definition)
  records[definition] = record
  return record
end
Schema.compile = compile

local function plan_of(field)
  local plan = plans[field]
  if not plan then
    plan = {}
    for _, name in ipairs(validators.order) do
      local argument = field[name]
      if argument ~= nil and argument ~= false then
        plan[#plan + 1] = { fn = validators.check[name], argument = argument }
      end
    end
    plans[field] = plan
  end
  return plan
end

-- values ------------------------------------------------------------------------------------

local function deep_copy(value)
  if type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, item in pairs(value) do
    copy[key] = deep_copy(item)
  end
  return setmetatable(copy, getmetatable(value))
end

local function is_list(value)
  return next(value) == nil or value[1] ~= nil
end

local function missing_value(field)
  if field.default ~= nil then
    return deep_copy(field.default)
  end
  if field.required then
    return field.type == "record" and {} or nil
  end
  return null
end

local convert = {}

function convert.string(field, value)
  if type(value) ~= "string" then
    return nil, "expected a string"
  end
  if value == "" and not field.len_min and field.len_eq ~= 0 then
    return nil, "length must be at least 1"
  end
  return value
end

function convert.boolean(_, value)
  if type(value) ~= "boolean" then
    return nil, "expected a boolean"
  end
  return value
end

function convert.number(_, value)
  if type(value) ~= "number" or value ~= value then
    return nil, "expected a number"
  end
  return value
end

function convert.integer(_, value)
  if type(value) ~= "number" or floor(value) ~= value then
    return nil, "expected an integer"
  end
  return value
end

convert["function"] = function(_, value)
  if type(value) ~= "function" and not (type(value) == "table" and getmetatable(value)
      and getmetatable(value).__call) then
    return nil, "expected a function"
  end
  return value
end

function convert.any(_, value)
  return deep_copy(value)
end

convert.json = convert.any

function convert.foreign(_, value)
  if type(value) ~= "string" and (type(value) ~= "table" or value[1] ~= nil) then
    return nil, "expected a name, or a record with 'id' or 'name'"
  end
  return deep_copy(value)
end

local function convert_items(field, value, context)
  local out, failed, depth = json.array(), nil, context.depth + 1
  context.depth = depth
  for i = 1, #value do
    context.path[depth] = i
    local item, err = value[i], nil
    if item == null then
      err = "required field missing"
    elseif field.elements then
      item, err = process_value(field.elements, item, context)
    end
    if err ~= nil then
      failed = failed or {}
      failed[i] = err
    end
    out[i] = item
  end
  context.path[depth] = nil
  context.depth = depth - 1
  return out, failed
end

function convert.array(field, value, context)
  if type(value) ~= "table" or not is_list(value) then
    return nil, "expected an array"
  end
  return convert_items(field, value, context)
end

function convert.set(field, value, context)
  if type(value) ~= "table" or not is_list(value) then
    return nil, "expected a set"
  end
  local items, failed = convert_items(field, value, context)
  if failed then
    return items, failed
  end
  local out, seen = json.array(), {}
  for i = 1, #items do
    local item = items[i]
    if not seen[item] then
      seen[item] = true
      out[#out + 1] = item
    end
  end
  return out
end

local function convert_pair(field, key, item, context)
  if field.keys then
    local _, err = process_value(field.keys, key, context)
    if err ~= nil then
      return nil, err
    end
  end
  if item == null or not field.values then
    return item
  end
  return process_value(field.values, item, context)
end

function convert.map(field, value, context)
  if type(value) ~= "table" or value[1] ~= nil then
    return nil, "expected a map"
  end
  local out, failed, depth = {}, nil, context.depth + 1
  context.depth = depth
  for key, item in pairs(value) do
    context.path[depth] = key
    local copy, err = convert_pair(field, key, item, context)
    if err ~= nil then
      failed = failed or {}
      failed[key] = err
    end
    out[key] = copy
  end
  context.path[depth] = nil
  context.depth = depth - 1
  return out, failed
end

function convert.record(field, value, context)
  if type(value) ~= "table" or value[1] ~= nil then
    return nil, "expected a record"
  end
  return process_record(compile(field), value, context)
end

local function check_null(field)
  if field.ne == null then
    return field.err or "value must not be null"
  elseif field.eq ~= nil and field.eq ~= null then
    return field.err or "value must be " .. tostring(field.eq)
  elseif field.required then
    return "required field missing"
  end
end

local function warn_deprecated(field, value, context)
  local info = field.deprecation
  local old = type(info) == "table" and info.old_default
  if old == nil or old ~= value then
    local path = {}
    for i = 1, context.depth do
      path[i] = context.path[i]
    end
    local message = type(info) == "table" and info.message or info
    context.warnings[#context.warnings + 1] = { path = path, message = message }
  end
end

--- The value with defaults filled, plus an error (a sentence, or a table by key) if it has one.
function process_value(field, value, context)
  if value == nil then
    value = missing_value(field)
  elseif field.deprecation and value ~= null then
    warn_deprecated(field, value, context)
  end
  if value == nil or value == null then
    return null, check_null(field)
  end
  if field.eq == null then
    return nil, field.err or "value must be null"
  end
  if field.referenceable and Schema.is_reference(value) then
    return value
  end
  local out, err = convert[field.type](field, value, context)
  if err ~= nil then
    return out, err
  end
  local plan = plan_of(field)
  for i = 1, #plan do
    local row = plan[i]
    local problem = row.fn(out, row.argument, field)
    if problem then
      return out, field.err or problem
    end
  end
  return out
end
Schema.process_value = process_value

-- records -----------------------------------------------------------------------------------

local function get_path(value, path)
  for _, key in ipairs(path) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[key]
  end
  return value
end

local function mismatch(shorthand, value, input)
  local deprecation = shorthand.field.deprecation
  local targets = type(deprecation) == "table" and deprecation.replaced_with or {}
  for _, target in ipairs(targets) do
    local newer = get_path(input, target.path)
    if newer ~= nil and newer ~= null and type(newer) ~= "table" then
      local reverse = target.reverse_mapping_function
      local older = value
      if reverse then
        newer = reverse(input)
      end
      if newer ~= older then
        return ("both deprecated and new field are used but their values mismatch: %s = %s vs %s = %s")
          :format(shorthand.name, tostring(older), table.concat(target.path, "."), tostring(newer))
      end
    end
  end
end

local function merge_into(target, extra, overwrite)
  for key, item in pairs(extra) do
    if type(item) == "table" and type(target[key]) == "table" and item[1] == nil then
      target[key] = deep_copy(target[key])
      merge_into(target[key], item, overwrite)
    elseif target[key] == nil or overwrite then
      target[key] = item
    end
  end
end

local function apply_shorthand(shorthand, input, context)
  local value = input[shorthand.name]
  input[shorthand.name] = nil
  if value == nil or value == null then
    return nil
  end
  context.depth = context.depth + 1
  context.path[context.depth] = shorthand.name
  local converted, err = process_value(shorthand.field, value, context)
  context.path[context.depth] = nil
  context.depth = context.depth - 1
  err = err or mismatch(shorthand, converted, input)
  if err ~= nil then
    return err
  end
  local extra, why = shorthand.field.func(converted, input)
  if extra then
    merge_into(input, extra, false)
  end
  return why
end

local function expand_shorthands(record, input, context)
  local copy, failed = {}, nil
  for key, value in pairs(input) do
    copy[key] = value
  end
  for _, shorthand in ipairs(record.shorthands) do
    local err = apply_shorthand(shorthand, copy, context)
    if err ~= nil then
      failed = failed or {}
      failed[shorthand.name] = err
    end
  end
  return copy, failed
end

local function process_fields(record, input, out, failed, context)
  local depth = context.depth + 1
  context.depth = depth
  for i = 1, #record.names do
    local name = record.names[i]
    context.path[depth] = name
    local value, err = process_value(record.by_name[name], input[name], context)
    if err ~= nil and not (failed and failed[name] ~= nil) then
      failed = failed or {}
      failed[name] = err
    end
    out[name] = value
  end
  context.path[depth] = nil
  context.depth = depth - 1
  return failed
end

function process_record(record, input, context)
  local out, failed = {}, nil
  if #record.shorthands > 0 then
    input, failed = expand_shorthands(record, input, context)
  end
  failed = process_fields(record, input, out, failed, context)
  for key in pairs(input) do
    if record.by_name[key] == nil then
      failed = failed or {}
      failed[key] = "unknown field"
    end
  end
  if #record.checks > 0 then
    failed = failed or {}
    entity_checks.run(record, out, failed, process_value)
    failed = next(failed) ~= nil and failed or nil
  end
  return out, failed
end

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
    local values, complete = {}, true
    for i, name in ipairs(step.input or {}) do
      values[i] = get_path(out, { name })
      complete = complete and values[i] ~= nil and values[i] ~= null
    end
    if step.on_write and complete then
      local extra, err = step.on_write(unpack(values, 1, #(step.input or {})))
      if not extra then
        return err or "transformation failed"
      end
      merge_into(out, extra, true)
    end
  end
end

-- public ------------------------------------------------------------------------------------

local TYPES = {}
for name in pairs(convert) do
  TYPES[name] = true
end

local check_definition

local function check_field(field, path)
  if type(field) ~= "table" or not TYPES[field.type] then
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
  self.record = compile(definition)
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

local function new_context()
  return { path = {}, depth = 0, warnings = {} }
end

--- Fills defaults and validates. Returns the output and a list of warnings {path=, message=};
--- or nil, the errors by field ("@entity" is a list of sentences about the whole), the warnings.
--- options.transform = false leaves `transformations` out (values are already transformed).
function Schema:process(input, options)
  if type(input) ~= "table" then
    return nil, { ["@entity"] = { "expected an input table" } }, {}
  end
  local context = new_context()
  local out, failed = process_record(self.record, input, context)
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
  local _, err = process_value(field, value, new_context())
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
Schema.deep_copy = deep_copy

return Schema

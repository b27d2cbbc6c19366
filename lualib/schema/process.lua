-- Turns a value into its checked form by a field definition: types, defaults, records, shorthands.
-- Single-field checks are in validators.lua, checks over several fields in entity_checks.lua;
-- what users of the schema language call is in init.lua.
-- Invariant: definitions and inputs never change; absent optional fields are `null` in outputs.

local entity_checks = require("moongate.schema.entity_checks")
local json = require("moongate.util.json_encode")
local validators = require("moongate.schema.validators")

local null = json.null
local floor = math.floor

local M = {}

local MISMATCH = "both deprecated and new field are used but their values mismatch: "
  .. "%s = %s vs %s = %s"
local VAULT_REFERENCE = "^{vault://.+}$"

-- Derived from definitions, which are immutable and may be shared between schemas.
local records = setmetatable({}, { __mode = "k" })
local plans = setmetatable({}, { __mode = "k" })

local process_value, process_record

--- true for a whole-value reference such as `{vault://env/openai-auth}`.
function M.is_reference(value)
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
M.compile = compile

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

-- What JSON can hold: 1e400 is read as infinity.
local function is_finite(value)
  return value - value == 0
end

function convert.number(_, value)
  if type(value) ~= "number" or not is_finite(value) then
    return nil, "expected a number"
  end
  return value
end

function convert.integer(_, value)
  if type(value) ~= "number" or floor(value) ~= value or not is_finite(value) then
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

-- JSON Schemas by field, compiled. A schema that is none is the definition's fault.
local json_checks = setmetatable({}, { __mode = "k" })

local function json_check(field)
  local check = json_checks[field]
  if not check then
    local jsonschema = require("moongate.jsonschema")
    check = assert(jsonschema.compile(json.encode(field.json_schema.inline)))
    json_checks[field] = check
  end
  return check
end

function convert.json(field, value)
  local encoded, text = pcall(json.encode, value)
  if not encoded then
    return nil, "expected a value that JSON can hold"
  elseif field.json_schema and field.json_schema.inline then
    local ok, err = json_check(field)(require("moongate.pdk.json").decode(text))
    if not ok then
      return nil, "value failed JSON-schema validation: " .. tostring(err)
    end
  end
  return deep_copy(value)
end

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
    if type(info) == "table" and info.removal_in_version then
      message = ("%s (scheduled for removal in %s)"):format(tostring(message), info.removal_in_version)
    end
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
  if field.referenceable and M.is_reference(value) then
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
M.process_value = process_value

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
        return MISMATCH:format(shorthand.name, tostring(older), table.concat(target.path, "."),
          tostring(newer))
      end
    end
  end
end

--- "a.b" as { "a", "b" }.
function M.split(path)
  local keys = {}
  for key in path:gmatch("[^%.]+") do
    keys[#keys + 1] = key
  end
  return keys
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

--- Runs one step of `transformations` on `out`: fn gets the values named by input and needs, when all are there, and
--- what it returns is merged into `out`. The error's sentence, or nil.
function M.run_step(step, out, fn)
  local values, n = {}, 0
  for _, names in ipairs({ step.input or {}, step.needs or {} }) do
    for _, name in ipairs(names) do
      n = n + 1
      values[n] = get_path(out, M.split(name))
      if values[n] == nil or values[n] == null then
        return nil
      end
    end
  end
  if not fn then
    return nil
  end
  local extra, err = fn(unpack(values, 1, n))
  if not extra then
    return "transformation failed: " .. tostring(err)
  end
  merge_into(out, extra, true)
end

--- A context for one run: where it is in the input, and the warnings it collects.
function M.new_context()
  return { path = {}, depth = 0, warnings = {} }
end

M.process_record = process_record
M.deep_copy = deep_copy
M.get_path = get_path
M.merge_into = merge_into
M.types = convert

return M

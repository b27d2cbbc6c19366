-- Checks over several fields of one record: at_least_one_of, conditional, mutually_required ...
-- Checks of a single value are in validators.lua.
-- Invariant: a check is left out when one of its fields has an error already, so that one mistake
-- gives one message; absent fields are `null` here, never nil.

local null = require("cjson").null

local concat = table.concat

local M = {}

-- Conditions combine a field with extra attributes; the combination is made once per check.
local merged_fields = setmetatable({}, { __mode = "k" })

local function split(path)
  local keys = {}
  for key in path:gmatch("[^%.]+") do
    keys[#keys + 1] = key
  end
  return keys
end

local paths = {}
local function keys_of(path)
  local keys = paths[path]
  if not keys then
    keys = split(path)
    paths[path] = keys
  end
  return keys
end

local function get(value, path)
  local keys = keys_of(path)
  for i = 1, #keys do
    if type(value) ~= "table" then
      return null
    end
    value = value[keys[i]]
    if value == nil then
      return null
    end
  end
  return value
end

local function has_error(failed, path)
  local keys = keys_of(path)
  for i = 1, #keys do
    failed = failed[keys[i]]
    if failed == nil then
      return false
    elseif type(failed) ~= "table" then
      return true
    end
  end
  return true
end

local function set_error(failed, path, message)
  local keys = keys_of(path)
  for i = 1, #keys - 1 do
    if type(failed[keys[i]]) ~= "table" then
      failed[keys[i]] = {}
    end
    failed = failed[keys[i]]
  end
  failed[keys[#keys]] = message
end

local function is_nonempty(value)
  return value ~= nil and value ~= null and not (type(value) == "table" and next(value) == nil)
end

local function quote_list(names)
  return "'" .. concat(names, "', '") .. "'"
end

local function count_nonempty(entity, names)
  local count = 0
  for _, name in ipairs(names) do
    if is_nonempty(get(entity, name)) then
      count = count + 1
    end
  end
  return count
end

local function find_field(record, path)
  local field
  for _, key in ipairs(keys_of(path)) do
    if field then
      local inner = { by_name = {} }
      for _, item in ipairs(field.fields or {}) do
        local name, value = next(item)
        inner.by_name[name] = value
      end
      record = inner
    end
    field = record.by_name[key]
    if not field then
      return nil
    end
  end
  return field
end

local function with_attributes(context, path, extra)
  local merged = merged_fields[extra]
  if not merged then
    merged = {}
    for key, value in pairs(find_field(context.record, path) or { type = "any" }) do
      merged[key] = value
    end
    merged.default = nil
    for key, value in pairs(extra) do
      merged[key] = value
    end
    merged_fields[extra] = merged
  end
  return merged
end

local function test(context, path, extra)
  local value = get(context.entity, path)
  local field = with_attributes(context, path, extra)
  local scratch = { path = {}, depth = 0, warnings = {} }
  local _, err = context.process_value(field, value, scratch)
  return err, value
end

-- An absent field fulfils a condition only when the condition speaks about null.
local function condition_holds(context, path, extra)
  local err, value = test(context, path, extra)
  if value == null then
    return err == nil and (extra.eq == null or extra.ne ~= nil or extra.required == false)
  end
  return err == nil
end

local check = {}

function check.at_least_one_of(context, names)
  if count_nonempty(context.entity, names) == 0 then
    return "at least one of these fields must be non-empty: " .. quote_list(names)
  end
end

function check.only_one_of(context, names)
  if count_nonempty(context.entity, names) ~= 1 then
    return "exactly one of these fields must be non-empty: " .. quote_list(names)
  end
end

function check.mutually_required(context, names)
  local count = count_nonempty(context.entity, names)
  if count ~= 0 and count ~= #names then
    return "all or none of these fields must be set: " .. quote_list(names)
  end
end

function check.mutually_exclusive(context, names)
  if count_nonempty(context.entity, names) > 1 then
    return "only one or none of these fields must be set: " .. quote_list(names)
  end
end

function check.mutually_exclusive_sets(context, arg)
  local first = count_nonempty(context.entity, arg.set1)
  local second = count_nonempty(context.entity, arg.set2)
  if first > 0 and second > 0 then
    return "these sets are mutually exclusive: (" .. quote_list(arg.set1) .. "), ("
      .. quote_list(arg.set2) .. ")"
  end
end

function check.distinct(context, names)
  local seen = {}
  for _, name in ipairs(names) do
    local value = get(context.entity, name)
    if value ~= null then
      if seen[value] then
        return "values of these fields must be distinct: " .. quote_list(names)
      end
      seen[value] = true
    end
  end
end

function check.conditional(context, arg)
  if not condition_holds(context, arg.if_field, arg.if_match) then
    return nil
  end
  local err = test(context, arg.then_field, arg.then_match)
  if err == nil then
    return nil
  end
  set_error(context.failed, arg.then_field, arg.then_err or err)
  return "failed conditional validation given value of field '" .. arg.if_field .. "'"
end

local function at_least_one(context, names, sentence)
  if count_nonempty(context.entity, names) > 0 then
    return nil
  end
  sentence = sentence or "at least one of these fields must be non-empty: %s"
  return (sentence:gsub("%%s", (quote_list(names):gsub("%%", "%%%%"))))
end

function check.conditional_at_least_one_of(context, arg)
  if condition_holds(context, arg.if_field, arg.if_match) then
    return at_least_one(context, arg.then_at_least_one_of, arg.then_err)
  end
  if arg.else_match and condition_holds(context, arg.if_field, arg.else_match) then
    return at_least_one(context, arg.else_then_at_least_one_of, arg.else_then_err)
  end
end

function check.custom_entity_check(context, arg)
  local ok, err, fields = arg.fn(context.entity)
  if ok then
    return nil
  end
  if type(err) == "table" then
    fields, err = err, nil
  end
  for name, message in pairs(fields or {}) do
    set_error(context.failed, name, message)
  end
  return err or (not fields and "entity check failed" or nil)
end

local function conditional_fields(arg)
  return { arg.if_field, arg.then_field }
end

-- Which fields a check reads.
local sources = {
  conditional = conditional_fields,
  conditional_at_least_one_of = conditional_fields,
  custom_entity_check = function(arg) return arg.field_sources or {} end,
  mutually_exclusive_sets = function(arg)
    local all = {}
    for _, set in ipairs({ arg.set1, arg.set2 }) do
      for _, name in ipairs(set) do
        all[#all + 1] = name
      end
    end
    return all
  end,
}

local function is_blocked(failed, name, arg)
  if next(failed) == nil or arg.run_with_invalid_fields then
    return false
  end
  local names = sources[name] and sources[name](arg) or arg
  for _, path in ipairs(names) do
    if has_error(failed, path) then
      return true
    end
  end
  return false
end

local function add_entity_error(failed, message)
  failed["@entity"] = failed["@entity"] or {}
  table.insert(failed["@entity"], message)
end

--- Runs the record's checks on `entity` (defaults filled, absent fields null) and adds what it
--- finds to `failed`. process_value is the schema's, handed in to keep the modules apart.
function M.run(record, entity, failed, process_value)
  local context = {
    record = record, entity = entity, failed = failed, process_value = process_value,
  }
  for _, item in ipairs(record.checks) do
    local name, arg = next(item)
    if not is_blocked(failed, name, arg) then
      local message = check[name](context, arg)
      if message then
        add_entity_error(failed, message)
      end
    end
  end
end

--- true, or nil and which check of the definition is not known.
function M.check_definition(definition, path)
  for i, item in ipairs(definition.entity_checks or {}) do
    local name = type(item) == "table" and next(item)
    if not check[name] then
      return nil, path .. ".entity_checks[" .. i .. "]: unknown entity check '"
        .. tostring(name) .. "'"
    end
  end
  return true
end

return M

-- The checks a schema field can ask for (eq, one_of, between, match ...), in the order they run.
-- Types and presence are schema/init.lua's; checks over several fields are entity_checks.lua's.
-- Invariant: check(value, argument, field) returns nil, or the sentence that tells what is wrong.

local null = require("cjson").null
local regex = require("moongate.schema.regex")

local concat = table.concat

local M = {}

--- Which error a user sees first depends on this order.
M.order = {
  "eq", "ne", "not_one_of", "one_of", "gt", "timestamp", "uuid", "is_regex", "between", "len_eq",
  "len_min", "len_max", "starts_with", "not_match", "match_none", "match", "match_all",
  "match_any", "contains", "custom_validator", "mutually_exclusive_subsets",
}

local UUID = "^" .. ("%x"):rep(8) .. "%-" .. (("%x"):rep(4) .. "%-"):rep(3) .. ("%x"):rep(12) .. "$"

local function show(value)
  return value == null and "null" or tostring(value)
end

local function show_list(values)
  local texts = {}
  for i, value in ipairs(values) do
    texts[i] = show(value)
  end
  return concat(texts, ", ")
end

local function includes(list, value)
  for i = 1, #list do
    if list[i] == value then
      return true
    end
  end
  return false
end

local function length(value)
  if type(value) ~= "table" or value[1] ~= nil then
    return #value
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  return count
end

local check = {}
M.check = check

function check.eq(value, wanted)
  if value ~= wanted then
    return "value must be " .. show(wanted)
  end
end

function check.ne(value, unwanted)
  if value == unwanted then
    return "value must not be " .. show(unwanted)
  end
end

function check.one_of(value, choices)
  if not includes(choices, value) then
    return "expected one of: " .. show_list(choices)
  end
end

function check.not_one_of(value, choices)
  if includes(choices, value) then
    return "must not be one of: " .. show_list(choices)
  end
end

function check.gt(value, limit)
  if value <= limit then
    return "value must be greater than " .. show(limit)
  end
end

function check.timestamp(value)
  if type(value) ~= "number" or value < 0 then
    return "expected a valid timestamp"
  end
end

function check.uuid(value)
  if not value:find(UUID) then
    return "expected a valid UUID"
  end
end

function check.is_regex(value)
  local ok, err = regex.check(value)
  if not ok then
    return "not a valid regex: " .. value .. " (" .. err .. ")"
  end
end

function check.between(value, limits)
  if value < limits[1] or value > limits[2] then
    return "value should be between " .. show(limits[1]) .. " and " .. show(limits[2])
  end
end

function check.len_eq(value, wanted)
  if length(value) ~= wanted then
    return "length must be " .. wanted
  end
end

function check.len_min(value, limit)
  if length(value) < limit then
    return "length must be at least " .. limit
  end
end

function check.len_max(value, limit)
  if length(value) > limit then
    return "length must be at most " .. limit
  end
end

function check.starts_with(value, prefix)
  if value:sub(1, #prefix) ~= prefix then
    return "should start with: " .. prefix
  end
end

function check.match(value, pattern)
  if not value:find(pattern) then
    return "invalid value: " .. value
  end
end

function check.not_match(value, pattern)
  if value:find(pattern) then
    return "invalid value: " .. value
  end
end

function check.match_none(value, rows)
  for _, row in ipairs(rows) do
    if value:find(row.pattern) then
      return row.err or "invalid value: " .. value
    end
  end
end

function check.match_all(value, rows)
  for _, row in ipairs(rows) do
    if not value:find(row.pattern) then
      return row.err or "invalid value: " .. value
    end
  end
end

function check.match_any(value, arg)
  for _, pattern in ipairs(arg.patterns) do
    if value:find(pattern) then
      return nil
    end
  end
  return arg.err or "invalid value: " .. value
end

function check.contains(value, wanted)
  if not includes(value, wanted) then
    return "expected to contain: " .. show(wanted)
  end
end

function check.custom_validator(value, fn)
  local ok, err = fn(value)
  if not ok then
    return err or "failed validating: " .. show(value)
  end
end

local function subset_in_use(value, subset)
  for _, member in ipairs(subset) do
    if includes(value, member) then
      return true
    end
  end
  return false
end

function check.mutually_exclusive_subsets(value, subsets)
  local used = {}
  for _, subset in ipairs(subsets) do
    if subset_in_use(value, subset) then
      used[#used + 1] = "('" .. concat(subset, "', '") .. "')"
    end
  end
  if #used > 1 then
    return "these sets are mutually exclusive: " .. concat(used, ", ")
  end
end

return M

-- The keywords of JSON Schema as functions: each takes its operand and the whole schema and gives a check
-- function(value, depth) -> true | nil, why. Values of other types pass: a keyword speaks of its own type.
-- Not references (jsonschema/init), not formats (jsonschema/formats).
-- Errors name the way into the value: "property 'a': item 2: wrong type: expected string, got number".

local formats = require "moongate.jsonschema.formats"
local json = require "moongate.pdk.json"

local floor, format, huge = math.floor, string.format, math.huge
local gsub, type = string.gsub, type
local array_mt, null = json.array_mt, json.null

local _M = {}

-- Types ------------------------------------------------------------------------------------------

local function is_array(value)
  return type(value) == "table" and getmetatable(value) == array_mt
end

local function is_object(value)
  return type(value) == "table" and getmetatable(value) ~= array_mt
end

local function is_integer(value)
  return type(value) == "number" and floor(value) == value and value ~= huge and value ~= -huge
end

local function name_of(value)
  if value == null then
    return "null"
  elseif is_array(value) then
    return "array"
  end
  return type(value) == "table" and "object" or type(value)
end

local TYPES = {
  array = is_array, object = is_object, integer = is_integer,
  null = function(value) return value == null end,
  number = function(value) return type(value) == "number" end,
  string = function(value) return type(value) == "string" end,
  boolean = function(value) return type(value) == "boolean" end,
}

-- One text for equal values.
local function canonical(value)
  return json.encode(value)
end

local function misuse(text, ...)
  error(text:format(...), 0)
end

local function need(kind, operand, keyword)
  if not TYPES[kind](operand) then
    misuse("%s must be of type %s", keyword, kind)
  end
end

local function count(operand, keyword)
  if not is_integer(operand) or operand < 0 then
    misuse("%s must be a whole number, 0 or more", keyword)
  end
end

-- Any value --------------------------------------------------------------------------------------

local K = {}

function K.type(operand)
  local list = is_array(operand) and operand or { operand }
  for i = 1, #list do
    if not TYPES[list[i]] then
      misuse("type '%s' is unknown", tostring(list[i]))
    end
  end
  local wanted = table.concat(list, " or ")
  return function(value)
    for i = 1, #list do
      if TYPES[list[i]](value) then
        return true
      end
    end
    return nil, format("wrong type: expected %s, got %s", wanted, name_of(value))
  end
end

function K.enum(operand)
  need("array", operand, "enum")
  local known = {}
  for i = 1, #operand do
    known[canonical(operand[i])] = true
  end
  return function(value)
    if known[canonical(value)] then
      return true
    end
    return nil, "matches none of the enum values"
  end
end

function K.const(operand)
  local wanted = canonical(operand)
  return function(value)
    if canonical(value) == wanted then
      return true
    end
    return nil, "is not the constant value"
  end
end

-- Numbers ----------------------------------------------------------------------------------------

local function limit(holds, text)
  return function(operand, schema, _, keyword)
    need("number", operand, keyword)
    local exclusive = schema[keyword == "minimum" and "exclusiveMinimum" or "exclusiveMaximum"] == true
    return function(value)
      if type(value) ~= "number" or holds(value, operand) and not (exclusive and value == operand) then
        return true
      end
      return nil, format(text, exclusive and "" or "or equal to ", tostring(operand))
    end
  end
end

K.minimum = limit(function(a, b) return a >= b end, "expected a number greater than %s%s")
K.maximum = limit(function(a, b) return a <= b end, "expected a number less than %s%s")

-- Draft 4: true beside minimum; draft 6: the limit itself.
local function exclusive_limit(holds, text)
  return function(operand, _, _, keyword)
    if type(operand) == "boolean" then
      return nil
    end
    need("number", operand, keyword)
    return function(value)
      if type(value) ~= "number" or holds(value, operand) then
        return true
      end
      return nil, format(text, tostring(operand))
    end
  end
end

K.exclusiveMinimum = exclusive_limit(function(a, b) return a > b end, "expected a number greater than %s")
K.exclusiveMaximum = exclusive_limit(function(a, b) return a < b end, "expected a number less than %s")

function K.multipleOf(operand)
  if type(operand) ~= "number" or operand <= 0 then
    misuse("multipleOf must be a number greater than 0")
  end
  return function(value)
    if type(value) ~= "number" then
      return true
    end
    local times = value / operand
    if times == huge or math.abs(times - floor(times + 0.5)) > 1e-9 * math.max(1, math.abs(times)) then
      return nil, "expected a multiple of " .. tostring(operand)
    end
    return true
  end
end

-- Strings ----------------------------------------------------------------------------------------

-- Characters, not bytes.
local function length(text)
  local _, continued = gsub(text, "[\128-\191]", "")
  return #text - continued
end

function K.minLength(operand, _, _, keyword)
  count(operand, keyword)
  return function(value)
    if type(value) ~= "string" or length(value) >= operand then
      return true
    end
    return nil, format("string too short: expected at least %d characters, got %d", operand, length(value))
  end
end

function K.maxLength(operand, _, _, keyword)
  count(operand, keyword)
  return function(value)
    if type(value) ~= "string" or length(value) <= operand then
      return true
    end
    return nil, format("string too long: expected at most %d characters, got %d", operand, length(value))
  end
end

-- Does a text match? ngx.re is there when values are checked, not always when schemas are.
local function matches(text, pattern)
  local from, _, err = ngx.re.find(text, pattern, "jou")
  if err then
    return nil, "the pattern cannot be applied: " .. err
  end
  return from ~= nil
end

function K.pattern(operand)
  need("string", operand, "pattern")
  return function(value)
    if type(value) ~= "string" then
      return true
    end
    local ok, err = matches(value, operand)
    if ok then
      return true
    end
    return nil, err or format("failed to match pattern \"%s\"", operand)
  end
end

function K.format(operand)
  local check = formats[operand]
  return check and function(value)
    if type(value) ~= "string" or check(value) then
      return true
    end
    return nil, format("expected valid %s", operand)
  end
end

-- Arrays -----------------------------------------------------------------------------------------

local function check_items(first, rest)
  return function(value, depth)
    if not is_array(value) then
      return true
    end
    for i = 1, #value do
      local check = first[i] or rest
      if check then
        local ok, err = check(value[i], depth)
        if not ok then
          return nil, format("item %d: %s", i, err)
        end
      end
    end
    return true
  end
end

function K.items(operand, schema, compile)
  if not is_array(operand) then
    return check_items({}, compile(operand))
  end
  local first = {}
  for i = 1, #operand do
    first[i] = compile(operand[i])
  end
  return check_items(first, schema.additionalItems ~= nil and compile(schema.additionalItems) or nil)
end

function K.contains(operand, _, compile)
  local check = compile(operand)
  return function(value, depth)
    if not is_array(value) then
      return true
    end
    for i = 1, #value do
      if check(value[i], depth) then
        return true
      end
    end
    return nil, "no item is as expected"
  end
end

function K.uniqueItems(operand)
  return operand == true and function(value)
    if not is_array(value) then
      return true
    end
    local seen = {}
    for i = 1, #value do
      local text = canonical(value[i])
      if seen[text] then
        return nil, format("expected unique items, but items %d and %d are equal", seen[text], i)
      end
      seen[text] = i
    end
    return true
  end or nil
end

local function size_limit(is, size, holds, text)
  return function(operand, _, _, keyword)
    count(operand, keyword)
    return function(value)
      if not is(value) or holds(size(value), operand) then
        return true
      end
      return nil, format(text, operand)
    end
  end
end

local function items_of(value)
  return #value
end

local function members_of(value)
  local n = 0
  for _ in pairs(value) do
    n = n + 1
  end
  return n
end

local function at_least(a, b) return a >= b end
local function at_most(a, b) return a <= b end

K.minItems = size_limit(is_array, items_of, at_least, "expected at least %d items")
K.maxItems = size_limit(is_array, items_of, at_most, "expected at most %d items")
K.minProperties = size_limit(is_object, members_of, at_least, "expected at least %d properties")
K.maxProperties = size_limit(is_object, members_of, at_most, "expected at most %d properties")

-- Objects ----------------------------------------------------------------------------------------

function K.required(operand)
  if type(operand) == "boolean" then
    return nil -- draft 3, which much of what is written still carries
  end
  need("array", operand, "required")
  return function(value)
    for i = 1, is_object(value) and #operand or 0 do
      if value[operand[i]] == nil then
        return nil, format("property '%s' is required", operand[i])
      end
    end
    return true
  end
end

local function compile_map(map, compile, keyword)
  need("object", map, keyword)
  local out = {}
  for name, inner in pairs(map) do
    out[name] = compile(inner)
  end
  return out
end

local function at(name, err)
  return nil, format("property '%s': %s", name, err)
end

-- properties, patternProperties and additionalProperties together: who speaks for a member depends on the others.
function K.properties(operand, schema, compile)
  local named = compile_map(operand, compile, "properties")
  local by_pattern = compile_map(schema.patternProperties or {}, compile, "patternProperties")
  local others = schema.additionalProperties
  others = others ~= nil and others ~= true and (others == false or compile(others))
  if schema.additionalProperties == false then
    others = function()
      return nil, "additional properties are forbidden"
    end
  end
  local function check_member(name, value, depth)
    local spoken = named[name] ~= nil
    if spoken then
      local ok, err = named[name](value, depth)
      if not ok then
        return at(name, err)
      end
    end
    for pattern, check in pairs(by_pattern) do
      local hit, why = matches(name, pattern)
      local ok, err = hit, why
      if hit then
        spoken, ok, err = true, check(value, depth)
      end
      if err then
        return at(name, err)
      elseif hit and not ok then
        return at(name, "not as expected")
      end
    end
    if others and not spoken then
      local ok, err = others(value, depth)
      if not ok then
        return at(name, err)
      end
    end
    return true
  end
  return function(value, depth)
    if not is_object(value) then
      return true
    end
    for name, member in pairs(value) do
      local ok, err = check_member(name, member, depth)
      if not ok then
        return nil, err
      end
    end
    return true
  end
end

function K.dependencies(operand, _, compile)
  need("object", operand, "dependencies")
  local checks = {}
  for name, needed in pairs(operand) do
    checks[name] = is_array(needed) and K.required(needed) or compile(needed)
  end
  return function(value, depth)
    for name, check in pairs(is_object(value) and checks or {}) do
      if value[name] ~= nil then
        local ok, err = check(value, depth)
        if not ok then
          return nil, format("with property '%s': %s", name, err)
        end
      end
    end
    return true
  end
end

-- Combinations -----------------------------------------------------------------------------------

local function compile_list(list, compile, keyword)
  if not is_array(list) or #list == 0 then
    misuse("%s must be an array of schemas", keyword)
  end
  local out = {}
  for i = 1, #list do
    out[i] = compile(list[i])
  end
  return out
end

function K.allOf(operand, _, compile, keyword)
  local checks = compile_list(operand, compile, keyword)
  return function(value, depth)
    for i = 1, #checks do
      local ok, err = checks[i](value, depth)
      if not ok then
        return nil, err
      end
    end
    return true
  end
end

local function matching(checks, value, depth)
  local n = 0
  for i = 1, #checks do
    n = n + (checks[i](value, depth) and 1 or 0)
  end
  return n
end

function K.anyOf(operand, _, compile, keyword)
  local checks = compile_list(operand, compile, keyword)
  return function(value, depth)
    for i = 1, #checks do
      if checks[i](value, depth) then
        return true
      end
    end
    return nil, "matches none of the schemas of anyOf"
  end
end

function K.oneOf(operand, _, compile, keyword)
  local checks = compile_list(operand, compile, keyword)
  return function(value, depth)
    local n = matching(checks, value, depth)
    if n == 1 then
      return true
    end
    return nil, format("should match exactly one of the schemas of oneOf, matches %d", n)
  end
end

K["not"] = function(operand, _, compile)
  local check = compile(operand)
  return function(value, depth)
    if check(value, depth) then
      return nil, "matches a schema that it should not match"
    end
    return true
  end
end

-- All --------------------------------------------------------------------------------------------

-- The order of messages: the type first, what is inside last.
local ORDER = { "type", "enum", "const", "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
  "multipleOf", "minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "minProperties",
  "maxProperties", "items", "contains", "properties", "dependencies", "allOf", "anyOf", "oneOf", "not" }

-- The checks of a schema. compile(schema) -> check. Raises (a string) what is wrong with it.
function _M.compile(schema, compile)
  local checks = {}
  for _, keyword in ipairs(ORDER) do
    local operand = schema[keyword]
    if keyword == "properties" and (schema.patternProperties ~= nil or schema.additionalProperties ~= nil) then
      operand = operand or {}
    end
    if operand ~= nil then
      checks[#checks + 1] = K[keyword](operand, schema, compile, keyword)
    end
  end
  return checks
end

return _M

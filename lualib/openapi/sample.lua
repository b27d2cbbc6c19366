-- A value that fits a schema of an API specification: its example, default or first enum value, or one made
-- of its type and members. Pure.
-- Invariant: schemas that hold themselves end: an optional member that is too deep is left out.

local json = require "moongate.pdk.json"

local type = type
local DEPTH_MAX = 8

local FORMATS = {
  date = "2024-01-01", ["date-time"] = "2024-01-01T00:00:00Z", email = "user@example.com", uuid =
  "00000000-0000-4000-8000-000000000000", uri = "https://example.com", ipv4 = "192.0.2.1", ipv6 = "2001:db8::1",
  hostname = "example.com",
}

local make

local MAKERS = {
  string = function(schema)
    return FORMATS[schema.format] or "string"
  end,
  integer = function(schema)
    return math.ceil(type(schema.minimum) == "number" and schema.minimum or 0)
  end,
  number = function(schema)
    return type(schema.minimum) == "number" and schema.minimum or 0
  end,
  boolean = function()
    return true
  end,
  null = function()
    return json.null
  end,
  array = function(schema, spec, depth)
    local item = schema.items ~= nil and make(schema.items, spec, depth + 1) or nil
    return setmetatable({ item }, json.array_mt)
  end,
  object = function(schema, spec, depth)
    local out = {}
    for name, inner in pairs(type(schema.properties) == "table" and schema.properties or {}) do
      out[name] = make(inner, spec, depth + 1)
    end
    return out
  end,
}

-- All members that the parts of an allOf have.
local function merged(list, spec, depth)
  local out
  for _, part in ipairs(list) do
    local value = make(part, spec, depth + 1)
    if type(value) == "table" and type(out) == "table" then
      for name, member in pairs(value) do
        out[name] = member
      end
    else
      out = value
    end
  end
  return out
end

local function kind_of(schema)
  local kind = type(schema.type) == "table" and schema.type[1] or schema.type
  return kind or schema.properties and "object" or schema.items and "array"
end

function make(schema, spec, depth)
  schema = spec:deref(schema)
  if type(schema) ~= "table" or depth > DEPTH_MAX then
    return nil
  elseif schema.example ~= nil then
    return schema.example
  elseif schema.default ~= nil then
    return schema.default
  elseif type(schema.enum) == "table" then
    return schema.enum[1]
  elseif type(schema.allOf) == "table" then
    return merged(schema.allOf, spec, depth)
  end
  local choice = schema.oneOf or schema.anyOf
  if type(choice) == "table" then
    return make(choice[1], spec, depth + 1)
  end
  local maker = MAKERS[kind_of(schema)]
  return maker and maker(schema, spec, depth)
end

-- A value for a schema of the specification; nil when it says nothing.
return function(schema, spec)
  return make(schema, spec, 1)
end

-- Form fields as entities: "config.minute=5" and "paths[]=/a" become nested tables, texts become what the schema's fields are.
-- Not the reading of bodies (body.lua).

local Schema = require("moongate.schema")
local json = require("moongate.util.json_encode")

local _M = {}

local DEPTH_MAX = 32

-- "a.b[1]" -> {"a", "b", 1}; "a[]" -> {"a", "+"}; nil: no such name.
local function path_of(name)
  local path = {}
  for part in (name .. "."):gmatch("([^.]*)%.") do
    local head, rest = part:match("^([^%[]*)(.*)$")
    path[#path + 1] = head
    for index in rest:gmatch("%[(.-)%]") do
      path[#path + 1] = index == "" and "+" or index:find("^%d+$") and tonumber(index) or index
    end
  end
  return #path <= DEPTH_MAX and path or nil
end

local function put(out, path, value)
  local at = out
  for i = 1, #path - 1 do
    local key = path[i] == "+" and #at + 1 or path[i]
    if type(at[key]) ~= "table" then
      at[key] = {}
    end
    at = at[key]
  end
  local last = path[#path]
  if last == "+" and type(value) == "table" then
    for _, item in ipairs(value) do
      at[#at + 1] = item
    end
  else
    at[last == "+" and #at + 1 or last] = value
  end
end

--- Nested tables of decoded form fields; nil and why.
function _M.nest(fields)
  local out, names = {}, {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = path_of(name)
    if not path then
      return nil, "a form field is nested deeper than " .. DEPTH_MAX .. " levels"
    end
    put(out, path, fields[name])
  end
  return out
end

local infer

local LISTS = { array = true, set = true }
local BOOLEANS = { ["true"] = true, ["false"] = false }

local function infer_list(field, value)
  if type(value) == "string" then
    local parts = json.array()
    for part in value:gmatch("[^,]+") do
      parts[#parts + 1] = part
    end
    value = parts
  end
  local out = json.array()
  for i, item in ipairs(value) do
    out[i] = item
    if field.elements then
      out[i] = infer(field.elements, item)
    end
  end
  for key in pairs(value) do
    if out[key] == nil then
      return { [tostring(key)] = value[key] } -- it has gaps or names: no list, and the schema says so
    end
  end
  return out
end

local function infer_record(record, value)
  local out = {}
  for key, item in pairs(value) do
    local field = record.by_name[key]
    for _, shorthand in ipairs(not field and record.shorthands or {}) do
      field = field or shorthand.name == key and shorthand.field or nil
    end
    out[key] = field and infer(field, item) or item
    if field and field.type == "boolean" then
      out[key] = infer(field, item)
    end
  end
  return out
end

function infer(field, value)
  local kind = field.type
  if value == "" then
    return json.null
  elseif LISTS[kind] and (type(value) == "string" or type(value) == "table") then
    return infer_list(field, value)
  elseif (kind == "number" or kind == "integer") and type(value) == "string" then
    return tonumber(value) or value
  elseif kind == "boolean" and BOOLEANS[value] ~= nil then
    return BOOLEANS[value]
  elseif kind == "record" and type(value) == "table" then
    return infer_record(Schema.compile(field), value)
  elseif kind == "map" and type(value) == "table" and field.values then
    local out = {}
    for key, item in pairs(value) do
      out[key] = infer(field.values, item)
    end
    return out
  end
  return value
end

--- The values that the texts of a form mean for the schema.
function _M.infer(schema, input)
  return infer_record(schema.record, input)
end

return _M

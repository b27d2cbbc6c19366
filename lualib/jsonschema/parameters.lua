-- Parameters of requests as JSON values: OpenAPI's styles (simple, label, matrix, form, spaceDelimited,
-- pipeDelimited, deepObject), with and without explode, and texts as the types a schema names.
-- Not their validation (jsonschema). Pure.

local json = require "moongate.pdk.json"

local find, match, sub = string.find, string.match, string.sub
local array_mt = json.array_mt

local _M = {}

_M.STYLES = {
  path = { simple = true, label = true, matrix = true },
  query = { form = true, spaceDelimited = true, pipeDelimited = true, deepObject = true },
  header = { simple = true },
}
_M.DEFAULT_STYLE = { path = "simple", query = "form", header = "simple" }

-- A text as the schema's type wants it; the text itself when it cannot be that.
local function as_type(text, schema)
  local kind = type(schema) == "table" and schema.type
  if type(text) ~= "string" then
    return text
  elseif kind == "number" or kind == "integer" then
    return find(text, "^-?%d+%.?%d*[eE]?[+-]?%d*$") and tonumber(text) or text
  elseif kind == "boolean" then
    if text == "true" or text == "false" then
      return text == "true"
    end
  elseif kind == "null" and text == "" then
    return json.null
  end
  return text
end

local function split(text, separator)
  local out, from = {}, 1
  if text == "" then
    return out
  end
  while true do
    local at, last = find(text, separator, from, true)
    out[#out + 1] = sub(text, from, (at or 0) - 1)
    if not at then
      return out
    end
    from = last + 1
  end
end

local function array_of(texts, schema)
  local out = {}
  for i, text in ipairs(texts) do
    out[i] = as_type(text, schema.items)
  end
  return setmetatable(out, array_mt)
end

local function member_schema(schema, name)
  return type(schema.properties) == "table" and schema.properties[name] or nil
end

-- "a,1,b,2" or, exploded, "a=1", "b=2".
local function object_of(texts, schema, explode)
  local out = {}
  for i = 1, #texts, explode and 1 or 2 do
    local name, value = texts[i], texts[i + 1]
    if explode then
      name, value = match(texts[i], "^([^=]*)=?(.*)$")
    end
    out[name] = as_type(value or "", member_schema(schema, name))
  end
  return out
end

-- The texts of a path's or header's value, by style; name: of the parameter (matrix).
local function texts_of(style, text, name, explode, is_object)
  if style == "label" then
    return split(text:gsub("^%.", ""), explode and "." or ",")
  elseif style == "matrix" then
    local parts = split(text:gsub("^;", ""), ";")
    if explode and is_object then
      return parts
    end
    local out = {}
    for _, part in ipairs(parts) do
      local value = sub(part, 1, #name + 1) == name .. "=" and sub(part, #name + 2) or part
      for _, one in ipairs(explode and { value } or split(value, ",")) do
        out[#out + 1] = one
      end
    end
    return out
  end
  return split(text, ",")
end

local function read_text(parameter, schema, text)
  local kind = schema.type
  local explode = parameter.explode == true
  local texts = texts_of(parameter.style, text, parameter.name, explode, kind == "object")
  if kind == "array" then
    return array_of(texts, schema)
  elseif kind == "object" then
    return object_of(texts, schema, explode)
  elseif parameter.style == "simple" then
    return as_type(text, schema)
  end
  return as_type(texts[1] or "", schema)
end

-- Values of one name in a query's table, as a list of texts; nil when there are none.
local function values_of(query, name)
  local value = query[name]
  if value == nil then
    return nil
  end
  local out = {}
  for i, one in ipairs(type(value) == "table" and value or { value }) do
    out[i] = one == true and "" or one
  end
  return out
end

local SEPARATORS = { form = ",", spaceDelimited = " ", pipeDelimited = "|" }

local function read_query_object(parameter, schema, query)
  if parameter.style == "form" and not parameter.explode then
    local texts = values_of(query, parameter.name)
    return texts and object_of(split(texts[1], ","), schema, false)
  end
  local out, any = {}, false
  if parameter.style == "deepObject" then
    for name in pairs(query) do
      local outer, inner = match(name, "^(.-)%[(.-)%]$")
      if outer == parameter.name then
        out[inner], any = as_type(values_of(query, name)[1], member_schema(schema, inner)), true
      end
    end
  else
    for name, inner in pairs(type(schema.properties) == "table" and schema.properties or {}) do
      local texts = values_of(query, name)
      if texts then
        out[name], any = as_type(texts[1], inner), true
      end
    end
  end
  return any and out or nil
end

local function read_query(parameter, schema, query)
  if schema.type == "object" then
    return read_query_object(parameter, schema, query)
  end
  local texts = values_of(query, parameter.name)
  if not texts then
    return nil
  elseif schema.type ~= "array" then
    return as_type(texts[1], schema)
  elseif parameter.explode and parameter.style == "form" then
    return array_of(texts, schema)
  end
  return array_of(split(texts[1], SEPARATORS[parameter.style] or ","), schema)
end

-- The value of a parameter {["in"]=, name=, style=, explode=} with its decoded schema, from `source`: a text (path,
-- header) or the table of a query. nil when it is absent.
function _M.read(parameter, schema, source)
  if source == nil then
    return nil
  elseif parameter["in"] == "query" then
    return read_query(parameter, schema or {}, source)
  end
  return read_text(parameter, schema or {}, source)
end

return _M

-- Checks of JSON values by JSON Schema, draft 4 (with const, contains, boolean schemas and numeric
-- exclusive limits of draft 6): a schema becomes a function once; values come from pdk/json.
-- Not the keywords (jsonschema/keywords), not the decoding. References are within the document.
-- Invariant: an error says where in the value and what was expected, never the value itself.

local json = require "moongate.pdk.json"
local keywords = require "moongate.jsonschema.keywords"

local gmatch, gsub = string.gmatch, string.gsub

local _M = {}

local DEPTH_MAX = 128

local function unescape(token)
  return (gsub(gsub(gsub(token, "%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end), "~1", "/"), "~0", "~"))
end

-- What a reference within the document names, or nil.
local function resolve(root, reference)
  local pointer = reference:match("^#(.*)$")
  if not pointer then
    return nil, "reference '" .. reference .. "': only references within the document are known"
  elseif pointer ~= "" and pointer:sub(1, 1) ~= "/" then
    return nil, "reference '" .. reference .. "': not a JSON pointer"
  end
  local at = root
  for token in gmatch(pointer, "/([^/]*)") do
    token = unescape(token)
    if type(at) ~= "table" then
      return nil, "reference '" .. reference .. "' names nothing"
    end
    local list = getmetatable(at) == json.array_mt
    at = at[list and (tonumber(token) or -1) + 1 or token]
  end
  if at == nil then
    return nil, "reference '" .. reference .. "' names nothing"
  end
  return at
end

-- Compiling --------------------------------------------------------------------------------------

-- context: {root =, made = schema table -> {check =}}. Raises what is wrong with the schema (a string).
local function compile(context, schema)
  if schema == true then
    return function()
      return true
    end
  elseif schema == false then
    return function()
      return nil, "nothing is allowed here"
    end
  elseif type(schema) ~= "table" or getmetatable(schema) == json.array_mt then
    error("a schema must be an object", 0)
  end
  local known = context.made[schema]
  if known then
    -- Under way or done: a schema may hold itself.
    return function(value, depth)
      if depth > DEPTH_MAX then
        return nil, "nested too deep"
      end
      return known.check(value, depth + 1)
    end
  end
  known = {}
  context.made[schema] = known
  local checks
  if type(schema["$ref"]) == "string" then
    local target, err = resolve(context.root, schema["$ref"])
    if err then
      error(err, 0)
    end
    checks = { compile(context, target) } -- what stands beside a reference does not count
  else
    checks = keywords.compile(schema, function(inner)
      return compile(context, inner)
    end)
  end
  known.check = function(value, depth)
    for i = 1, #checks do
      local ok, err = checks[i](value, depth)
      if not ok then
        return nil, err
      end
    end
    return true
  end
  return known.check
end

-- A function(value) -> true | nil, why, of a schema (JSON text or a decoded value); nil, why the schema is none.
function _M.compile(schema)
  if type(schema) == "string" then
    local decoded, err = json.decode(schema)
    if decoded == nil then
      return nil, "not JSON: " .. tostring(err)
    end
    schema = decoded
  end
  local ok, check = pcall(compile, { root = schema, made = {} }, schema)
  if not ok then
    if type(check) ~= "string" or check:find("^[^ ]+%.lua:%d+:") then
      error(check, 0) -- ours, not the schema's
    end
    return nil, check
  end
  return function(value)
    return check(value, 1)
  end
end

return _M

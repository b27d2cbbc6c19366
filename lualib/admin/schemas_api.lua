-- GET /schemas/...: what entities and plugins may hold; POST /schemas/.../validate: would this one be taken.

local describe = require("moongate.schema.describe")
local errors = require("moongate.admin.errors")
local json = require("moongate.util.json_encode")
local kinds = require("moongate.admin.kinds")
local plugins = require("moongate.admin.plugins")

local Store = require("moongate.admin.store")

local _M = {}

local VALID = "schema validation successful"
local described = {}

local function kind_of(name)
  local kind = name:gsub("-", "_")
  return kinds.by_kind[kind] and kind or nil
end

local function no_entity(name)
  return errors.message(404, "No entity named '" .. name .. "'")
end

--- GET /schemas/{entity}
function _M.entity(call)
  local kind = kind_of(call.params[1])
  if not kind then
    return no_entity(call.params[1])
  end
  described[kind] = described[kind] or describe.entity(kind)
  return { status = 200, body = described[kind] }
end

--- GET /schemas/plugins/{name}
function _M.plugin(call)
  local schema, why = plugins.describe(call.params[1])
  if schema then
    return { status = 200, body = schema }
  elseif why then
    return errors.message(500, "plugin '" .. call.params[1] .. "' cannot be used: " .. why)
  end
  return errors.message(404, "No plugin named '" .. call.params[1] .. "'")
end

--- GET /schemas/vaults/{name}: of the backends that there are.
function _M.vault(call)
  local name = call.params[1]
  if name ~= "env" and name ~= "file" then
    return errors.message(404, "No vault named '" .. name .. "'")
  end
  for _, item in ipairs(describe.entity("vaults").fields) do
    if item.config then
      return { status = 200, body = { name = name, fields = json.array({ item }) } }
    end
  end
end

local function validate(call, kind)
  local input, answer = call.read(kinds.by_kind[kind])
  if not input then
    return answer
  end
  local ok
  ok, answer = Store.validate(kind, input)
  return ok and { status = 200, body = { message = VALID } } or answer
end

--- The same for a kind whose path another one would take.
function _M.validate_kind(kind)
  return function(call)
    return validate(call, kind)
  end
end

--- POST /schemas/{entity}/validate
function _M.validate(call)
  local kind = kind_of(call.params[1])
  return kind and validate(call, kind) or no_entity(call.params[1])
end

return _M

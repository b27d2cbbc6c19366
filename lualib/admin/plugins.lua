-- Plugins as the Admin API knows them: their schemas, and which there are with version and priority. Not instances of plugins:
-- those are entities (store.lua). Invariant: a plugin that does not load hurts nobody but who asks for it.

local check = require("moongate.config.check")
local describe = require("moongate.schema.describe")

local _M = {}

local schemas, described, facts = {}, {}, {}
local names, known = {}, {}

--- Which plugins the loader found.
function _M.use(list)
  names, known = list, {}
  for _, name in ipairs(list) do
    known[name] = true
  end
end

--- Their names, sorted.
function _M.names()
  return names
end

--- What a plugin's schema.lua returns; nil when there is no such plugin; nil and why when it does not load.
function _M.definition(name)
  if not known[name] then
    return nil
  end
  local ok, definition = pcall(require, "kong.plugins." .. name .. ".schema")
  if not ok then
    return nil, tostring(definition)
  elseif type(definition) ~= "table" then
    return nil, "schema.lua returns no table"
  end
  return definition
end

--- The schema of entities of a plugin; nil, or nil and why, as above.
function _M.schema(name)
  if schemas[name] then
    return schemas[name]
  end
  local definition, why = _M.definition(name)
  if not definition then
    return nil, why
  end
  schemas[name], why = check.plugin_schema(definition)
  return schemas[name], why
end

--- Its schema in Kong's form; nil, or nil and why, as above.
function _M.describe(name)
  if described[name] then
    return described[name]
  end
  local definition, why = _M.definition(name)
  if not definition then
    return nil, why
  end
  described[name], why = describe.plugin(definition)
  return described[name], why
end

--- {version =, priority =} of a plugin, {} when its handler does not load.
function _M.facts(name)
  if not facts[name] then
    local ok, handler = pcall(require, "kong.plugins." .. name .. ".handler")
    local good = ok and type(handler) == "table"
    facts[name] = good and { version = handler.VERSION, priority = handler.PRIORITY } or {}
  end
  return facts[name]
end

return _M

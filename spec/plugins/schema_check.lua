-- What all schemas of the bundled plugins owe: they compile, and every field says what it is for.

local assert = require "luassert"
local Schema = require "moongate.schema"

local M = {}

local function undescribed(fields, path, out)
  for _, item in ipairs(fields) do
    local name, field = next(item)
    local at = path .. name
    if not field.description and not (field.type == "record" and path == "") then
      out[#out + 1] = at
    end
    local inner = field.type == "record" and field or field.elements
    if inner and inner.fields then
      undescribed(inner.fields, at .. ".", out)
    end
  end
  return out
end

-- The protocols of a plugin with these members beside its config.
function M.protocols(name, input)
  local schema = assert(Schema.new(require("kong.plugins." .. name .. ".schema")))
  input.config = input.config or {}
  return assert(schema:process(input)).protocols
end

-- A function config -> config with defaults, or nil and {path = message} ("@entity" for the whole).
function M.open(name)
  local definition = require("kong.plugins." .. name .. ".schema")
  local schema = assert(Schema.new(definition))
  assert(definition.name == name, "the schema bears the name of its directory")
  local config
  for _, item in ipairs(definition.fields) do
    config = config or item.config
  end
  assert.same({}, undescribed(config.fields, "config.", {}))
  return function(input)
    local out, failed = schema:process({ config = input })
    if out then
      return out.config
    end
    local flat = {}
    for _, problem in ipairs(Schema.flatten_errors(failed)) do
      local path = table.concat(problem.path, "."):gsub("^config%.", "")
      flat[path == "" and "@entity" or path] = problem.message
    end
    return nil, flat
  end
end

return M

-- What the process of the Admin API runs: one route for every path, and on it the plugin that answers (admin/handler.lua).
-- Made by the loader like any configuration, so that nothing here knows how documents look.

local json = require("moongate.util.json_encode")
local loader = require("moongate.config.loader")

local _M = {}

-- Another plugin cannot have this name: the loader takes it from here and nowhere else.
_M.PLUGIN = "moongate-admin"

local SCHEMA = { name = _M.PLUGIN, fields = {
  { config = { type = "record", fields = { { inventory = { type = "string", required = true } } } } } } }

local function plugin_schema(name)
  return name == _M.PLUGIN and SCHEMA or nil
end

-- The Upstreams as workers have them, so that the health of their targets can be asked for here.
local function upstreams_of(document)
  local out = json.array()
  for i, upstream in ipairs(document.upstreams) do
    out[i] = {}
    for key, value in pairs(upstream) do
      out[i][key] = key == "client_certificate" and json.null or value
    end
  end
  return out
end

--- The document as a table. inventory: JSON text of config/inventory.lua; of: the workers' document; code: {hash =, files =} of
--- all plugins.
function _M.build(inventory, of, code)
  local tree = {
    _format_version = "3.0", routes = { { name = _M.PLUGIN, paths = { "/" } } },
    plugins = { { name = _M.PLUGIN, config = { inventory = inventory } } },
  }
  local document, problems = loader.load({ { file = _M.PLUGIN, tree = tree } }, { plugin_schema = plugin_schema })
  if not document then
    error("the Admin API's own configuration is wrong: " .. loader.format_problem(problems[1]))
  end
  document.code, document.upstreams = code, upstreams_of(of)
  return document
end

return _M

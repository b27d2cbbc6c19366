-- Tells its configuration, and which of the modules named in X-Modules (a JSON list) can be required. For
-- spec/e2e/compat_spec.lua.

local cjson = require("cjson")

local Compat = { PRIORITY = 1, VERSION = "1.0.0" }

function Compat:access(conf)
  local modules = {}
  for _, name in ipairs(cjson.decode(kong.request.get_header("X-Modules") or "[]")) do
    local ok, result = pcall(require, name)
    modules[name] = ok and type(result) or tostring(result)
  end
  return kong.response.exit(200, { conf = conf, modules = modules })
end

return Compat

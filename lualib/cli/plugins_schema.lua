-- `moongate plugins schema NAME`: a plugin's schema as JSON, in the form of GET /schemas/plugins/NAME.

local describe = require "moongate.schema.describe"
local json = require "moongate.util.json_encode"

return function(_, args)
  local name = args[1]
  local ok, definition = pcall(require, "kong.plugins." .. name .. ".schema")
  if not ok then
    local missing = tostring(definition):find("not found", 1, true)
    io.stderr:write(missing and ("moongate: there is no plugin '%s' (moongate plugins list)\n"):format(name)
      or ("moongate: plugin '%s': schema.lua failed: %s\n"):format(name, tostring(definition)))
    return 1
  end
  io.stdout:write(json.encode(describe.plugin(definition)), "\n")
  return 0
end

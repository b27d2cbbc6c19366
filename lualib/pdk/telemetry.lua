-- kong.telemetry: structured messages of plugins. There is no exporter for them: they go to the log.

local node = require("moongate.abi.node")
local json = require("moongate.pdk.json")

local NOTICE = 6

local _M = {}

--- Reports a message with attributes. All phases. attributes: a table of scalars, or nil.
-- Returns true. Example: kong.telemetry.log("my-plugin", conf, "result", "done", {})
function _M.log(plugin_name, plugin_config, message_type, message, attributes)
  if type(plugin_name) ~= "string" then
    error("plugin_name must be a string", 2)
  elseif type(plugin_config) ~= "table" then
    error("plugin_config must be a table", 2)
  elseif type(message_type) ~= "string" then
    error("message_type must be a string", 2)
  elseif message ~= nil and type(message) ~= "string" then
    error("message must be a string", 2)
  elseif attributes ~= nil and type(attributes) ~= "table" then
    error("attributes must be a table", 2)
  end
  if node.log_wants(NOTICE) then
    node.log(NOTICE, ("[kong] telemetry: [%s] %s: %s%s"):format(plugin_name, message_type, message or "",
      attributes and " " .. json.encode(attributes) or ""))
  end
  return true
end

return _M

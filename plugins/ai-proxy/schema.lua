-- Configuration of ai-proxy; its config is lualib/ai/conf_schema.lua.

local typedefs = require "moongate.schema.typedefs"

local PROTOCOLS = { "grpc", "grpcs", "http", "https", "ws", "wss" }

return {
  name = "ai-proxy",
  fields = {
    { protocols = typedefs.protocols { default = PROTOCOLS } },
    { config = require "moongate.ai.conf_schema" },
  },
}

-- Configuration of udp-log: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "udp-log",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { host = typedefs.host { required = true, description = "Name or address of the server." } },
        { port = typedefs.port { required = true, description = "Its port." } },
        { timeout = { type = "number", default = 10000,
          description = "Accepted for Kong's files: a datagram waits for nothing." } },
        { custom_fields_by_lua = typedefs.lua_code {
          description = "Lua expressions by the name of the field they set; a nil takes the field away.",
        } },
      },
    } },
  },
}

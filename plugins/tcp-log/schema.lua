-- Configuration of tcp-log: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "tcp-log",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { host = typedefs.host { required = true, description = "Name or address of the server." } },
        { port = typedefs.port { required = true, description = "Its port." } },
        { timeout = { type = "number", default = 10000,
          description = "Milliseconds to connect and to send." } },
        { keepalive = { type = "number", default = 60000,
          description = "Milliseconds an idle connection is kept." } },
        { tls = { type = "boolean", required = true, default = false, description = "Use TLS." } },
        { tls_sni = { type = "string", description = "Server name sent in the TLS handshake." } },
        { ssl_verify = { type = "boolean", default = true,
          description = "Verify the server's certificate." } },
        { custom_fields_by_lua = typedefs.lua_code {
          description = "Lua expressions by the name of the field they set; a nil takes the field away.",
        } },
      },
    } },
  },
}

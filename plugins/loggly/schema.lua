-- Configuration of loggly: Kong's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local SEVERITIES = { "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg" }

local function severity(name, description)
  return { [name] = { type = "string", default = "info", one_of = SEVERITIES, description = description } }
end

return {
  name = "loggly",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { host = typedefs.host { default = "logs-01.loggly.com", description = "Loggly's server." } },
        { port = typedefs.port { default = 514, description = "Its port." } },
        { key = { type = "string", required = true, referenceable = true, encrypted = true,
          description = "The customer token." } },
        { tags = { type = "set", default = { "kong" }, elements = { type = "string" },
          description = "Tags of the messages." } },
        severity("log_level", "Messages less severe than this are not sent."),
        severity("successful_severity", "Severity of requests answered below 400."),
        severity("client_errors_severity", "Severity of requests answered 4xx."),
        severity("server_errors_severity", "Severity of requests answered 5xx."),
        { timeout = { type = "number", default = 10000,
          description = "Accepted for Kong's files: a datagram waits for nothing." } },
        { custom_fields_by_lua = typedefs.lua_code {
          description = "Lua expressions by the name of the field they set; a nil takes the field away.",
        } },
      },
    } },
  },
}

-- Configuration of syslog: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local SEVERITIES = { "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg" }
local FACILITIES = { "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog",
  "user", "uucp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7" }

local function severity(name, description)
  return { [name] = { type = "string", required = true, default = "info", one_of = SEVERITIES,
    description = description } }
end

return {
  name = "syslog",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        severity("log_level", "Messages less severe than this are not sent."),
        severity("successful_severity", "Severity of requests answered below 400."),
        severity("client_errors_severity", "Severity of requests answered 4xx."),
        severity("server_errors_severity", "Severity of requests answered 5xx."),
        { facility = { type = "string", required = true, default = "user", one_of = FACILITIES,
          description = "The facility messages are sent under." } },
        { custom_fields_by_lua = typedefs.lua_code {
          description = "Lua expressions by the name of the field they set; a nil takes the field away.",
        } },
      },
    } },
  },
}

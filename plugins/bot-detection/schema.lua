-- Configuration of bot-detection: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "bot-detection",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { allow = {
          type = "array", elements = { type = "string", is_regex = true }, default = {},
          description = "Patterns (PCRE) of User-Agents that pass, whatever else matches.",
        } },
        { deny = {
          type = "array", elements = { type = "string", is_regex = true }, default = {},
          description = "Patterns (PCRE) of User-Agents that do not pass, besides the built-in ones.",
        } },
      },
    } },
  },
}

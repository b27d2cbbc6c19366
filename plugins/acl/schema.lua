-- Configuration of acl: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local function flag(name, description)
  return { [name] = { type = "boolean", required = true, default = false, description = description } }
end

return {
  name = "acl",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { allow = {
          type = "array", elements = { type = "string" },
          description = "Groups that may pass; everybody else may not.",
        } },
        { deny = {
          type = "array", elements = { type = "string" },
          description = "Groups that may not pass; every other consumer may.",
        } },
        flag("hide_groups_header", "Do not tell the upstream the client's groups."),
        flag("always_use_authenticated_groups",
          "Groups that an authentication plugin found elsewhere count before those of the consumer."),
        flag("include_consumer_groups", "Names of the consumer's consumer groups count too."),
      },
    } },
  },
  entity_checks = { { only_one_of = { "config.allow", "config.deny" } } },
}

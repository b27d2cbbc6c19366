-- Configuration of ip-restriction: Kong 3.14's fields and check.

local typedefs = require "moongate.schema.typedefs"

local PROTOCOLS = { "grpc", "grpcs", "http", "https", "tcp", "tls" }

return {
  name = "ip-restriction",
  fields = {
    { protocols = typedefs.protocols {
      default = PROTOCOLS, elements = { type = "string", one_of = PROTOCOLS },
    } },
    { config = {
      type = "record",
      fields = {
        { allow = {
          type = "array", elements = typedefs.ip_or_cidr,
          description = "Addresses and networks that may pass; all others may not.",
        } },
        { deny = {
          type = "array", elements = typedefs.ip_or_cidr,
          description = "Addresses and networks that may not pass, even when they are in `allow`.",
        } },
        { status = {
          type = "number", between = { 400, 599 },
          description = "Status of a refusal; 403 when it is not given.",
        } },
        { message = { type = "string", description = "Message of a refusal." } },
      },
    } },
  },
  entity_checks = { { at_least_one_of = { "config.allow", "config.deny" } } },
}

-- Configuration of response-ratelimiting: Kong 3.14's fields and defaults, the older redis_* names included.

local limits = require "moongate.limits.schema"
local typedefs = require "moongate.schema.typedefs"

return {
  name = "response-ratelimiting",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { header_name = typedefs.header_name { default = "x-kong-limit",
          description = "Header of the upstream's response that says what it cost: name=units, ..." } },
        { limit_by = { type = "string", default = "consumer", one_of = { "consumer", "credential", "ip" },
          description = "Whose units are counted together; where that is unknown, the client's IP." } },
        { policy = limits.policy },
        { fault_tolerant = limits.fault_tolerant },
        { redis = limits.redis },
        { block_on_first_violation = { type = "boolean", required = true, default = false,
          description = "Refuse requests as soon as any limit is used up, before the upstream is asked." } },
        { hide_client_headers = { type = "boolean", required = true, default = false,
          description = "Send the client no X-RateLimit headers." } },
        { limits = {
          type = "map", required = true, len_min = 1, keys = { type = "string" },
          description = "Limits by name.",
          values = {
            type = "record", required = true, description = "Limits per period.",
            fields = limits.limits("Units"),
            custom_validator = limits.check_order,
            entity_checks = { { at_least_one_of = limits.PERIODS } },
          },
        } },
      },
      shorthand_fields = limits.older_names,
    } },
  },
  entity_checks = { limits.redis_has_host },
}

-- Configuration of rate-limiting: Kong 3.14's fields and defaults, the older redis_* names included.

local limits = require "moongate.limits.schema"
local typedefs = require "moongate.schema.typedefs"

local second, minute, hour, day, month, year = unpack(limits.limits("Requests"))

return {
  name = "rate-limiting",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        second, minute, hour, day, month, year,
        { limit_by = {
          type = "string", default = "consumer",
          one_of = { "consumer", "consumer-group", "credential", "ip", "service", "header", "path" },
          description = "Whose requests are counted together; where that is unknown, the client's IP.",
        } },
        { header_name = typedefs.header_name {
          description = "The header to count by, with limit_by header." } },
        { path = typedefs.path { description = "The path to count by, with limit_by path." } },
        { policy = limits.policy },
        { fault_tolerant = limits.fault_tolerant },
        { redis = limits.redis },
        { hide_client_headers = {
          type = "boolean", required = true, default = false,
          description = "Send no RateLimit headers.",
        } },
        { error_code = { type = "number", default = 429, between = { 400, 599 },
          description = "Status of a refusal." } },
        { error_message = { type = "string", default = "API rate limit exceeded",
          description = "Message of a refusal." } },
        { sync_rate = { type = "number", required = true, default = -1,
          description = "Accepted for Kong's files; Redis is asked at each request, so counts are exact." } },
      },
      shorthand_fields = limits.older_names,
    } },
  },
  entity_checks = {
    { at_least_one_of = { "config.second", "config.minute", "config.hour", "config.day",
      "config.month", "config.year" } },
    limits.redis_has_host,
    { conditional = {
      if_field = "config.limit_by", if_match = { eq = "header" },
      then_field = "config.header_name", then_match = { required = true },
    } },
    { conditional = {
      if_field = "config.limit_by", if_match = { eq = "path" },
      then_field = "config.path", then_match = { required = true },
    } },
    { custom_entity_check = {
      field_sources = { "config" },
      fn = function(entity)
        return limits.check_order(entity.config)
      end,
    } },
  },
}

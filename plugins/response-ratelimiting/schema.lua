-- Configuration of response-ratelimiting: Kong 3.14's fields and defaults, the older redis_* names included.

local typedefs = require "moongate.schema.typedefs"

local PERIODS = { "second", "minute", "hour", "day", "month", "year" }

local function limit(period)
  return { [period] = { type = "number", gt = 0, description = "Units allowed per " .. period .. "." } }
end

-- A longer window may not allow less than a shorter one.
local function check_order(limits)
  for i, shorter in ipairs(PERIODS) do
    for j = i + 1, #PERIODS do
      local longer = PERIODS[j]
      local less, more = limits[longer], limits[shorter]
      if type(less) == "number" and type(more) == "number" and less < more then
        return nil, ("The limit for %s(%.1f) cannot be lower than the limit for %s(%.1f)"):format(
          longer, less, shorter, more)
      end
    end
  end
  return true
end

-- As schema/redis.lua, but for ssl_verify, which this plugin does not turn on by itself.
local redis = {
  type = "record", required = true, description = "The Redis server of policy redis.",
  fields = {
    { host = typedefs.redis_host },
    { port = typedefs.port { default = 6379, referenceable = true, description = "Port of the Redis server." } },
    { username = { type = "string", referenceable = true, description = "ACL user." } },
    { password = { type = "string", referenceable = true, encrypted = true, len_min = 0,
      description = "Password of the user, or of the server." } },
    { database = { type = "integer", default = 0, description = "Database number." } },
    { timeout = typedefs.timeout { default = 2000, description = "Of each operation, ms." } },
    { ssl = { type = "boolean", required = true, default = false, description = "Use TLS." } },
    { ssl_verify = { type = "boolean", required = true, default = false,
      description = "Verify the server's certificate." } },
    { server_name = typedefs.redis_server_name },
  },
}

local function older(name, kind, to)
  return { [name] = { type = kind, len_min = kind == "string" and 0 or nil,
    description = "Older name of redis." .. to .. ".",
    func = function(value)
      return { redis = { [to] = value } }
    end } }
end

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
        { policy = { type = "string", default = "local", len_min = 0, one_of = { "local", "cluster", "redis" },
          description = "Where counters live: this node's shared memory, or Redis. "
            .. "cluster counts locally, there being no database." } },
        { fault_tolerant = { type = "boolean", required = true, default = true,
          description = "Let requests pass while Redis cannot be reached." } },
        { redis = redis },
        { block_on_first_violation = { type = "boolean", required = true, default = false,
          description = "Refuse requests as soon as any limit is used up, before the upstream is asked." } },
        { hide_client_headers = { type = "boolean", required = true, default = false,
          description = "Send the client no X-RateLimit headers." } },
        { limits = {
          type = "map", required = true, len_min = 1, keys = { type = "string" },
          description = "Limits by name.",
          values = {
            type = "record", required = true, description = "Limits per period.",
            fields = { limit("second"), limit("minute"), limit("hour"), limit("day"), limit("month"), limit("year") },
            custom_validator = check_order,
            entity_checks = { { at_least_one_of = PERIODS } },
          },
        } },
      },
      shorthand_fields = {
        older("redis_host", "string", "host"),
        older("redis_port", "integer", "port"),
        older("redis_username", "string", "username"),
        older("redis_password", "string", "password"),
        older("redis_database", "integer", "database"),
        older("redis_timeout", "number", "timeout"),
        older("redis_ssl", "boolean", "ssl"),
        older("redis_ssl_verify", "boolean", "ssl_verify"),
        older("redis_server_name", "string", "server_name"),
      },
    } },
  },
  entity_checks = {
    { conditional = {
      if_field = "config.policy", if_match = { eq = "redis" },
      then_field = "config.redis.host", then_match = { required = true },
    } },
  },
}

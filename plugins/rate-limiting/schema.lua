-- Configuration of rate-limiting: Kong 3.14's fields and defaults, the older redis_* names included.

local typedefs = require "moongate.schema.typedefs"

local PERIODS = { "second", "minute", "hour", "day", "month", "year" }

local function limit(period)
  return { [period] = {
    type = "number", gt = 0,
    description = "Requests allowed per " .. period .. ".",
  } }
end

-- A longer window may not allow less than a shorter one.
local function check_order(config)
  for i, shorter in ipairs(PERIODS) do
    for j = i + 1, #PERIODS do
      local longer = PERIODS[j]
      local less, more = config[longer], config[shorter]
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
    { port = typedefs.port { default = 6379, referenceable = true,
      description = "Port of the Redis server." } },
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
  name = "rate-limiting",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        limit("second"), limit("minute"), limit("hour"), limit("day"), limit("month"), limit("year"),
        { limit_by = {
          type = "string", default = "consumer",
          one_of = { "consumer", "consumer-group", "credential", "ip", "service", "header", "path" },
          description = "Whose requests are counted together; where that is unknown, the client's IP.",
        } },
        { header_name = typedefs.header_name {
          description = "The header to count by, with limit_by header." } },
        { path = typedefs.path { description = "The path to count by, with limit_by path." } },
        { policy = {
          type = "string", default = "local", len_min = 0, one_of = { "local", "cluster", "redis" },
          description = "Where counters live: this node's shared memory, or Redis. "
            .. "cluster counts locally, there being no database.",
        } },
        { fault_tolerant = {
          type = "boolean", required = true, default = true,
          description = "Let requests pass while Redis cannot be reached.",
        } },
        { redis = redis },
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
    { at_least_one_of = { "config.second", "config.minute", "config.hour", "config.day",
      "config.month", "config.year" } },
    { conditional = {
      if_field = "config.policy", if_match = { eq = "redis" },
      then_field = "config.redis.host", then_match = { required = true },
    } },
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
        return check_order(entity.config)
      end,
    } },
  },
}

-- Configuration of basic-auth: Kong 3.14's fields and defaults.

local redis = require "moongate.schema.redis"
local typedefs = require "moongate.schema.typedefs"

local brute_force_protection = {
  type = "record", required = false,
  description = "Accepted as off only: put rate-limiting before this plugin to slow guessing down.",
  fields = {
    { strategy = {
      type = "string", required = true, default = "off",
      one_of = { "off", "cluster", "memory", "redis" },
      description = "Where failures are counted. Anything but off is refused.",
    } },
    { redis = redis.config_schema },
  },
}

local function check_protection(entity)
  local protection = entity.config.brute_force_protection
  local strategy = type(protection) == "table" and protection.strategy
  if strategy and strategy ~= "off" then
    return nil, "brute_force_protection.strategy '" .. strategy
      .. "' is not supported: use 'off', and rate-limiting with limit_by ip on the same route"
  end
  return true
end

return {
  name = "basic-auth",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http_ws },
    { config = {
      type = "record",
      fields = {
        { anonymous = {
          type = "string",
          description = "Id or username of the consumer that a request without valid credentials runs as.",
        } },
        { hide_credentials = {
          type = "boolean", required = true, default = true,
          description = "Take the credentials off the request before it goes upstream.",
        } },
        { realm = {
          type = "string", required = true, default = "service",
          description = "Realm named in WWW-Authenticate.",
        } },
        { brute_force_protection = brute_force_protection },
      },
    } },
  },
  entity_checks = {
    { custom_entity_check = { field_sources = { "config" }, fn = check_protection } },
  },
}

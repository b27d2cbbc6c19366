-- What the schemas of the rate-limiting plugins share: periods and their order, where counters live, Redis with its older
-- redis_* names. Not the plugins' own fields.

local typedefs = require "moongate.schema.typedefs"

local M = {}

M.PERIODS = { "second", "minute", "hour", "day", "month", "year" }

--- A field for each period. what: what is allowed ("Requests").
function M.limits(what)
  local fields = {}
  for i, period in ipairs(M.PERIODS) do
    fields[i] = { [period] = {
      type = "number", gt = 0, description = ("%s allowed per %s."):format(what, period),
    } }
  end
  return fields
end

--- A longer window may not allow less than a shorter one. limits: period -> number. true; nil, why.
function M.check_order(limits)
  for i, shorter in ipairs(M.PERIODS) do
    for j = i + 1, #M.PERIODS do
      local longer = M.PERIODS[j]
      local less, more = limits[longer], limits[shorter]
      if type(less) == "number" and type(more) == "number" and less < more then
        return nil, ("The limit for %s(%.1f) cannot be lower than the limit for %s(%.1f)"):format(
          longer, less, shorter, more)
      end
    end
  end
  return true
end

M.policy = {
  type = "string", default = "local", len_min = 0, one_of = { "local", "cluster", "redis" },
  description = "Where counters live: this node's shared memory, or Redis. "
    .. "cluster counts locally, there being no database.",
}

M.fault_tolerant = {
  type = "boolean", required = true, default = true,
  description = "Let requests pass while Redis cannot be reached.",
}

-- As schema/redis.lua, but for ssl_verify, which these plugins do not turn on by themselves.
M.redis = {
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

M.older_names = {
  older("redis_host", "string", "host"),
  older("redis_port", "integer", "port"),
  older("redis_username", "string", "username"),
  older("redis_password", "string", "password"),
  older("redis_database", "integer", "database"),
  older("redis_timeout", "number", "timeout"),
  older("redis_ssl", "boolean", "ssl"),
  older("redis_ssl_verify", "boolean", "ssl_verify"),
  older("redis_server_name", "string", "server_name"),
}

--- An entity check: policy redis needs a host.
M.redis_has_host = { conditional = {
  if_field = "config.policy", if_match = { eq = "redis" },
  then_field = "config.redis.host", then_match = { required = true },
} }

return M

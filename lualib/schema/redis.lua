-- The connection settings of a Redis server, as a field for plugin schemas.
-- Connecting is the plugins' work. Guests reach this module as "kong.tools.redis.schema".
-- Invariant: field names and defaults are those Kong documents; ssl_verify follows 3.14 (true).

local typedefs = require("moongate.schema.typedefs")

local M = {}

M.config_schema = {
  type = "record", required = true, description = "How to reach the Redis server.",
  fields = {
    { host = typedefs.redis_host },
    { port = typedefs.port { default = 6379, referenceable = true } },
    { timeout = typedefs.timeout { default = 2000 } },
    { username = {
      type = "string", referenceable = true, description = "The user for ACL authentication." } },
    { password = {
      type = "string", referenceable = true, encrypted = true, len_min = 0,
      description = "The password for authentication." } },
    { database = { type = "integer", default = 0, description = "The number of the database." } },
    { ssl = { type = "boolean", default = false, description = "Whether to use TLS." } },
    { ssl_verify = {
      type = "boolean", default = true, description = "Whether to verify the certificate." } },
    { server_name = typedefs.redis_server_name },
  },
}

return M

-- The name guests know: require "kong.tools.redis.schema". The module is schema/redis.lua.
return require("moongate.schema.redis")

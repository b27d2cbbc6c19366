-- The name guests know: require "kong.db.schema.typedefs". The module is schema/typedefs.lua.
return require("moongate.schema.typedefs")

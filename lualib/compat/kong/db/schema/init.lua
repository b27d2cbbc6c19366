-- The name guests know: require "kong.db.schema". The module is schema/init.lua.
return require("moongate.schema")

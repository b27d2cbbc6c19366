-- Does nothing, for the cost of a chain (spec/bench/lua_chain.c) and the order of plugins.

local empty = { PRIORITY = 200, VERSION = "1.0.0" }

function empty.access() end

return empty

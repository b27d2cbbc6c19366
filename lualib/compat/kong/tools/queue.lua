-- The name guests know: require "kong.tools.queue".

return require("moongate.queue")

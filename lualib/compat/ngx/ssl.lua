-- The name guests know: require "ngx.ssl".

return require("moongate.ngx.ssl")

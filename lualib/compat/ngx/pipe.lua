-- The name guests know: require "ngx.pipe".

return require("moongate.ngx.pipe")

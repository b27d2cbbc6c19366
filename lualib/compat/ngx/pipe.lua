-- The name guests know: require "ngx.pipe". Plugins start no programs here.

return require("moongate.ngx.missing").module("ngx.pipe", "spawn",
  "plugins start no programs; ask a service over ngx.socket.tcp")

-- The name guests know: require "ngx.ssl.proxysslverify". No Lua runs in the handshake with a service.

return require("moongate.ngx.missing").module("ngx.ssl.proxysslverify",
  "set_verify_result get_verify_result get_verify_cert", "use kong.service.set_tls_verify")

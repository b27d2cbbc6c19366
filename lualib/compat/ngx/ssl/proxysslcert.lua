-- The name guests know: require "ngx.ssl.proxysslcert". No Lua runs in the handshake with a service.

return require("moongate.ngx.missing").module("ngx.ssl.proxysslcert",
  "clear_certs set_cert set_priv_key set_der_cert set_der_priv_key", "use kong.service.set_tls_cert_key")

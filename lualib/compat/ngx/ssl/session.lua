-- The name guests know: require "ngx.ssl.session". Sessions of clients are kept by the gateway itself.

return require("moongate.ngx.missing").module("ngx.ssl.session",
  "get_serialized_session get_session_id set_serialized_session", "sessions are kept by the gateway itself")

-- The name guests know: require "ngx.ocsp". Responses are not stapled by Lua here.

return require("moongate.ngx.missing").module("ngx.ocsp",
  "create_ocsp_request get_ocsp_responder_from_der_chain set_ocsp_status_resp validate_ocsp_response")

-- kong.client.tls: the client's side of TLS: asking for its certificate in the handshake, and what it has shown.
-- Whether that certificate is good is the asking plugin's to judge.

local request = require("moongate.abi.request")
local tls = require("moongate.abi.tls")
local phases = require("moongate.pdk.phases")

local check, CERTIFICATE, TLS_CLIENT, TLS_LOG =
  phases.check, phases.CERTIFICATE, phases.TLS_CLIENT, phases.TLS_LOG

local _M = {}

--- Asks the client for a certificate, in its handshake; it need not show one.
-- phases: certificate. ca_certs: whom it should be of (ngx.ssl.parse_pem_cert), or nil: anybody.
-- Returns true, or nil and why.
-- @usage assert(kong.client.tls.request_client_certificate())
function _M.request_client_certificate(ca_certs)
  check(CERTIFICATE)
  if ca_certs ~= nil and not tls.is_chain(ca_certs) then
    error("ca_certs must be a parsed cdata object", 2)
  end
  local ok, err = tls.hello_ask_client(ca_certs)
  return ok, err
end

--- This client's next connection makes a whole handshake: no session is kept for it.
-- phases: certificate. Returns true, or nil and why.
function _M.disable_session_reuse()
  check(CERTIFICATE)
  local ok, err = tls.hello_no_resumption()
  return ok, err
end

--- The certificates that the client has shown, as PEM with its own first; nil when it has shown none.
-- phases: rewrite, access, balancer, response, log.
function _M.get_full_client_certificate_chain()
  check(TLS_LOG)
  return (request.tls_client_chain())
end

--- Says how the client's certificate was judged, for logs and ngx.var.ssl_client_verify.
-- phases: rewrite, access, balancer, response. value: "SUCCESS", "NONE" or "FAILED:reason".
function _M.set_client_verify(value)
  check(TLS_CLIENT)
  if type(value) ~= "string" or not (value == "SUCCESS" or value == "NONE" or value:find("^FAILED:")) then
    error("unknown client verify value: " .. tostring(value)
      .. " accepted values are: \"SUCCESS\", \"NONE\" or \"FAILED:<reason>\"", 2)
  end
  request.set_tls_client_verify(value)
end

return _M

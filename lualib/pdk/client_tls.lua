-- kong.client.tls: the client's side of TLS. Client certificates are not asked for by this gateway, so
-- what needs one says so.

local phases = require("moongate.pdk.phases")

local check, CERTIFICATE, TLS_CLIENT = phases.check, phases.CERTIFICATE, phases.TLS_CLIENT
local UNAVAILABLE = "client certificates are not available"

local _M = {}

--- Not available. phases: certificate. Returns nil and why.
function _M.request_client_certificate()
  check(CERTIFICATE)
  return nil, UNAVAILABLE
end

--- Not available. phases: certificate. Returns nil and why.
function _M.disable_session_reuse()
  check(CERTIFICATE)
  return nil, "sessions cannot be refused by plugins"
end

--- The client's certificate chain in PEM: nil, since none is asked for.
-- phases: rewrite, access, balancer, response.
function _M.get_full_client_certificate_chain()
  check(TLS_CLIENT)
  return nil
end

--- Not available. phases: rewrite, access, balancer, response. Raises on a bad argument.
function _M.set_client_verify(value)
  check(TLS_CLIENT)
  if type(value) ~= "string" or not (value == "SUCCESS" or value == "NONE" or value:find("^FAILED:")) then
    error("unknown client verify value: " .. tostring(value)
      .. " accepted values are: \"SUCCESS\", \"NONE\" or \"FAILED:<reason>\"", 2)
  end
  return nil, UNAVAILABLE
end

return _M

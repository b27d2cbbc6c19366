-- ngx.ssl: certificates and keys as OpenResty's libraries and plugins handle them.
-- Not kong.client.tls (pdk/client_tls). What it makes is cdata of moongate.abi.tls.

local tls = require("moongate.abi.tls")

local _M = { version = "0.1.28" }

local function text_of(value, what)
  if type(value) ~= "string" then
    error(what .. " must be a string", 3)
  end
  return value
end

--- A certificate chain from PEM text, the leaf first; nil and why.
function _M.parse_pem_cert(pem)
  local chain, err = tls.chain(text_of(pem, "pem"))
  return chain, err
end

--- A private key from PEM text without a pass phrase; nil and why.
function _M.parse_pem_priv_key(pem)
  local key, err = tls.key(text_of(pem, "pem"))
  return key, err
end

--- A certificate (or key) from DER; nil and why.
function _M.parse_der_cert(der)
  local chain, err = tls.chain(text_of(der, "der"))
  return chain, err
end

function _M.parse_der_priv_key(der)
  local key, err = tls.key(text_of(der, "der"))
  return key, err
end

return _M

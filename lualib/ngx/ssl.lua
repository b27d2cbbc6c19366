-- ngx.ssl: certificates and keys as OpenResty's libraries and plugins handle them, and the client's handshake.
-- Certificates and keys are cdata of moongate.abi.tls, for tcpsock:setclientcert and kong.service.set_tls_cert_key too.

local crypto = require "moongate.abi.crypto"
local request = require "moongate.abi.request"
local tls = require "moongate.abi.tls"
local missing = require "moongate.ngx.missing"

local M = missing.module("ngx.ssl", "set_cert set_priv_key set_der_cert set_der_priv_key clear_certs verify_client "
  .. "get_client_random get_server_random get_session_master_key export_keying_material export_keying_material_early "
  .. "get_upstream_ssl_pointer raw_server_addr raw_client_addr server_port",
  "no Lua runs in the handshake; certificates are configuration")

M.SSL3_VERSION, M.TLS1_VERSION, M.TLS1_1_VERSION = 0x0300, 0x0301, 0x0302
M.TLS1_2_VERSION, M.TLS1_3_VERSION = 0x0303, 0x0304

local NUMBERS = { ["TLSv1.2"] = M.TLS1_2_VERSION, ["TLSv1.3"] = M.TLS1_3_VERSION }

-- The bytes of the first PEM block whose label matches, or nil.
local function block(pem, label)
  local text = type(pem) == "string" and pem:match("%-%-%-%-%-BEGIN [%u ]*" .. label .. "%-%-%-%-%-(.-)%-%-%-%-%-END ")
  return text and crypto.decode_base64((text:gsub("%s", "")))
end

local function parser(parse, what)
  return function(text)
    if type(text) ~= "string" then
      return nil, what .. " must be a string"
    end
    local object, err = parse(text)
    return object, err
  end
end

local function to_der(label, what)
  return function(pem)
    local der = block(pem, label)
    if not der then
      return nil, what .. " is not PEM"
    end
    return der
  end
end

-- A chain has the leaf first. nil and why.
M.parse_pem_cert, M.parse_pem_priv_key = parser(tls.chain, "the certificate"), parser(tls.key, "the key")
M.parse_der_cert, M.parse_der_priv_key = M.parse_pem_cert, M.parse_pem_priv_key
M.cert_pem_to_der, M.priv_key_pem_to_der = to_der("CERTIFICATE", "the certificate"), to_der("PRIVATE KEY", "the key")

-- The name the client asked for, or nil when it sent none.
function M.server_name()
  local name = select(4, request.tls())
  return name ~= "" and name or nil
end

function M.get_tls1_version_str()
  local on, version = request.tls()
  if not on then
    return nil, "no TLS on this connection"
  end
  return version
end

function M.get_tls1_version()
  local version, err = M.get_tls1_version_str()
  return NUMBERS[version], err
end

function M.get_req_ssl_pointer()
  local pointer = request.tls_handle()
  if not pointer then
    return nil, "no TLS on this connection"
  end
  return pointer
end

return M

-- ngx.ssl: certificates and keys as OpenResty's libraries and plugins handle them, and the client's handshake.
-- Certificates and keys are cdata of moongate.abi.tls, for tcpsock:setclientcert and kong.service.set_tls_cert_key too.

local crypto = require "moongate.abi.crypto"
local request = require "moongate.abi.request"
local tls = require "moongate.abi.tls"
local missing = require "moongate.ngx.missing"

local M = missing.module("ngx.ssl",
  "get_client_random get_server_random get_session_master_key export_keying_material "
  .. "export_keying_material_early get_upstream_ssl_pointer", "nothing here derives keys of a connection")

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

-- The client's handshake: certificate phase of plugins -------------------------------------------

-- Takes away what was picked by name.
function M.clear_certs()
  return tls.hello_clear_certificate()
end

function M.set_cert(chain)
  if not tls.is_chain(chain) then
    return nil, "bad cert: what parse_pem_cert returns is expected"
  end
  return tls.hello_chain(chain)
end

function M.set_priv_key(key)
  if not tls.is_key(key) then
    return nil, "bad key: what parse_pem_priv_key returns is expected"
  end
  return tls.hello_key(key)
end

local function parse_then(parse, use)
  return function(bytes)
    local object, err = parse(bytes)
    if not object then
      return nil, err
    end
    return use(object)
  end
end

M.set_der_cert = parse_then(M.parse_der_cert, M.set_cert)
M.set_der_priv_key = parse_then(M.parse_der_priv_key, M.set_priv_key)

-- Asks for a certificate that these authorities judge (ngx.var.ssl_client_verify); none: any is taken.
function M.verify_client(ca_certs, depth)
  if ca_certs ~= nil and not tls.is_chain(ca_certs) then
    return nil, "bad ca_certs: what parse_pem_cert returns is expected"
  end
  return tls.hello_ask_client(ca_certs, ca_certs and (depth or 1))
end

local function binary(ip)
  local bytes = ip:gsub("(%d+)%.?", function(n)
    return string.char(tonumber(n))
  end)
  return bytes
end

local function raw_address(get)
  return function()
    local ip = get()
    if ip:find(":", 1, true) then
      return nil, "IPv6 addresses are text only: kong.client.get_ip"
    end
    return binary(ip), "inet"
  end
end

M.raw_client_addr, M.raw_server_addr = raw_address(request.peer_ip), raw_address(request.server_addr)
M.server_port = request.port

return M

-- The name guests know: require "kong.tools.sha256".

local crypto = require("moongate.abi.crypto")

local _M = {}

function _M.sha256_bin(text)
  return crypto.sha256(text)
end

function _M.sha256_hex(text)
  return crypto.hex(crypto.sha256(text))
end

function _M.sha256_base64(text)
  return crypto.encode_base64(crypto.sha256(text))
end

function _M.sha256_base64url(text)
  return crypto.encode_base64(crypto.sha256(text), true, true)
end

return _M

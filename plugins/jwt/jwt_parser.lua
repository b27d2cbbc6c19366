-- The module by which plugins written for Kong read tokens: require "kong.plugins.jwt.jwt_parser".
-- Not what our jwt plugin uses (auth/jwt): here the token's own header names the algorithm, so the caller must compare it.
-- Invariant: a text that is a public key never serves as an HMAC secret, whatever the header says.

local crypto = require "moongate.abi.crypto"
local json_encode = require "moongate.util.json_encode"
local jwt = require "moongate.auth.jwt"
local node = require "moongate.abi.node"

local HMAC = { HS256 = "sha256", HS384 = "sha384", HS512 = "sha512" }

local Parser = {}
Parser.__index = Parser

--- A token taken apart: header, claims, signature (bytes), and the parts as they came: token, header_64, claims_64,
-- signature_64. nil and why ("invalid JSON", "invalid alg" ...) when the text is none.
function Parser:new(token)
  if type(token) ~= "string" then
    error("Token must be a string, got " .. tostring(token), 2)
  end
  local parsed, err = jwt.parse(token, crypto.decode_base64)
  if not parsed then
    return nil, err
  end
  local header_64, claims_64, signature_64 = token:match("^([^.]*)%.([^.]*)%.([^.]*)$")
  return setmetatable({
    token = token, header = parsed.header, claims = parsed.claims, signature = parsed.signature,
    header_64 = header_64, claims_64 = claims_64, signature_64 = signature_64,
  }, Parser)
end

--- Bytes of a base64 text, in either alphabet, or nil.
function Parser:base64_decode(text)
  return crypto.decode_base64(text) or crypto.decode_base64(text, true)
end

--- Was it signed with this key (a secret, or a public key in PEM), by the algorithm that its header names?
function Parser:verify_signature(key)
  local algorithm, signed = self.header.alg, self.header_64 .. "." .. self.claims_64
  local digest = HMAC[algorithm]
  if digest then
    local is_public = key:find("-----BEGIN ", 1, true) ~= nil
    return not is_public and crypto.equal(crypto.hmac(digest, key, signed), self.signature)
  end
  local public = crypto.public_key(key)
  return public ~= nil and crypto.verify(algorithm, public, signed, self.signature) == true
end

--- true, or false and {claim = why}: names are "exp" and "nbf".
function Parser:verify_registered_claims(names)
  local failed = jwt.check_times(self.claims, names or {}, node.now())
  return failed == nil, failed
end

--- true, or false and {exp = why} when the token stays valid for longer than so many seconds.
function Parser:check_maximum_expiration(seconds)
  if seconds > 0 and jwt.lives_longer(self.claims, seconds, node.now()) then
    return false, { exp = "exceeds maximum allowed expiration" }
  end
  return true, nil
end

--- A token with these claims, signed with a secret by HS256 (the default), HS384 or HS512. header: table, or nil.
local function encode(claims, key, algorithm, header)
  algorithm = algorithm or "HS256"
  local digest = HMAC[algorithm] or error("Algorithm not supported: " .. tostring(algorithm), 2)
  local signed = crypto.encode_base64(json_encode.encode(header or { typ = "JWT", alg = algorithm }), true, true) .. "."
    .. crypto.encode_base64(json_encode.encode(claims), true, true)
  return signed .. "." .. crypto.encode_base64(crypto.hmac(digest, key, signed), true, true)
end

Parser.encode = encode

return Parser

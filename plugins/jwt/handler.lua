-- jwt: who is the client, by a JSON Web Token that is signed with a consumer's key.
-- Not OpenID Connect: no discovery, no scopes.
-- Invariant: the algorithm is the credential's. A token that names another is refused before any key
-- is touched, so no public key ever serves as an HMAC secret.

local crypto = require "moongate.abi.crypto"
local identity = require "moongate.auth.identity"
local jwt = require "moongate.auth.jwt"
local node = require "moongate.abi.node"
local query = require "moongate.util.query"
local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local kong = kong
local gmatch, lower, type = string.gmatch, string.lower, type

local KIND = "jwt"
local HMAC = { HS256 = "sha256", HS384 = "sha384", HS512 = "sha512" }
local SEVERAL = {} -- in place of a token: there was more than one
local MAX_FIELDS = 1000

local Jwt = {
  PRIORITY = 1450,
  VERSION = "3.14.0",
}

-- credential -> its public key, parsed; false: it is none. Credentials live as long as their generation.
local keys = setmetatable({}, { __mode = "k" })

-- Finding the token ------------------------------------------------------------------------------

-- What is known now that this one was found too: nil, a token, or SEVERAL different ones.
local function merge(known, token)
  if type(token) ~= "string" or token == "" or token == known then
    return known
  end
  return known == nil and token or SEVERAL
end

local function in_query(known, name)
  local value, count = query.value(request.query(), name)
  if count < 2 then
    return merge(known, value)
  end
  for _, each in ipairs(kong.request.get_query(MAX_FIELDS)[name]) do
    known = merge(known, each)
  end
  return known
end

-- All lines of a field; nil when there is none.
local function lines_of(name)
  local first = request.header(name)
  if first and request.header_lines(name) > 1 then
    return kong.request.get_headers(MAX_FIELDS)[lower(name)]
  end
  return first and { first }
end

local function in_cookie(known, lines, name)
  for i = 1, #lines do
    for key, value in gmatch(lines[i], "([^=;%s]+)%s*=%s*\"?([^;\"%s]*)") do
      if key == name then
        known = merge(known, value)
      end
    end
  end
  return known
end

local function in_header(known, name)
  local lines = lines_of(name)
  for i = 1, lines and #lines or 0 do
    known = merge(known, jwt.bearer(lines[i]))
  end
  return known
end

-- The token, SEVERAL, or nil.
local function find_token(conf)
  local found
  for i = 1, #conf.uri_param_names do
    found = in_query(found, conf.uri_param_names[i])
  end
  local cookies = conf.cookie_names[1] and lines_of("Cookie")
  for i = 1, cookies and #conf.cookie_names or 0 do
    found = in_cookie(found, cookies, conf.cookie_names[i])
  end
  for i = 1, #conf.header_names do
    found = in_header(found, conf.header_names[i])
  end
  return found
end

-- Verifying it -----------------------------------------------------------------------------------

local function key_of(credential)
  local key = keys[credential]
  if key == nil then
    key = crypto.public_key(credential.rsa_public_key or "") or false
    keys[credential] = key
  end
  return key
end

local function secret_of(conf, credential)
  local secret = credential.secret
  if secret and conf.secret_is_base64 then
    secret = crypto.decode_base64(secret) or crypto.decode_base64(secret, true)
  end
  return secret ~= "" and secret or nil
end

-- true, or false; nil when the credential has no key for its algorithm.
local function is_signed_by(conf, credential, algorithm, token)
  local digest = HMAC[algorithm]
  if digest then
    local secret = secret_of(conf, credential)
    return secret and crypto.equal(crypto.hmac(digest, secret, token.signed), token.signature)
  end
  local key = key_of(credential)
  if not key then
    return nil
  end
  return (crypto.verify(algorithm, key, token.signed, token.signature))
end

-- The credential's name that the token bears, or nil and what to tell the client.
local function name_of(conf, token)
  local claim = conf.key_claim_name
  local name = token.claims[claim]
  if name == nil then
    name = token.header[claim]
  end
  if name == nil then
    return nil, "No mandatory '" .. claim .. "' in claims"
  elseif type(name) ~= "string" or name == "" then
    return nil, "Invalid '" .. claim .. "' in claims"
  end
  return name
end

-- Nothing, or what is wrong with the times: {claim = why}.
local function check_times(conf, claims)
  local now = node.now()
  local failed = conf.claims_to_verify and jwt.check_times(claims, conf.claims_to_verify, now)
  if not failed and conf.maximum_expiration > 0 and jwt.lives_longer(claims, conf.maximum_expiration, now) then
    return { exp = "exceeds maximum allowed expiration" }
  end
  return failed
end

-- credential, its index, its consumer's; or nil and the refusal: a text, or a table for the body.
local function verify(conf, text)
  local token, err = jwt.parse(text, crypto.decode_base64)
  if not token then
    return nil, "Bad token; " .. err
  end
  local name
  name, err = name_of(conf, token)
  if not name then
    return nil, err
  end
  local credential, index, consumer_index = route.find_credential(KIND, name)
  if not credential then
    return nil, "No credentials found for given '" .. conf.key_claim_name .. "'"
  end
  local algorithm = credential.algorithm or "HS256"
  if token.header.alg ~= algorithm then
    return nil, "Invalid algorithm"
  end
  local signed = is_signed_by(conf, credential, algorithm, token)
  if not signed then
    return nil, signed == nil and "Invalid key/secret" or "Invalid signature"
  end
  local failed = check_times(conf, token.claims)
  if failed then
    return nil, failed
  end
  return credential, index, consumer_index
end

-- The whole --------------------------------------------------------------------------------------

-- refusal: text or table of the body; `given`: there was a token, and it is not good.
local function refuse(conf, refusal, given)
  if conf.anonymous then
    return identity.run_as_anonymous(conf, "jwt")
  end
  local challenge = identity.challenge("Bearer", conf.realm)
  if given then
    challenge = challenge .. (conf.realm and "," or "") .. ' error="invalid_token"'
  end
  local body = type(refusal) == "table" and refusal or { message = refusal }
  return kong.response.exit(401, body, { ["WWW-Authenticate"] = challenge })
end

-- Where plugins written for Kong look for the token.
local function publish(shared, token)
  shared.authenticated_jwt_token = token
end

local function authenticate(conf)
  local text = find_token(conf)
  if not text then
    return refuse(conf, "Unauthorized", false)
  elseif text == SEVERAL then
    return refuse(conf, "Multiple tokens provided", true)
  end
  local credential, index, consumer_index = verify(conf, text)
  if not credential then
    return refuse(conf, index, true)
  end
  identity.accept(consumer_index, index, credential.key)
  publish(kong.ctx.shared, text)
end

function Jwt:access(conf)
  if not identity.passes_preflight(conf) and not identity.is_settled(conf) then
    authenticate(conf)
  end
end

return Jwt

-- hmac-auth: who is the client, by a signature over parts of the request, made with a shared secret.
-- Not jwt, whose signature does not cover the request.
-- Invariant: when a date is among what was signed, only a signed date shows that the request is fresh.

local crypto = require "moongate.abi.crypto"
local http_signature = require "moongate.auth.http_signature"
local identity = require "moongate.auth.identity"
local node = require "moongate.abi.node"
local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local kong, ngx = kong, ngx
local abs, concat, gmatch, lower = math.abs, table.concat, string.gmatch, string.lower

local KIND = "hmacauth"
local HEADERS = { "Proxy-Authorization", "Authorization" }
local DATES = { "X-Date", "Date" }
local UNAUTHORIZED = "Unauthorized"
local NOT_VALID = "HMAC signature cannot be verified"
local NOT_SAME = "HMAC signature does not match"
local NO_DATE = NOT_VALID .. ", a valid date or x-date header is required for HMAC Authentication"
local DIGESTS = {
  ["hmac-sha1"] = "sha1", ["hmac-sha224"] = "sha224", ["hmac-sha256"] = "sha256",
  ["hmac-sha384"] = "sha384", ["hmac-sha512"] = "sha512",
}
local MAX_FIELDS = 1000

local HmacAuth = {
  PRIORITY = 1030,
  VERSION = "3.14.0",
}

-- All of a field's lines as one value, or nil.
local function field(name)
  local value = request.header(name)
  if value and request.header_lines(name) > 1 then
    return concat(kong.request.get_headers(MAX_FIELDS)[lower(name)], ", ")
  end
  return value
end

-- What the client claims, or nil; whether there was any Authorization at all.
local function find_credentials(conf)
  local present = false
  for i = 1, #HEADERS do
    local value = request.header(HEADERS[i])
    local found = value and request.header_lines(HEADERS[i]) == 1 and http_signature.parse(value)
    if found then
      if conf.hide_credentials then
        request.clear_header(HEADERS[i])
      end
      return found, true
    end
    present = present or value ~= nil
  end
  return nil, present
end

local function is_near(name, clock_skew)
  local value = request.header(name)
  local time = value and request.header_lines(name) == 1 and ngx.parse_http_time(value)
  return time and abs(node.now() - time) <= clock_skew
end

-- `claim` may be nil: then any of the dates will do, for the sake of the message.
local function is_fresh(conf, claim)
  local signed = claim and (http_signature.signs(claim, "X-Date") or http_signature.signs(claim, "Date"))
  for i = 1, #DATES do
    local counts = not signed or http_signature.signs(claim, DATES[i])
    if counts and is_near(DATES[i], conf.clock_skew) then
      return true
    end
  end
  return false
end

-- true, or nil and what is wrong, for the log.
local function check_claim(conf, claim)
  for i = 1, #conf.enforce_headers do
    if not http_signature.signs(claim, conf.enforce_headers[i]) then
      return nil, "header '" .. conf.enforce_headers[i] .. "' is not signed"
    end
  end
  for i = 1, #conf.algorithms do
    if conf.algorithms[i] == claim.algorithm then
      return true
    end
  end
  return nil, "algorithm " .. claim.algorithm .. " is not allowed"
end

local function is_signed(claim, secret)
  local signature = crypto.decode_base64(claim.signature)
  local text = http_signature.text(claim, {
    method = request.method(), target = kong.request.get_path_with_query(),
    version = kong.request.get_http_version(), header = field,
  })
  return signature ~= nil and crypto.equal(signature, crypto.hmac(DIGESTS[claim.algorithm], secret, text))
end

-- Is the body what Digest says? A request with neither is fine.
local function is_body_whole()
  local body, err = kong.request.get_raw_body()
  if not body then
    kong.log.info("cannot read the request body: ", err)
    return false
  end
  local digests = field("Digest")
  if not digests then
    return body == ""
  end
  for name, value in gmatch(digests, "([^%s,=]+)=([^%s,]+)") do
    if lower(name) == "sha-256" then
      return crypto.equal(value, crypto.encode_base64(crypto.sha256(body)))
    end
  end
  return false
end

-- credential, its index, its consumer's; or nil and the text of the refusal.
local function verify(conf)
  local claim, present = find_credentials(conf)
  if not present then
    return nil, UNAUTHORIZED
  elseif not is_fresh(conf, claim) then
    return nil, NO_DATE
  elseif not claim then
    return nil, NOT_VALID
  end
  local ok, why = check_claim(conf, claim)
  if not ok then
    kong.log.info(why)
    return nil, NOT_VALID
  end
  local credential, index, consumer_index = route.find_credential(KIND, claim.username)
  if not credential or not credential.secret then
    return nil, NOT_VALID
  elseif not is_signed(claim, credential.secret) or (conf.validate_request_body and not is_body_whole()) then
    return nil, NOT_SAME
  end
  return credential, index, consumer_index
end

local function authenticate(conf)
  local credential, index, consumer_index = verify(conf)
  if credential then
    return identity.accept(consumer_index, index, credential.username)
  elseif conf.anonymous then
    return identity.run_as_anonymous(conf, "hmac-auth")
  end
  return kong.response.error(401, index, { ["WWW-Authenticate"] = identity.challenge("hmac", conf.realm) })
end

function HmacAuth:access(conf)
  if not identity.is_settled(conf) then
    authenticate(conf)
  end
end

return HmacAuth

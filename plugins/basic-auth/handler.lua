-- basic-auth: who is the client, by username and password (RFC 7617).
-- Not: which consumers may pass (acl), how often one may guess (rate-limiting by ip, before it).
-- Invariant: an unknown username costs as much time as a wrong password.

local crypto = require "moongate.abi.crypto"
local identity = require "moongate.auth.identity"
local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local kong = kong
local match = string.match

local KIND = "basicauth"
-- The first that holds credentials counts.
local HEADERS = { "Proxy-Authorization", "Authorization" }
local NOBODY = { password = "", consumer = { id = "" } }

local BasicAuth = {
  PRIORITY = 1100,
  VERSION = "3.14.0",
}

-- username, password; nothing when the field holds no Basic credentials, or is there twice.
local function credentials_of(name)
  local value = request.header(name)
  local encoded = value and match(value, "^%s*[Bb][Aa][Ss][Ii][Cc]%s+(.-)%s*$")
  local text = encoded and request.header_lines(name) == 1 and crypto.decode_base64(encoded)
  if text then
    return match(text, "^([^:]+):(.*)$")
  end
end

local function find_credentials(conf)
  for i = 1, #HEADERS do
    local username, password = credentials_of(HEADERS[i])
    if username then
      if conf.hide_credentials then
        request.clear_header(HEADERS[i])
      end
      return username, password
    end
  end
end

-- Compared by digests, in a time that does not depend on where two passwords differ.
local function is_password(credential, password)
  if credential.hashed then
    local digest = crypto.hex(crypto.sha1(password .. credential.consumer.id))
    return crypto.equal(digest, credential.password:lower())
  end
  return crypto.equal(crypto.sha256(password), crypto.sha256(credential.password))
end

local function refuse(conf)
  if conf.anonymous then
    return identity.run_as_anonymous(conf, "basic-auth")
  end
  return kong.response.error(401, "Unauthorized", {
    ["WWW-Authenticate"] = identity.challenge("Basic", conf.realm) })
end

local function authenticate(conf)
  local username, password = find_credentials(conf)
  if not username then
    return refuse(conf)
  end
  local credential, index, consumer_index = route.find_credential(KIND, username)
  local right = is_password(credential or NOBODY, password)
  if not credential or not right then
    return refuse(conf)
  end
  identity.accept(consumer_index, index, credential.username)
end

function BasicAuth:access(conf)
  if not identity.is_settled(conf) then
    authenticate(conf)
  end
end

return BasicAuth

-- Who the client is, once an authentication plugin knows: the request's consumer and the headers by
-- which the upstream learns it. For key-auth, basic-auth, hmac-auth, jwt.
-- Not the checking of credentials (the plugins), nor the groups of a consumer (acl).
-- Invariant: identity headers that a client sent itself never reach the upstream.

local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local client = kong.client

local _M = {}

--- The request is the owner's of this credential from now on. Indexes as route.find_credential gives
-- them; identifier: what the upstream gets as X-Credential-Identifier.
function _M.accept(consumer_index, credential_index, identifier)
  route.identify(consumer_index, credential_index, identifier)
end

--- The request runs as conf.anonymous, an id or username. Raises when there is no such consumer.
function _M.run_as_anonymous(conf, plugin)
  local consumer, index = route.find_consumer(conf.anonymous)
  if not consumer then
    error(plugin .. ": anonymous consumer '" .. conf.anonymous .. "' is not in the configuration")
  end
  route.identify(index, nil)
end

--- Has another authentication plugin accepted a credential already? With `anonymous` that is enough:
-- several plugins then mean "or".
function _M.is_settled(conf)
  return conf.anonymous ~= nil and client.get_credential() ~= nil
end

--- Is this an OPTIONS request that conf lets pass without credentials? Then nothing is known of the
-- client, and its own identity headers are gone.
function _M.passes_preflight(conf)
  if conf.run_on_preflight or request.method() ~= "OPTIONS" then
    return false
  end
  if route.consumer_index() < 0 and client.get_credential() == nil then
    route.clear_identity()
  end
  return true
end

--- The value of WWW-Authenticate: the scheme, with realm="..." when there is one.
function _M.challenge(scheme, realm)
  return realm and scheme .. ' realm="' .. realm:gsub('[\\"]', "\\%0") .. '"' or scheme
end

return _M

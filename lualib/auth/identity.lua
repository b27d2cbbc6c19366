-- Who the client is, once an authentication plugin knows: the request's consumer and the headers by
-- which the upstream learns it. For key-auth, basic-auth, hmac-auth, jwt.
-- Not the checking of credentials (the plugins), nor the groups of a consumer (acl).
-- Invariant: identity headers that a client sent itself never reach the upstream.

local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local client = kong.client

local _M = {}

-- What a plugin may say about an identity. A client never may.
local HEADERS = {
  "X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-Consumer-Groups",
  "X-Credential-Identifier", "X-Anonymous-Consumer",
}

local function clear()
  for i = 1, #HEADERS do
    request.clear_header(HEADERS[i])
  end
end

local function tell_upstream(consumer)
  clear()
  request.set_header("X-Consumer-ID", consumer.id)
  if consumer.custom_id then
    request.set_header("X-Consumer-Custom-ID", consumer.custom_id)
  end
  if consumer.username then
    request.set_header("X-Consumer-Username", consumer.username)
  end
end

--- The request is the owner's of this credential from now on. Indexes as route.find_credential gives
-- them; identifier: what the upstream gets as X-Credential-Identifier.
function _M.accept(consumer_index, credential_index, identifier)
  route.set_consumer(consumer_index, credential_index)
  tell_upstream(route.consumer())
  if identifier then
    request.set_header("X-Credential-Identifier", identifier)
  end
end

--- The request runs as conf.anonymous, an id or username. Raises when there is no such consumer.
function _M.run_as_anonymous(conf, plugin)
  local consumer, index = route.find_consumer(conf.anonymous)
  if not consumer then
    error(plugin .. ": anonymous consumer '" .. conf.anonymous .. "' is not in the configuration")
  end
  route.set_consumer(index, nil)
  tell_upstream(consumer)
  request.set_header("X-Anonymous-Consumer", "true")
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
    clear()
  end
  return true
end

--- The value of WWW-Authenticate: the scheme, with realm="..." when there is one.
function _M.challenge(scheme, realm)
  return realm and scheme .. ' realm="' .. realm:gsub('[\\"]', "\\%0") .. '"' or scheme
end

return _M

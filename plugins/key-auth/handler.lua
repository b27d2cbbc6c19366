-- key-auth: who is the client, by an API key. Keys are looked up by hash and compared in constant
-- time in C; nothing here logs one.
-- Not: which consumers may pass (acl), how often (rate-limiting).
-- Invariant: identity headers that a client sent itself never reach the upstream.

local exchange = require "moongate.abi.exchange"
local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local kong = kong

local KIND = "keyauth"

local KeyAuth = {
  PRIORITY = 1250,
  VERSION = "3.14.0",
}

-- Finding the key --------------------------------------------------------------------------------

local function from_body(name)
  local ok = exchange.read_body()
  local body = ok and kong.request.get_body()
  return type(body) == "table" and body[name] or nil
end

local function from_query(name)
  local query = request.query()
  if query and query:find(name, 1, true) then
    return kong.request.get_query()[name]
  end
end

-- The key and where it was ("header", "query", "body"); nothing when there is none. A table: given more than once.
local function find_key(conf)
  for i = 1, #conf.key_names do
    local name = conf.key_names[i]
    local key = conf.key_in_header and request.header(name)
    if key and request.header_lines(name) > 1 then
      return {}, name, "header"
    elseif key then
      return key, name, "header"
    end
    key = conf.key_in_query and from_query(name)
    if key then
      return key, name, "query"
    end
    key = conf.key_in_body and from_body(name)
    if key then
      return key, name, "body"
    end
  end
end

local function take_off(name, place)
  if place == "header" then
    request.clear_header(name)
  elseif place == "query" then
    kong.service.request.clear_query_arg(name)
  else
    local body, _, mime = kong.request.get_body()
    body[name] = nil
    if mime == "application/json" then
      exchange.json_open()
      exchange.json_remove(name)
    else
      kong.service.request.set_body(body, mime)
    end
  end
end

-- Who it is --------------------------------------------------------------------------------------

local function set_or_clear(name, value)
  if value then
    request.set_header(name, value)
  else
    request.clear_header(name)
  end
end

local function tell_upstream(consumer, credential, anonymous)
  set_or_clear("X-Consumer-ID", consumer and consumer.id)
  set_or_clear("X-Consumer-Custom-ID", consumer and consumer.custom_id)
  set_or_clear("X-Consumer-Username", consumer and consumer.username)
  set_or_clear("X-Credential-Identifier", credential and credential.id)
  set_or_clear("X-Anonymous-Consumer", anonymous and "true")
end

local function run_as_anonymous(conf)
  local consumer, index = route.find_consumer(conf.anonymous)
  if not consumer then
    error("key-auth: anonymous consumer '" .. conf.anonymous .. "' is not in the configuration")
  end
  route.set_consumer(index, nil)
  tell_upstream(consumer, nil, true)
end

local function refuse(conf, message)
  if conf.anonymous then
    return run_as_anonymous(conf)
  end
  local realm = conf.realm
  return kong.response.error(401, message, {
    ["WWW-Authenticate"] = realm and ('Key realm="' .. realm .. '"') or "Key",
  })
end

local function authenticate(conf)
  local key, name, place = find_key(conf)
  if not key or key == true or key == "" then
    return refuse(conf, "No API key found in request")
  elseif type(key) ~= "string" then
    return refuse(conf, "Duplicate API key found")
  end
  if conf.hide_credentials then
    take_off(name, place)
  end
  local credential, index, consumer_index = route.find_credential(KIND, key)
  if not credential then
    return refuse(conf, "Unauthorized")
  end
  route.set_consumer(consumer_index, index)
  tell_upstream(route.consumer(), credential, false)
end

function KeyAuth:access(conf)
  if not conf.run_on_preflight and request.method() == "OPTIONS" then
    return
  end
  if conf.anonymous and route.credential() then
    return -- another authentication plugin has already said who this is
  end
  return authenticate(conf)
end

return KeyAuth

-- kong.client: who sent the request: addresses, consumer, credential.
-- Not the checking of credentials (authentication plugins).

local request = require("moongate.abi.request")
local route = require("moongate.abi.route")
local task = require("moongate.abi.task")
local db = require("moongate.pdk.db")
local phases = require("moongate.pdk.phases")

local check = phases.check
local AUTHENTICATED, CONNECTION, ACCESS = phases.AUTHENTICATED, phases.CONNECTION, phases.ACCESS
local get_consumer, get_credential = route.consumer, route.credential

local VIRTUAL = {} -- key of the request's identities that are not in the configuration

local _M = { tls = require("moongate.pdk.client_tls") }

--- The peer's address, which may be a proxy's.
-- phases: certificate to log.
function _M.get_ip()
  check(CONNECTION)
  return request.peer_ip()
end

--- The client's address, by trusted proxies' word.
-- phases: certificate to log.
function _M.get_forwarded_ip()
  check(CONNECTION)
  return request.client_ip()
end

--- The peer's port, as a number.
-- phases: certificate to log.
function _M.get_port()
  check(CONNECTION)
  return request.peer_port()
end

--- The client's port, by trusted proxies' word; a number.
-- phases: certificate to log.
function _M.get_forwarded_port()
  check(CONNECTION)
  return request.client_port()
end

--- The credential that was accepted, or nil.
-- phases: access to log.
function _M.get_credential()
  check(AUTHENTICATED)
  local found = get_credential()
  if found then
    return found
  end
  local virtual = task.find_extra(VIRTUAL)
  return virtual and virtual.credential
end

--- The consumer the request counts as, or nil.
-- phases: access to log.
function _M.get_consumer()
  check(AUTHENTICATED)
  local found = get_consumer()
  if found then
    return found
  end
  local virtual = task.find_extra(VIRTUAL)
  return virtual and virtual.consumer
end

--- A consumer by id, and with search_by_username also by username.
-- phases: access to log. Returns the entity, or nil and why.
function _M.load_consumer(consumer_id, search_by_username)
  check(AUTHENTICATED)
  if type(consumer_id) ~= "string" then
    error("consumer_id must be a string", 2)
  end
  local found = route.find_consumer(consumer_id)
  if found and (search_by_username or found.id == consumer_id) then
    return found
  end
  return nil, nil
end

-- The consumer's index in the configuration, or nil.
local function index_of(consumer)
  if type(consumer) == "table" and consumer.id then
    local _, index = route.find_consumer(consumer.id)
    return index
  end
end

--- Says who the request is from: it counts for the consumer's plugins, limits and logs.
-- phases: access. consumer, credential: entities of the configuration or tables of a plugin's own; not both nil.
function _M.authenticate(consumer, credential)
  check(ACCESS)
  if consumer == nil and credential == nil then
    error("either credential or consumer must be provided", 2)
  elseif consumer ~= nil and type(consumer) ~= "table" then
    error("consumer must be a table or nil", 2)
  elseif credential ~= nil and type(credential) ~= "table" then
    error("credential must be a table or nil", 2)
  end
  local consumer_index, credential_index = index_of(consumer), db.credential_index(credential)
  route.set_consumer(consumer_index, credential_index)
  local virtual = task.get_extra(VIRTUAL)
  virtual.consumer = not consumer_index and consumer or nil
  virtual.credential = not credential_index and credential or nil
end

--- The protocol of the route and of the connection: "http" or "https".
-- phases: access to log. allow_terminated: a trusted proxy's X-Forwarded-Proto counts.
-- Returns a string, or nil and why.
function _M.get_protocol(allow_terminated)
  check(AUTHENTICATED)
  local matched = route.route()
  if not matched then
    return nil, "No active route found"
  end
  if allow_terminated and request.trusted() then
    return request.forwarded_proto() or request.scheme()
  end
  return request.scheme()
end

--- Forgets who the request is from. Ours, for `anonymous`.
-- phases: access.
function _M.clear()
  check(ACCESS)
  route.set_consumer(nil, nil)
  local virtual = task.find_extra(VIRTUAL)
  if virtual then
    virtual.consumer, virtual.credential = nil, nil
  end
end

return _M

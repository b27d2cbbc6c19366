-- key-auth: who is the client, by an API key. Keys are looked up by hash and compared in constant
-- time in C; nothing here logs one.
-- Not: which consumers may pass (acl), how often (rate-limiting).
-- Invariant: identity headers that a client sent itself never reach the upstream (auth/identity).

local exchange = require "moongate.abi.exchange"
local identity = require "moongate.auth.identity"
local query = require "moongate.util.query"
local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local kong = kong
local find, lower, type = string.find, string.lower, type

local KIND = "keyauth"
local NO_KEY = "No API key found in request"
local DUPLICATE = "Duplicate API key found"
local UNAUTHORIZED = "Unauthorized"
local BAD_BODY = "Cannot process request body"

local KeyAuth = {
  PRIORITY = 1250,
  VERSION = "3.14.0",
}

local function refuse(conf, message, status)
  if conf.anonymous then
    return identity.run_as_anonymous(conf, "key-auth")
  elseif status then
    return kong.response.error(status, message)
  end
  return kong.response.error(401, message, { ["WWW-Authenticate"] = identity.challenge("Key", conf.realm) })
end

-- Finding the key --------------------------------------------------------------------------------

-- Each finder: the value under that name and how many there are (a list counts as several). A value
-- that is no string is no key.

local function in_header(name)
  local value = request.header(name)
  return value, value and request.header_lines(name) or 0
end

local function in_query(name)
  return query.value(request.query(), name)
end

local function in_table(body, name)
  local value = body[name]
  if type(value) == "table" then
    return true, 2
  end
  return value, value ~= nil and 1 or 0
end

local function in_json(name)
  local kind = exchange.json_type(name)
  if kind == "array" or kind == "object" then
    return true, 2
  end
  return kind == "string" and exchange.json_string(name) or nil, kind and 1 or 0
end

-- "json", or the table of a form, or nil when the body cannot hold a key; false and why when it is broken.
local function read_body()
  local mime = lower(request.header("Content-Type") or "")
  local is_json = find(mime, "application/json", 1, true)
  if not is_json and not find(mime, "x-www-form-urlencoded", 1, true)
    and not find(mime, "multipart/form-data", 1, true) then
    return nil
  end
  local ok, err = exchange.read_body()
  if not ok then
    return false, err
  elseif exchange.body_size() == 0 then
    return nil
  elseif is_json then
    ok, err = exchange.json_open()
    return ok and "json" or false, err
  end
  local body
  body, err = kong.request.get_body()
  return type(body) == "table" and body or false, err or "not a form"
end

-- As the finders; nil, 0 and why when the body is broken.
local function in_body(name)
  local body, why = read_body()
  if not body then
    return nil, 0, body == false and why or nil
  elseif body == "json" then
    return in_json(name)
  end
  return in_table(body, name)
end

-- The first place that has the name: value, count; nil, 0 and why the body cannot be read.
local function find_value(conf, name)
  local value, count = nil, 0
  if conf.key_in_header then
    value, count = in_header(name)
  end
  if not value and conf.key_in_query then
    value, count = in_query(name)
  end
  if not value and conf.key_in_body then
    return in_body(name)
  end
  return value, count
end

-- The key, or nil and the text of the refusal; nothing when the next name may have one.
local function look(value, count)
  if count > 1 then
    return nil, DUPLICATE
  elseif type(value) == "string" and value ~= "" then
    return value
  end
end

-- key, name; nil and the text of the refusal[, status].
local function find_key(conf)
  local names = conf.key_names
  for i = 1, #names do
    local value, count, why = find_value(conf, names[i])
    if why then
      kong.log.info("cannot read the request body: ", why)
      return nil, BAD_BODY, why == "too large" and 413 or 400
    end
    local key, refusal = look(value, count)
    if key or refusal then
      return key, key and names[i] or refusal
    end
  end
  return nil, NO_KEY
end

-- Taking it off ----------------------------------------------------------------------------------

local function take_off_body(name)
  local body = read_body()
  if body == "json" then
    exchange.json_remove(name)
  elseif body and body[name] ~= nil then
    body[name] = nil
    local ok, err = kong.service.request.set_body(body, request.header("Content-Type"))
    if not ok then
      error("key-auth: cannot take the key off the request body: " .. tostring(err))
    end
  end
end

local function take_off(conf, name)
  request.clear_header(name)
  local rest, found = query.without(exchange.query(), name)
  if found then
    exchange.set_query(rest)
  end
  if conf.key_in_body then
    take_off_body(name)
  end
end

-- The whole --------------------------------------------------------------------------------------

local function authenticate(conf)
  local key, name, status = find_key(conf)
  if not key then
    return refuse(conf, name, status)
  end
  if conf.hide_credentials then
    take_off(conf, name)
  end
  local credential, index, consumer_index = route.find_credential(KIND, key)
  if not credential then
    return refuse(conf, UNAUTHORIZED)
  end
  identity.accept(consumer_index, index, credential.id)
end

function KeyAuth:access(conf)
  if not identity.passes_preflight(conf) and not identity.is_settled(conf) then
    authenticate(conf)
  end
end

return KeyAuth

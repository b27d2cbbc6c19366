-- kong.db: the configuration's entities, read only, under the names of Kong's DAOs; and what plugins declare
-- in daos.lua. The methods are in dao.lua, the entities in collection.lua.
-- Invariant: entities are those of the generation the request began with.

local route = require("moongate.abi.route")
local collection = require("moongate.pdk.collection")
local dao = require("moongate.pdk.dao")

local function yes()
  return true
end

-- connector: of the database itself plugins ask whether it can be reached, and it always can.
local _M = {
  strategy = "off",
  connector = {
    database = "off", connect = yes, close = yes, setkeepalive = yes,
    query = function()
      return nil, "there is no database"
    end,
  },
}

local function names(text)
  local out = {}
  for name in text:gmatch("%S+") do
    out[#out + 1] = name
  end
  return out
end

local SCOPES = "route service consumer consumer_group"

-- name, collection, unique fields, foreign fields, fields of the cache key (nil: the id).
local ROWS = {
  { "services", collection.named("services", "service"), "name", "client_certificate" },
  { "routes", collection.named("routes", "route"), "name", "service" },
  { "upstreams", collection.named("upstreams", "upstream"), "name", "client_certificate" },
  { "targets", collection.targets("targets"), "", "upstream" },
  { "consumers", collection.consumers("consumers"), "username custom_id", "" },
  { "consumer_groups", collection.list("consumer_groups"), "name", "" },
  { "plugins", collection.plugins("plugins"), "instance_name", SCOPES, "name " .. SCOPES },
  { "certificates", collection.list("certificates"), "", "" },
  { "snis", collection.list("snis"), "name", "certificate" },
  { "ca_certificates", collection.list("ca_certificates"), "cert_digest", "" },
  { "vaults", collection.list("vaults"), "prefix", "" },
  { "keys", collection.list("keys"), "name", "set" },
  { "key_sets", collection.list("key_sets"), "name", "" },
  { "keyauth_credentials", collection.credentials("keyauth_credentials", "keyauth", "key"), "key",
    "consumer", "key" },
  { "basicauth_credentials", collection.credentials("basicauth_credentials", "basicauth", "username"),
    "username", "consumer", "username" },
  { "hmacauth_credentials", collection.credentials("hmacauth_credentials", "hmacauth", "username"),
    "username", "consumer", "username" },
  { "jwt_secrets", collection.credentials("jwt_secrets", "jwt", "key"), "key", "consumer", "key" },
  { "acls", collection.list("acls"), "", "consumer", "consumer group" },
  { "oauth2_credentials", collection.list("oauth2_credentials"), "client_id", "consumer", "client_id" },
  { "mtls_auth_credentials", collection.list("mtls_auth_credentials"), "", "consumer ca_certificate" },
}

local daos = {}
for _, row in ipairs(ROWS) do
  daos[row[1]] = dao.new({
    name = row[1], unique = names(row[3]), foreign = names(row[4]), cache_key = row[5] and names(row[5]),
  }, row[2])
end

-- ---- plugins' own entities ----

local function make_custom(facts)
  local foreign = {}
  for field in pairs(facts.foreign or {}) do
    foreign[#foreign + 1] = field
  end
  return dao.new({
    name = facts.name, key = facts.key, primary_key = facts.primary_key[1], cache_key = facts.cache_key,
    unique = facts.unique, foreign = foreign,
  }, collection.list(facts.name))
end

-- Which there are depends on the generation.
local function custom(name)
  local memo = route.memo("daos")
  if memo[name] == nil then
    memo[name] = false
    for _, facts in ipairs(route.list("daos")) do
      memo[name] = facts.name == name and make_custom(facts) or memo[name]
    end
  end
  return memo[name] or nil
end

local function find(_, name)
  return daos[name] or type(name) == "string" and custom(name) or nil
end

_M.daos = setmetatable({}, { __index = find })

-- ---- for kong.client: the index of a credential of the current configuration, or nil for any other table ----

local indexes = setmetatable({}, { __mode = "k" })

local function remember(kind, key, found)
  local _, index = route.find_credential(kind, key)
  indexes[found] = index
  return index
end

local LOOKUP_KEYS = { { "keyauth", "key" }, { "jwt", "key" }, { "basicauth", "username" }, { "hmacauth", "username" } }

-- The credential itself, or a copy of it that came out of kong.cache.
local function is_same(found, wanted)
  return found == wanted or found and found.id ~= nil and found.id == wanted.id
end

local function look_up(wanted)
  for _, pair in ipairs(LOOKUP_KEYS) do
    local key = wanted[pair[2]]
    local found = type(key) == "string" and route.find_credential(pair[1], key)
    if is_same(found, wanted) then
      return remember(pair[1], key, found)
    end
  end
end

local function credential_index(wanted)
  if type(wanted) ~= "table" then
    return nil
  end
  local index = indexes[wanted]
  if index and route.entity("credential", index) == wanted then
    return index
  end
  return look_up(wanted)
end

_M.credential_index = credential_index

--- The DAOs, under the names they have in Kong.
return setmetatable(_M, { __index = find })

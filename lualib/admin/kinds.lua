-- The kinds of entities that the Admin API shows: their name in paths, the field that names one besides its id, and below which
-- others their lists stand. Fields and defaults are config/entities.lua's.
-- Invariant: a kind that the configuration does not know (entities.ORDER) is not shown.

local entities = require("moongate.config.entities")

local _M = {}

-- path: collection; key: another name than the id; under: {parent kind = {field, path below the parent}}; cascade: parents whose
-- deletion takes these along (others are kept by them); combined: fields that together are unique; verbatim: a record that is shown
-- without what it does not set, since decK compares it so.
local ROWS = {
  { kind = "certificates", path = "certificates" },
  { kind = "ca_certificates", path = "ca_certificates" },
  { kind = "snis", path = "snis", key = "name", under = { certificates = "certificate" }, cascade = { certificate = true } },
  { kind = "vaults", path = "vaults", key = "prefix", verbatim = "config" },
  { kind = "key_sets", path = "key-sets", key = "name" },
  { kind = "keys", path = "keys", key = "name", under = { key_sets = "set" }, cascade = { set = true } },
  { kind = "consumer_groups", path = "consumer_groups", key = "name" },
  { kind = "consumers", path = "consumers", key = "username" },
  { kind = "keyauth_credentials", path = "key-auths", below = "key-auth", key = "key" },
  { kind = "basicauth_credentials", path = "basic-auths", below = "basic-auth", key = "username" },
  { kind = "jwt_secrets", path = "jwts", below = "jwt", key = "key" },
  { kind = "hmacauth_credentials", path = "hmac-auths", below = "hmac-auth", key = "username" },
  { kind = "acls", path = "acls", below = "acls", key_below = "group", combined = { "consumer", "group" } },
  { kind = "oauth2_credentials", path = "oauth2", below = "oauth2", key = "client_id" },
  { kind = "mtls_auth_credentials", path = "mtls-auths", below = "mtls-auth" },
  { kind = "upstreams", path = "upstreams", key = "name", under = { certificates = "client_certificate" } },
  { kind = "targets", below = "targets", key_below = "target", under = { upstreams = "upstream" },
    cascade = { upstream = true }, combined = { "upstream", "target" } },
  { kind = "services", path = "services", key = "name", under = { certificates = "client_certificate" } },
  { kind = "routes", path = "routes", key = "name", under = { services = "service" } },
  { kind = "plugins", path = "plugins", key = "instance_name",
    under = { services = "service", routes = "route", consumers = "consumer", consumer_groups = "consumer_group" },
    cascade = { service = true, route = true, consumer = true, consumer_group = true },
    combined = { "name", "service", "route", "consumer", "consumer_group" } },
}

local CREDENTIAL = { keyauth_credentials = true, basicauth_credentials = true, jwt_secrets = true,
  hmacauth_credentials = true, acls = true, oauth2_credentials = true, mtls_auth_credentials = true }

local known = {}
for _, kind in ipairs(entities.ORDER) do
  known[kind] = true
end

-- Fields of a kind that refer to others, {field = kind}, and those that are unique, {field = true}.
local function read_fields(row)
  row.foreign, row.unique = {}, {}
  for _, item in ipairs(entities[row.kind].fields) do
    local name, field = next(item)
    if field.type == "foreign" then
      row.foreign[name] = field.reference
    elseif field.unique then
      row.unique[name] = true
    end
  end
  if row.key and row.kind ~= "plugins" then
    row.unique[row.key] = true
  end
end

_M.list, _M.by_kind = {}, {}
for _, row in ipairs(ROWS) do
  if known[row.kind] then
    read_fields(row)
    if CREDENTIAL[row.kind] then
      row.under, row.cascade = { consumers = "consumer" }, { consumer = true }
    end
    row.under, row.cascade = row.under or {}, row.cascade or {}
    row.below = row.below or row.path
    _M.list[#_M.list + 1] = row
    _M.by_kind[row.kind] = row
  end
end

--- "service" for "services".
function _M.singular(kind)
  return (kind:gsub("s$", ""))
end

return _M

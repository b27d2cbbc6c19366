-- Turns checked entities into the document the C side builds a generation from.
-- Everything is validated before; this only leaves out what is disabled and numbers the rest.
-- Vault references of certificates and credentials become values, those of plugins stay.
-- Invariant: references are 1-based indexes into the document's own lists, or null.

local json = require("moongate.util.json_encode")
local null = json.null

local sets = require("moongate.schema.sets")
local address = require("moongate.schema.address")
local vaults = require("moongate.config.vaults")

local M = {}

-- Kinds that only Lua reads (kong.db), beside those of plugins' own.
local LUA_ONLY = { "snis", "acls", "key_sets", "keys", "oauth2_credentials", "mtls_auth_credentials" }

local DEFAULT_TARGET_PORT = 8000

local CREDENTIALS = {
  { kind = "keyauth", entity = "keyauth_credentials", key = "key" },
  { kind = "basicauth", entity = "basicauth_credentials", key = "username" },
  { kind = "jwt", entity = "jwt_secrets", key = "key" },
  { kind = "hmacauth", entity = "hmacauth_credentials", key = "username" },
}

local function copy_without(output, ...)
  local copy = {}
  for key, value in pairs(output) do
    copy[key] = value
  end
  for i = 1, select("#", ...) do
    copy[select(i, ...)] = nil
  end
  return copy
end

local function is_disabled(entry)
  if entry.output.enabled == false then
    return true
  end
  for _, field in ipairs({ "service", "route" }) do
    local target = entry.refs[field]
    if target and not target.number then
      return true
    end
  end
  return false
end

local function index_of(entry, field)
  local target = entry.refs[field]
  return target and target.number or null
end

-- Numbers the enabled entries of a kind and makes each into an object.
local function list_of(run, kind, make)
  local list = json.array()
  for _, entry in ipairs(run.entries[kind]) do
    if not is_disabled(entry) then
      entry.number = #list + 1
      list[entry.number] = make(entry)
    end
  end
  return list
end

local function plain(entry)
  return copy_without(entry.output)
end

local function without_brackets(host)
  return host:match("^%[(.*)%]$") or host
end

local function make_service(entry)
  local service = copy_without(entry.output)
  service.host = without_brackets(service.host)
  service.client_certificate = index_of(entry, "client_certificate")
  return service
end

local function make_route(entry)
  local route = copy_without(entry.output)
  route.service = index_of(entry, "service")
  return route
end

local function make_consumer(entry)
  local consumer = copy_without(entry.output)
  consumer.groups, consumer.consumer_groups = json.array(), json.array()
  for _, group in ipairs(entry.groups_of or {}) do
    table.insert(consumer.consumer_groups, group.number)
  end
  return consumer
end

local function sets_of(entry)
  local field = entry.schema.fields.config
  if not field or field.type ~= "record" then
    return nil
  end
  local paths = sets.paths(field, entry.output.config or {})
  return paths[1] and paths or nil
end

local function make_plugin(entry)
  local output = entry.output
  local plugin = copy_without(output)
  plugin.config = output.config or {}
  plugin.ordering = output.ordering or null
  plugin.instance_name = output.instance_name or null
  for _, field in ipairs({ "route", "service", "consumer", "consumer_group" }) do
    plugin[field] = index_of(entry, field)
  end
  return plugin
end

local function make_target(entry)
  local host, port = address.split_port(entry.output.target)
  local target = copy_without(entry.output, "upstream")
  target.host, target.port = without_brackets(host), port or DEFAULT_TARGET_PORT
  return target
end

-- Passwords leave here as Kong keeps them: SHA-1 of the password and its consumer's id, in hexadecimal.
local function hash_password(run, entry, data)
  if not run.passwords_are_hashed and type(data.password) == "string" then
    data.password = run.opts.sha1(data.password .. entry.refs.consumer.output.id)
  end
  data.hashed = true
end

local function add_credentials(run, document)
  document.credentials = json.array()
  for _, row in ipairs(CREDENTIALS) do
    for _, entry in ipairs(run.entries[row.entity]) do
      local data = vaults.resolve_fields(run, entry)
      data.consumer = nil
      if row.kind == "basicauth" then
        hash_password(run, entry, data)
      end
      table.insert(document.credentials, {
        kind = row.kind, key = data[row.key], consumer = index_of(entry, "consumer"),
        data = data,
      })
    end
  end
end

local function add_acl_groups(run, document)
  for _, entry in ipairs(run.entries.acls) do
    table.insert(document.consumers[entry.refs.consumer.number].groups, entry.output.group)
  end
end

local function add_upstreams(run, document)
  document.upstreams = list_of(run, "upstreams", function(entry)
    local upstream = copy_without(entry.output)
    upstream.client_certificate = index_of(entry, "client_certificate")
    upstream.targets = json.array()
    return upstream
  end)
  for _, entry in ipairs(run.entries.targets) do
    table.insert(document.upstreams[entry.refs.upstream.number].targets, make_target(entry))
  end
end

local function add_certificates(run, document)
  document.certificates = list_of(run, "certificates", function(entry)
    local certificate = vaults.resolve_fields(run, entry)
    certificate.snis = json.array()
    return certificate
  end)
  for _, entry in ipairs(run.entries.snis) do
    table.insert(document.certificates[entry.refs.certificate.number].snis, entry.output.name)
  end
  document.ca_certificates = list_of(run, "ca_certificates", plain)
end

local function with_links(run, entry)
  local data = vaults.resolve_fields(run, entry)
  for _, reference in ipairs(run.kinds.by_name[entry.kind].foreign) do
    local target = entry.refs[reference.name]
    data[reference.name] = target and { id = target.id } or nil
  end
  return data
end

local function add_lua_only(run, document, kind)
  local list = json.array()
  for i, entry in ipairs(run.entries[kind]) do
    list[i] = with_links(run, entry)
  end
  if #list > 0 then
    document.entities = document.entities or {}
    document.entities[kind] = list
  end
end

-- By plugin id; beside the entities, which show what users wrote.
local function add_plugin_sets(run, document)
  local by_id = {}
  for _, entry in ipairs(run.entries.plugins) do
    by_id[entry.id] = entry.number and sets_of(entry)
  end
  document.sets = next(by_id) and by_id or nil
end

local function add_entities(run, document)
  for _, kind in ipairs(LUA_ONLY) do
    add_lua_only(run, document, kind)
  end
  for _, kind in ipairs(run.kinds.custom) do
    add_lua_only(run, document, kind.name)
  end
  local daos = run.kinds:daos()
  document.daos = daos[1] and daos or nil
end

--- The document of a run without errors.
function M.build(run)
  local document = { format = 1 }
  add_certificates(run, document)
  document.vaults = list_of(run, "vaults", plain)
  document.consumer_groups = list_of(run, "consumer_groups", plain)
  document.consumers = list_of(run, "consumers", make_consumer)
  add_credentials(run, document)
  add_acl_groups(run, document)
  add_upstreams(run, document)
  document.services = list_of(run, "services", make_service)
  document.routes = list_of(run, "routes", make_route)
  document.plugins = list_of(run, "plugins", make_plugin)
  add_plugin_sets(run, document)
  add_entities(run, document)
  if next(run.secrets) then
    document.secrets = run.secrets
  end
  return document
end

return M

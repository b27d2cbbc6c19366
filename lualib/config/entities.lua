-- The entities a configuration file may hold: fields, defaults, children, and what must be unique.
-- Plugin configs have schemas of their own (plugins/<name>/schema.lua); reading and linking
-- entities is tree.lua's and links.lua's work.
-- Invariant: a field named like another entity is a reference to it (type "foreign").

local address = require("moongate.schema.address")
local null = require("cjson").null
local typedefs = require("moongate.schema.typedefs")

local M = {}

local ROUTE_SUBSETS = {
  { "http", "https" }, { "tcp", "tls", "udp" }, { "tls_passthrough" }, { "grpc", "grpcs" },
}

local function text(extra)
  local field = { type = "string" }
  for key, value in pairs(extra or {}) do
    field[key] = value
  end
  return field
end

local function foreign(kind, extra)
  local field = text(extra)
  field.type, field.reference = "foreign", kind
  return field
end

local function list(element, default)
  return { type = "array", elements = element, default = default }
end

local function count(default, limit)
  return { type = "integer", default = default, between = { 0, limit } }
end

local COMMON = {
  { id = typedefs.uuid }, { tags = typedefs.tags },
  { created_at = typedefs.auto_timestamp_s }, { updated_at = typedefs.auto_timestamp_s },
}

local function entity(definition)
  for i = #COMMON, 1, -1 do
    table.insert(definition.fields, 1, COMMON[i])
  end
  return definition
end

local DEFAULT_PORTS = { http = 80, https = 443, grpc = 80, grpcs = 443, ws = 80, wss = 443 }

-- service ---------------------------------------------------------------------------------------

local function url_to_fields(url)
  local parts, err = address.parse_url(url)
  if not parts then
    return nil, err
  end
  return {
    protocol = parts.scheme, host = parts.host, path = parts.path or null,
    port = parts.port or DEFAULT_PORTS[parts.scheme],
  }
end

local function timeout()
  return { type = "integer", default = 60000, between = { 1, 2 ^ 31 - 2 } }
end

local function check_service(service)
  local stream = service.protocol == "tcp" or service.protocol == "tls"
    or service.protocol == "udp" or service.protocol == "tls_passthrough"
  if service.path ~= null and (stream or service.protocol:find("^grpc")) then
    return nil, { path = "value must be null" }
  end
  return true
end

M.services = entity {
  name = "services", key = "name", children = { routes = "service", plugins = "service" },
  fields = {
    { name = typedefs.utf8_name },
    { protocol = typedefs.protocol { required = true, default = "http" } },
    { host = typedefs.host { required = true } },
    { port = typedefs.port { required = true, default = 80 } },
    { path = typedefs.path },
    { retries = { type = "integer", default = 5, between = { 0, 32767 } } },
    { connect_timeout = timeout() }, { write_timeout = timeout() }, { read_timeout = timeout() },
    { enabled = { type = "boolean", required = true, default = true } },
    { tls_verify = { type = "boolean" } }, { tls_verify_depth = count(nil, 64) },
    { tls_sans = { type = "record", fields = {
      { dnsnames = list(text()) }, { uris = list(text()) } } } },
    { ca_certificates = list(text()) },
    { client_certificate = foreign("certificates") },
  },
  shorthand_fields = { { url = { type = "string", func = url_to_fields } } },
  entity_checks = {
    { custom_entity_check = { field_sources = { "protocol", "path" }, fn = check_service } },
  },
}

-- route -----------------------------------------------------------------------------------------

local function includes(values, wanted)
  for _, value in ipairs(values) do
    if value == wanted then
      return true
    end
  end
  return false
end

local function any_set(route, names)
  for _, name in ipairs(names) do
    if route[name] ~= null and next(route[name]) ~= nil then
      return true
    end
  end
  return false
end

-- What one protocol demands of its routes, in the order in which they are tried.
local ROUTE_DEMANDS = {
  { "http", { "methods", "hosts", "headers", "paths" } },
  { "https", { "methods", "hosts", "headers", "paths", "snis" } },
  { "grpc", { "hosts", "headers", "paths" } },
  { "grpcs", { "hosts", "headers", "paths", "snis" } },
  { "tcp", { "sources", "destinations" } },
  { "udp", { "sources", "destinations" } },
  { "tls", { "sources", "destinations", "snis" } },
  { "tls_passthrough", { "snis" } },
}

local function check_route_match(route)
  if route.expression ~= null then
    return nil, { expression = "the expressions router is not supported" }
  end
  local protocols = route.protocols
  for _, row in ipairs(ROUTE_DEMANDS) do
    local protocol, names = row[1], row[2]
    local covered = protocol == "http" and includes(protocols, "https")
    if not covered and includes(protocols, protocol) and not any_set(route, names) then
      return nil, "must set one of '" .. table.concat(names, "', '") .. "' when 'protocols' is '"
        .. protocol .. "'"
    end
  end
  return true
end

local function check_route_protocols(route)
  local grpc = includes(route.protocols, "grpc") or includes(route.protocols, "grpcs")
  if grpc and route.strip_path == true then
    return nil, { strip_path = "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'" }
  end
  if grpc and any_set(route, { "methods" }) then
    return nil, { methods = "cannot set 'methods' when 'protocols' is 'grpc' or 'grpcs'" }
  end
  if any_set(route, { "snis" }) and not (includes(route.protocols, "https")
      or includes(route.protocols, "grpcs") or includes(route.protocols, "tls")
      or includes(route.protocols, "tls_passthrough")) then
    return nil, { snis = "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or "
      .. "'tls_passthrough'" }
  end
  return true
end

M.routes = entity {
  name = "routes", key = "name", children = { plugins = "route" },
  fields = {
    { name = typedefs.utf8_name },
    { service = foreign("services") },
    { protocols = { type = "set", required = true, len_min = 1, elements = typedefs.protocol,
      mutually_exclusive_subsets = ROUTE_SUBSETS, default = { "http", "https" } } },
    { methods = typedefs.methods }, { hosts = typedefs.hosts }, { paths = typedefs.router_paths },
    { headers = typedefs.headers },
    { snis = { type = "set", elements = typedefs.sni } },
    { sources = typedefs.sources }, { destinations = typedefs.destinations },
    { https_redirect_status_code = { type = "integer", required = true, default = 426,
      one_of = { 426, 301, 302, 307, 308 } } },
    { strip_path = { type = "boolean", required = true, default = true } },
    { preserve_host = { type = "boolean", required = true, default = false } },
    { request_buffering = { type = "boolean", required = true, default = true } },
    { response_buffering = { type = "boolean", required = true, default = true } },
    { regex_priority = count(0, 2 ^ 32 - 1) },
    { path_handling = {
      type = "string", required = true, default = "v0", one_of = { "v0", "v1" } } },
    { expression = text() },
    { priority = { type = "integer", between = { 0, 2 ^ 46 - 1 } } },
  },
  entity_checks = {
    { custom_entity_check = {
      field_sources = { "protocols", "expression", "methods", "hosts", "headers", "paths", "snis",
        "sources", "destinations" }, fn = check_route_match } },
    { custom_entity_check = { field_sources = { "protocols", "strip_path", "methods", "snis" },
      fn = check_route_protocols } },
  },
}

-- consumers and credentials -----------------------------------------------------------------------

M.consumers = entity {
  name = "consumers", key = "username",
  children = {
    plugins = "consumer", keyauth_credentials = "consumer", basicauth_credentials = "consumer",
    jwt_secrets = "consumer", hmacauth_credentials = "consumer", acls = "consumer",
    oauth2_credentials = "consumer", mtls_auth_credentials = "consumer",
  },
  fields = { { username = text { unique = true } }, { custom_id = text { unique = true } } },
  entity_checks = { { at_least_one_of = { "custom_id", "username" } } },
}

M.consumer_groups = entity {
  name = "consumer_groups", key = "name", children = { plugins = "consumer_group" },
  fields = { { name = typedefs.utf8_name { required = true } } },
}

local function credential(name, key, fields, extra)
  table.insert(fields, { consumer = foreign("consumers", { required = true }) })
  local definition = entity { name = name, key = key, secret_key = extra and extra.secret_key,
    fields = fields, entity_checks = extra and extra.entity_checks }
  return definition
end

M.keyauth_credentials = credential("keyauth_credentials", "key", {
  { key = text { auto = true, unique = true, encrypted = true, referenceable = true } },
  { ttl = typedefs.ttl },
}, { secret_key = true })

M.basicauth_credentials = credential("basicauth_credentials", "username", {
  { username = text { required = true, unique = true } },
  { password = text { required = true, encrypted = true, referenceable = true } },
})

M.hmacauth_credentials = credential("hmacauth_credentials", "username", {
  { username = text { required = true, unique = true } },
  { secret = text { auto = true, encrypted = true, referenceable = true } },
})

local ASYMMETRIC = "^[REP]S%d%d%d$"

local function check_jwt_secret(secret)
  if secret.algorithm:find(ASYMMETRIC) or secret.algorithm == "EdDSA" then
    if secret.rsa_public_key == null then
      return nil, { rsa_public_key = "required field missing" }
    end
  elseif secret.secret == null then
    return nil, { secret = "required field missing" }
  end
  return true
end

M.jwt_secrets = credential("jwt_secrets", "key", {
  { key = text { auto = true, unique = true } },
  { secret = text { auto = true, encrypted = true, referenceable = true } },
  { rsa_public_key = text { referenceable = true,
    match = "%-%-%-%-%-BEGIN [%u ]*PUBLIC KEY%-%-%-%-%-", err = "invalid key" } },
  { algorithm = { type = "string", default = "HS256", one_of = {
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256",
    "PS384", "PS512", "EdDSA" } } },
}, {
  entity_checks = {
    { custom_entity_check = { field_sources = { "algorithm", "secret", "rsa_public_key" },
      fn = check_jwt_secret } },
  },
})

M.acls = credential("acls", nil, { { group = text { required = true } } })

M.oauth2_credentials = credential("oauth2_credentials", "client_id", {
  { name = text { required = true } },
  { client_id = text { auto = true, unique = true } },
  { client_secret = text { auto = true, encrypted = true, referenceable = true } },
  { hash_secret = { type = "boolean", required = true, default = false } },
  { redirect_uris = list(typedefs.url) },
  { client_type = { type = "string", required = true, default = "confidential",
    one_of = { "confidential", "public" } } },
})

M.mtls_auth_credentials = credential("mtls_auth_credentials", nil, {
  { subject_name = text { required = true } },
  { ca_certificate = foreign("ca_certificates") },
})

-- plugins: the part that every plugin has; the rest comes from its own schema -------------------

M.plugins = entity {
  name = "plugins",
  fields = {
    { name = text { required = true } },
    { instance_name = typedefs.utf8_name },
    { route = foreign("routes") }, { service = foreign("services") },
    { consumer = foreign("consumers") }, { consumer_group = foreign("consumer_groups") },
    { config = { type = "any" } },
    { protocols = typedefs.protocols },
    { enabled = { type = "boolean", required = true, default = true } },
    { ordering = { type = "record", required = false, fields = {
      { before = { type = "map", keys = text(), values = list(text()) } },
      { after = { type = "map", keys = text(), values = list(text()) } } } } },
    { condition = text() },
  },
}

-- upstreams -----------------------------------------------------------------------------------

local STATUSES = { type = "integer", between = { 100, 999 } }
local HASH_SOURCES = {
  "none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture",
}
local PASSIVE_HEALTHY = {
  200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308,
}

local function seconds(default)
  return { type = "number", default = default, between = { 0, 65535 } }
end

local function counter(default)
  return { type = "integer", default = default, between = { 0, 255 } }
end

local function record(fields)
  return { type = "record", required = true, fields = fields }
end

local function check_kind()
  return { type = "string", default = "http", one_of = { "tcp", "http", "https", "grpc", "grpcs" } }
end

local ACTIVE = record {
  { type = check_kind() },
  { timeout = seconds(1) },
  { concurrency = { type = "integer", default = 10, between = { 1, 2147483648 } } },
  { http_path = typedefs.path { default = "/" } },
  { https_sni = typedefs.sni },
  { https_verify_certificate = { type = "boolean", required = true, default = true } },
  { headers = { type = "map", keys = text(), values = list(text()) } },
  { healthy = record {
    { interval = seconds(0) }, { successes = counter(0) },
    { http_statuses = list(STATUSES, { 200, 302 }) } } },
  { unhealthy = record {
    { interval = seconds(0) }, { http_failures = counter(0) }, { tcp_failures = counter(0) },
    { timeouts = counter(0) },
    { http_statuses = list(STATUSES, { 429, 404, 500, 501, 502, 503, 504, 505 }) } } },
}

local PASSIVE = record {
  { type = check_kind() },
  { healthy = record { { successes = counter(0) },
    { http_statuses = list(STATUSES, PASSIVE_HEALTHY) } } },
  { unhealthy = record {
    { http_failures = counter(0) }, { tcp_failures = counter(0) }, { timeouts = counter(0) },
    { http_statuses = list(STATUSES, { 429, 500, 503 }) } } },
}

local function hash_needs(source, field)
  return { conditional = {
    if_field = "hash_on", if_match = { eq = source }, then_field = field,
    then_match = { required = true } } }
end

local function fallback_needs(source, field)
  return { conditional = {
    if_field = "hash_fallback", if_match = { eq = source }, then_field = field,
    then_match = { required = true } } }
end

local function is_probing(side)
  return type(side.interval) == "number" and side.interval > 0
end

-- Probing speaks HTTP/1.1 and TCP; gRPC needs HTTP/2.
local function check_probes(upstream)
  local active = upstream.healthchecks.active
  local probes = is_probing(active.healthy) or is_probing(active.unhealthy)
  if probes and (active.type == "grpc" or active.type == "grpcs") then
    return nil, { ["healthchecks.active.type"] = "active health checks of type '" .. active.type
      .. "' are not supported; use 'tcp', or 'http' or 'https' where the target speaks HTTP/1.1" }
  end
  return true
end

M.upstreams = entity {
  name = "upstreams", key = "name", children = { targets = "upstream" },
  fields = {
    { name = typedefs.host { required = true, unique = true } },
    { algorithm = { type = "string", default = "round-robin", one_of = {
      "consistent-hashing", "least-connections", "round-robin", "latency", "sticky-sessions" } } },
    { hash_on = { type = "string", default = "none", one_of = HASH_SOURCES } },
    { hash_fallback = { type = "string", default = "none", one_of = HASH_SOURCES } },
    { hash_on_header = typedefs.header_name }, { hash_fallback_header = typedefs.header_name },
    { hash_on_cookie = typedefs.cookie_name },
    { hash_on_cookie_path = typedefs.path { default = "/" } },
    { hash_on_query_arg = text() }, { hash_fallback_query_arg = text() },
    { hash_on_uri_capture = text() }, { hash_fallback_uri_capture = text() },
    { sticky_sessions_cookie = typedefs.cookie_name },
    { sticky_sessions_cookie_path = typedefs.path { default = "/" } },
    { slots = { type = "integer", default = 10000, between = { 10, 65536 } } },
    { host_header = typedefs.host_with_optional_port },
    { client_certificate = foreign("certificates") },
    { use_srv_name = { type = "boolean", default = false } },
    { healthchecks = record {
      { threshold = { type = "number", default = 0, between = { 0, 100 } } },
      { active = ACTIVE }, { passive = PASSIVE } } },
  },
  entity_checks = {
    hash_needs("header", "hash_on_header"), hash_needs("cookie", "hash_on_cookie"),
    hash_needs("query_arg", "hash_on_query_arg"), hash_needs("uri_capture", "hash_on_uri_capture"),
    fallback_needs("header", "hash_fallback_header"),
    fallback_needs("query_arg", "hash_fallback_query_arg"),
    fallback_needs("uri_capture", "hash_fallback_uri_capture"),
    fallback_needs("cookie", "hash_on_cookie"),
    { conditional = {
      if_field = "algorithm", if_match = { eq = "sticky-sessions" },
      then_field = "sticky_sessions_cookie", then_match = { required = true } } },
    { custom_entity_check = { field_sources = { "healthchecks" }, fn = check_probes } },
  },
}

local function check_target(target)
  local host, port = address.split_port(target)
  if port == false or not (address.is_ip(host) or address.is_hostname(host)) then
    return nil, "Invalid target ('" .. target .. "'); not a valid hostname or ip address"
  end
  return true
end

M.targets = entity {
  name = "targets",
  fields = {
    { upstream = foreign("upstreams", { required = true }) },
    { target = text { required = true, custom_validator = check_target } },
    { weight = { type = "integer", default = 100, between = { 0, 65535 } } },
    { failover = { type = "boolean", default = false } },
  },
}

-- certificates and vaults -----------------------------------------------------------------------

local function certificate_fields()
  return {
    { cert = typedefs.certificate { required = true, referenceable = true } },
    { key = typedefs.key { required = true, referenceable = true, encrypted = true } },
    { cert_alt = typedefs.certificate { referenceable = true } },
    { key_alt = typedefs.key { referenceable = true, encrypted = true } },
  }
end

M.certificates = entity {
  name = "certificates", children = { snis = "certificate" }, fields = certificate_fields(),
  entity_checks = { { mutually_required = { "cert_alt", "key_alt" } } },
}

-- "*" is the certificate of names that no other fits, and of clients that send none.
local function check_sni_name(name)
  if name == "*" then
    return true
  end
  return address.check_sni(name)
end

M.snis = entity {
  name = "snis", key = "name",
  fields = {
    { name = typedefs.sni { required = true, unique = true, custom_validator = check_sni_name } },
    { certificate = foreign("certificates", { required = true }) },
  },
}

M.ca_certificates = entity {
  name = "ca_certificates",
  fields = { { cert = typedefs.certificate { required = true } }, { cert_digest = text() } },
}

M.key_sets = entity {
  name = "key_sets", key = "name", children = { keys = "set" },
  fields = { { name = text { unique = true } } },
}

M.keys = entity {
  name = "keys", key = "name",
  fields = {
    { set = foreign("key_sets") },
    { name = text { unique = true } },
    { kid = text { required = true } },
    { jwk = typedefs.jwk }, { pem = typedefs.pem },
    { x5t = text() },
  },
  entity_checks = { { at_least_one_of = { "jwk", "pem" } }, { mutually_exclusive = { "jwk", "pem" } } },
}

local function check_prefix(prefix)
  if not prefix:find("^%l[%l%d-]*%l?%d*$") then
    return nil, "invalid value: " .. prefix
  end
  return true
end

local function check_vault_prefix(vault)
  local prefix = type(vault.config) == "table" and vault.config.prefix
  if vault.name == "file" and (type(prefix) ~= "string" or prefix:sub(1, 1) ~= "/") then
    return nil, "config.prefix: a file vault needs the absolute path of its directory"
  elseif vault.name == "env" and type(prefix) == "string" and not prefix:find("^[%a_][%w_]*$") then
    return nil, "config.prefix: invalid value: " .. prefix
  end
  return true
end

M.vaults = entity {
  name = "vaults", key = "prefix",
  fields = {
    { prefix = text { required = true, unique = true, custom_validator = check_prefix,
      not_one_of = { "env", "aws", "gcp", "hcv", "azure", "conjur" } } },
    { name = text { required = true, one_of = { "env", "file" } } },
    { description = text() },
    { config = { type = "record", fields = {
      { prefix = text() }, { ttl = typedefs.ttl },
      { neg_ttl = typedefs.ttl }, { resurrect_ttl = typedefs.ttl } } } },
  },
  entity_checks = {
    { custom_entity_check = { field_sources = { "name", "config" }, fn = check_vault_prefix } },
  },
}

--- Kinds in the order in which they are checked: an entity comes after what it may refer to.
M.ORDER = {
  "certificates", "ca_certificates", "snis", "vaults", "key_sets", "keys", "consumer_groups",
  "consumers", "keyauth_credentials", "basicauth_credentials", "jwt_secrets",
  "hmacauth_credentials", "acls", "oauth2_credentials", "mtls_auth_credentials",
  "upstreams", "targets", "services", "routes", "plugins",
}

--- Protocols that are accepted and never served: this gateway speaks HTTP.
M.STREAM_PROTOCOLS = { tcp = true, tls = true, tls_passthrough = true, udp = true }

--- Known to Kong, without effect here. They load with a warning.
M.UNSUPPORTED = {
  partials = true, filter_chains = true, licenses = true,
  custom_entities = true, cloned_plugins = true, custom_plugins = true, rbac_roles = true,
  rbac_endpoint_permissions = true, service_packages = true, ai_models = true,
  document_objects = true, parameters = true, plugins_partials = true,
  degraphql_routes = true, graphql_ratelimiting_cost_decorations = true,
}

return M

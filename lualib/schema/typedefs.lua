-- Ready-made field definitions that plugin schemas build on: host, port, url, protocols_http ...
-- Each is used as it is, or called to add attributes: typedefs.port { required = true }.
-- Guests reach this module as "kong.db.schema.typedefs".
-- Invariant: calling a typedef copies it; the definitions here never change.

local address = require("moongate.schema.address")
local null = require("cjson").null
local regex = require("moongate.schema.regex")

local Schema = require("moongate.schema")

local MAX_TIMEOUT_MS = 2 ^ 31 - 2
local HTTP_PROTOCOLS = { "grpc", "grpcs", "http", "https" }
local HTTP_WS_PROTOCOLS = { "grpc", "grpcs", "http", "https", "ws", "wss" }
local PROTOCOLS = {
  "grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp", "ws", "wss",
}
local PROPAGATION_FORMATS = { "w3c", "b3", "jaeger", "ot", "datadog", "aws", "gcp", "instana" }

local typedefs = {}

local function check_utf8(text)
  local at = 1
  while at <= #text do
    local last = select(2, text:find("^[%z\1-\127]", at))
      or select(2, text:find("^[\194-\223][\128-\191]", at))
      or select(2, text:find("^[\224-\239][\128-\191][\128-\191]", at))
      or select(2, text:find("^[\240-\244][\128-\191][\128-\191][\128-\191]", at))
    if not last then
      return false
    end
    at = last + 1
  end
  return true
end

local function check_utf8_name(name)
  if name:find("[^%w%.%-_~\128-\255]") or not check_utf8(name) then
    return nil, "invalid value '" .. name .. "': the only accepted ascii characters are "
      .. "alphanumerics or ., -, _, and ~"
  end
  return true
end

local function check_name(name)
  if name:find("[^%w%.%-_~]") then
    return nil, "invalid value '" .. name .. "': it must only contain alphanumeric and "
      .. "'., -, _, ~' characters"
  end
  return true
end

local function check_tag(tag)
  if tag:find("[%c,/]") or not check_utf8(tag) then
    return nil, "invalid tag '" .. tag .. "': expected printable ascii (except `,` and `/`) "
      .. "or valid utf-8 sequences"
  end
  return true
end

local function check_header_name(name)
  if not name:find("^[%w_%-]+$") then
    return nil, "bad header name '" .. name
      .. "', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
  end
  return true
end

local function check_cookie_name(name)
  if not name:find("^[%w_%.%-]+$") then
    return nil, "bad cookie name '" .. name
      .. "', allowed characters are A-Z, a-z, 0-9, '_', '.', and '-'"
  end
  return true
end

local function check_certificate(pem)
  if not pem:find("%-%-%-%-%-BEGIN [%u ]*CERTIFICATE%-%-%-%-%-") then
    return nil, "invalid certificate: no 'BEGIN CERTIFICATE' line found"
  end
  return true
end

local function check_key(pem)
  if not pem:find("%-%-%-%-%-BEGIN [%u ]*PRIVATE KEY%-%-%-%-%-") then
    return nil, "invalid key: no 'BEGIN PRIVATE KEY' line found"
  end
  return true
end

local function check_router_path(path)
  local pattern = path:match("^~(/.*)$")
  if not pattern and path:sub(1, 1) ~= "/" then
    return nil, "should start with: / (fixed path) or ~/ (regex path)"
  end
  if pattern then
    local ok, err = regex.check(pattern)
    if not ok then
      return nil, "invalid regex: '" .. pattern .. "' (PCRE returned: " .. err .. ")"
    end
    return true
  end
  local ok, err = address.check_path(path)
  if not ok then
    return nil, err
  end
  local normal = address.normalise_path(path)
  if normal ~= path then
    return nil, "non-normalized path, consider use '" .. normal .. "' instead"
  end
  return true
end

local function check_ip_and_port(value)
  if value.ip == null and value.port == null then
    return nil, "at least one of 'ip' and 'port' must be set"
  end
  return true
end

local function check_lua(code)
  local _, err = loadstring(code)
  if err then
    return nil, "error parsing function: " .. err
  end
  return true
end

local function check_jwk(text)
  local ok, jwk = pcall(require("cjson").decode, text)
  if not ok or type(jwk) ~= "table" or type(jwk.kty) ~= "string" then
    return nil, "invalid jwk: expected a JSON object with 'kty'"
  end
  return true
end

-- names and addresses -------------------------------------------------------------------------

typedefs.http_method = {
  type = "string", match = "^%u+$",
  description = "A string representing an HTTP method, such as GET.",
}
typedefs.protocol = {
  type = "string", one_of = PROTOCOLS,
  description = "A string representing a protocol, such as http or https.",
}
typedefs.host = {
  type = "string", custom_validator = address.check_host,
  description = "A host name or IP address, such as example.com.",
}
typedefs.redis_host = {
  type = "string", custom_validator = address.check_host, referenceable = true,
  description = "The host name of a Redis server.",
}
typedefs.host_with_optional_port = {
  type = "string", custom_validator = address.check_host_with_optional_port,
  description = "A host name with an optional port, such as example.com:443.",
}
typedefs.wildcard_host = {
  type = "string", custom_validator = address.check_wildcard_host,
  description = "A host name that may begin or end with a wildcard label.",
}
typedefs.ip = {
  type = "string", custom_validator = address.check_ip, description = "An IP address.",
}
typedefs.cidr = {
  type = "string", custom_validator = address.check_cidr, description = "A network in CIDR form.",
}
typedefs.cidr_v4 = {
  type = "string", description = "An IPv4 network in CIDR form.",
  custom_validator = function(text)
    if text:find(":", 1, true) then
      return nil, "invalid cidr range: '" .. text .. "'"
    end
    return address.check_cidr(text)
  end,
}
typedefs.ip_or_cidr = {
  type = "string", custom_validator = address.check_ip_or_cidr,
  description = "An IP address or a network in CIDR form.",
}
typedefs.port = {
  type = "integer", between = { 0, 65535 }, description = "A TCP or UDP port, 0 to 65535.",
}
typedefs.path = {
  type = "string", custom_validator = address.check_path, description = "A URL path.",
}
typedefs.url = {
  type = "string", custom_validator = address.check_url,
  description = "A URL with scheme and host, such as https://example.com/path.",
}
typedefs.cookie_name = {
  type = "string", custom_validator = check_cookie_name, description = "The name of a cookie.",
}
typedefs.header_name = {
  type = "string", custom_validator = check_header_name,
  description = "The name of a header field.",
}
typedefs.timeout = {
  type = "integer", between = { 0, MAX_TIMEOUT_MS }, description = "A time in milliseconds.",
}
typedefs.ttl = { type = "integer", between = { 0, 100000000 }, description = "A time in seconds." }
typedefs.uuid = { type = "string", uuid = true, auto = true, description = "A UUID." }
typedefs.auto_timestamp_s = {
  type = "integer", timestamp = true, auto = true, description = "Unix time in seconds.",
}
typedefs.auto_timestamp_ms = {
  type = "number", timestamp = true, auto = true, description = "Unix time with milliseconds.",
}
typedefs.name = {
  type = "string", unique = true, custom_validator = check_name, description = "A unique name.",
}
typedefs.utf8_name = {
  type = "string", unique = true, custom_validator = check_utf8_name,
  description = "A unique name, UTF-8.",
}
typedefs.sni = {
  type = "string", custom_validator = address.check_sni, description = "A TLS server name.",
}
typedefs.redis_server_name = {
  type = "string", custom_validator = address.check_sni, referenceable = true,
  description = "The TLS server name of a Redis server.",
}
typedefs.certificate = {
  type = "string", custom_validator = check_certificate, description = "A certificate in PEM form.",
}
typedefs.key = {
  type = "string", custom_validator = check_key, description = "A private key in PEM form.",
}
typedefs.tag = { type = "string", custom_validator = check_tag, description = "A tag." }
typedefs.tags = { type = "set", elements = typedefs.tag, description = "Tags of the entity." }
typedefs.capability = {
  type = "string", match = "^[%w_%-]+$", description = "A capability of a node.",
}
typedefs.semantic_version = {
  type = "string", description = "A version such as 1.2.3.",
  match_any = {
    patterns = { "^%d+[%.%d]*$", "^%d+[%.%d]*%-.*$" },
    err = "invalid version number: must be in format of X.Y.Z",
  },
}

-- protocols and scopes ------------------------------------------------------------------------

typedefs.protocols = {
  type = "set", len_min = 1, required = true, elements = typedefs.protocol,
  default = { "grpc", "grpcs", "http", "https" },
  description = "The request protocols that trigger this plugin.",
}
typedefs.protocols_http = {
  type = "set", required = true, elements = { type = "string", one_of = HTTP_PROTOCOLS },
  default = { "grpc", "grpcs", "http", "https" },
  description = "The HTTP protocols that trigger this plugin.",
}
-- Of plugins that Kong 3.14 runs on WebSocket routes too: its dumps name all six.
typedefs.protocols_http_ws = {
  type = "set", required = true, elements = { type = "string", one_of = HTTP_WS_PROTOCOLS },
  default = HTTP_WS_PROTOCOLS, description = "The HTTP and WebSocket protocols that trigger this plugin.",
}

local function no_foreign(reference)
  return {
    type = "foreign", reference = reference, eq = null,
    description = "Set to null: this plugin cannot be bound to one of the " .. reference .. ".",
  }
end

typedefs.no_route = no_foreign("routes")
typedefs.no_service = no_foreign("services")
typedefs.no_consumer = no_foreign("consumers")
typedefs.no_consumer_group = no_foreign("consumer_groups")

-- routing -------------------------------------------------------------------------------------

local function no_wildcard_ip_port(description)
  return {
    type = "set", description = description,
    elements = {
      type = "record", custom_validator = check_ip_and_port,
      fields = { { ip = typedefs.ip_or_cidr }, { port = typedefs.port } },
    },
  }
end

typedefs.sources = no_wildcard_ip_port("Client addresses that match.")
typedefs.destinations = no_wildcard_ip_port("Local addresses that match.")
typedefs.methods = {
  type = "set", elements = typedefs.http_method, description = "HTTP methods that match.",
}
typedefs.hosts = {
  type = "array", elements = typedefs.wildcard_host, description = "Host names that match.",
}
typedefs.router_path = {
  type = "string", custom_validator = check_router_path,
  description = "A path prefix, or ~/ and a regular expression.",
}
typedefs.router_paths = {
  type = "array", elements = typedefs.router_path, description = "Paths that match.",
}
typedefs.paths = typedefs.router_paths
typedefs.headers = {
  type = "map", description = "Header fields that match, by name.",
  keys = {
    type = "string", custom_validator = function(name)
      if name:lower() == "host" then
        return nil, "cannot contain 'host' header, which must be specified in the 'hosts' attribute"
      end
      return check_header_name(name)
    end,
  },
  values = { type = "array", elements = { type = "string" } },
}

-- compound kinds ------------------------------------------------------------------------------

typedefs.pem = {
  type = "record", description = "A key pair in PEM form.",
  fields = {
    { private_key = {
      type = "string", custom_validator = check_key, referenceable = true, encrypted = true,
    } },
    { public_key = {
      type = "string", referenceable = true, match = "%-%-%-%-%-BEGIN [%u ]*PUBLIC KEY%-%-%-%-%-",
    } },
  },
}
typedefs.jwk = {
  type = "string", custom_validator = check_jwk, referenceable = true, encrypted = true,
  description = "A JSON Web Key.",
}
typedefs.lua_code = {
  type = "map", description = "Lua expressions by the name of what they set.",
  keys = { type = "string", len_min = 1 },
  values = { type = "string", len_min = 1, custom_validator = check_lua },
}
typedefs.queue = {
  type = "record", required = true, description = "How entries are collected and sent in batches.",
  fields = {
    { max_batch_size = { type = "integer", default = 1, between = { 1, 1000000 },
      description = "Entries sent at once." } },
    { max_coalescing_delay = { type = "number", default = 1, between = { 0, 3600 },
      description = "Seconds to wait for a batch to fill." } },
    { max_entries = { type = "integer", default = 10000, between = { 1, 1000000 },
      description = "Entries kept while waiting." } },
    { max_bytes = { type = "integer", description = "Bytes kept while waiting." } },
    { max_retry_time = { type = "number", default = 60,
      description = "Seconds until a batch is given up." } },
    { initial_retry_delay = { type = "number", default = 0.01, between = { 0.001, 1000000 },
      description = "Seconds before the first retry." } },
    { max_retry_delay = { type = "number", default = 60, between = { 0.001, 1000000 },
      description = "Most seconds between two retries." } },
    { concurrency_limit = { type = "integer", default = 1, one_of = { -1, 1 },
      description = "Batches in flight; -1 for one at once per entry." } },
  },
}

local function formats(extra)
  local list = {}
  for i, name in ipairs(PROPAGATION_FORMATS) do
    list[i] = name
  end
  for _, name in ipairs(extra) do
    list[#list + 1] = name
  end
  return list
end

typedefs.propagation = {
  type = "record", required = true, description = "Which trace headers are read and written.",
  fields = {
    { extract = { type = "array", description = "Formats read from the request, in this order.",
      elements = { type = "string", one_of = PROPAGATION_FORMATS } } },
    { clear = { type = "array", description = "Headers removed after reading.",
      elements = { type = "string" } } },
    { inject = { type = "array", description = "Formats written to the upstream request.",
      elements = { type = "string", one_of = formats({ "b3-single", "preserve" }) } } },
    { default_format = { type = "string", required = true, default = "w3c",
      one_of = formats({ "b3-single" }), description = "The format when none was found." } },
  },
}

for _, definition in pairs(typedefs) do
  Schema.define(definition)
end

return typedefs

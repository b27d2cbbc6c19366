-- Every ready-made field definition: one value it takes, one it refuses, and the message.

local Schema = require("moongate.schema")
local null = require("cjson").null
local typedefs = require("moongate.schema.typedefs")

local CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
local KEY = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"

local function error_of(name, value)
  local schema = assert(Schema.new { name = "t", fields = { { f = typedefs[name] } } })
  local out, failed = schema:process({ f = value })
  return not out and failed.f or nil
end

describe("typedefs", function()
  local cases = {
    { "http_method", "GET", "get", "invalid value: get" },
    { "protocol", "https", "gopher",
      "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp, ws, wss" },
    { "host", "example.com", "a b", "invalid value: a b" },
    { "host", "::1", "example.com:80", "must not have a port" },
    { "redis_host", "{vault://env/redis-host}", "-bad-", "invalid value: -bad-" },
    { "host_with_optional_port", "a.b:80", "a.b:99999", "invalid port number" },
    { "wildcard_host", "*.example.com", "*.*.com", "invalid wildcard: must have at most one wildcard" },
    { "wildcard_host", "example.*", "ex*mple.com",
      "invalid wildcard: must be placed at leftmost or rightmost label" },
    { "ip", "10.0.0.1", "10.0.0.256", "not an ip address: 10.0.0.256" },
    { "ip_or_cidr", "fe80::/10", "10.0.0.0/33", "invalid ip or cidr range: '10.0.0.0/33'" },
    { "cidr", "10.0.0.0/8", "10.0.0.1", "invalid cidr range: '10.0.0.1'" },
    { "cidr_v4", "10.0.0.0/8", "::/0", "invalid cidr range: '::/0'" },
    { "port", 0, 65536, "value should be between 0 and 65535" },
    { "path", "/a", "a", "should start with: /" },
    { "path", "/a%20b", "/a b",
      "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)" },
    { "path", "/", "/a//b", "must not have empty segments" },
    { "url", "https://api.openai.com/v1", "https:///v1", "missing host in url" },
    { "url", "http://[::1]:8080", "example.com", "missing scheme in url" },
    { "cookie_name", "sid", "s;d",
      "bad cookie name 's;d', allowed characters are A-Z, a-z, 0-9, '_', '.', and '-'" },
    { "header_name", "X-Key", "X Key",
      "bad header name 'X Key', allowed characters are A-Z, a-z, 0-9, '_', and '-'" },
    { "timeout", 2147483646, 2147483647, "value should be between 0 and 2147483646" },
    { "uuid", "fd02801f-0957-4a15-a55a-c8d9606f30b5", "x", "expected a valid UUID" },
    { "auto_timestamp_s", 1, -1, "expected a valid timestamp" },
    { "auto_timestamp_ms", 1.5, -1, "expected a valid timestamp" },
    { "no_route", null, "r", "value must be null" }, { "no_service", null, "s", "value must be null" },
    { "no_consumer", null, "c", "value must be null" },
    { "no_consumer_group", null, "g", "value must be null" },
    { "name", "a-b.c~d", "a b",
      "invalid value 'a b': it must only contain alphanumeric and '., -, _, ~' characters" },
    { "utf8_name", "caf\195\169", "a/b",
      "invalid value 'a/b': the only accepted ascii characters are alphanumerics or ., -, _, and ~" },
    { "sni", "*.example.com", "10.0.0.1", "must not be an IP" },
    { "redis_server_name", "redis", "redis:1", "must not have a port" },
    { "certificate", CERTIFICATE, "x", "invalid certificate: no 'BEGIN CERTIFICATE' line found" },
    { "key", KEY, "x", "invalid key: no 'BEGIN PRIVATE KEY' line found" },
    { "tag", "a b", "a,b",
      "invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences" },
    { "capability", "a_b", "a b", "invalid value: a b" },
    { "semantic_version", "1.2.3", "x", "invalid version number: must be in format of X.Y.Z" },
    { "protocols_http", { "http" }, { "tcp" }, { "expected one of: grpc, grpcs, http, https" } },
    { "tags", { "a" }, "a", "expected a set" },
    { "methods", { "GET" }, { "get" }, { "invalid value: get" } },
    { "hosts", { "a.*" }, { "a*" }, { "invalid wildcard: must be placed at leftmost or rightmost label" } },
    { "sources", { { ip = "10.0.0.0/8", port = 80 } }, { { port = 70000 } },
      { { port = "value should be between 0 and 65535" } } },
    { "destinations", { { port = 80 } }, { {} }, { "at least one of 'ip' and 'port' must be set" } },
    { "router_path", "/a", "a", "should start with: / (fixed path) or ~/ (regex path)" },
    { "router_path", "~/v\\d+", "~/v(", "invalid regex: '/v(' (PCRE returned: missing closing parenthesis)" },
    { "router_paths", { "/a" }, { "/a/../b" }, { "non-normalized path, consider use '/b' instead" } },
    { "headers", { ["X-A"] = { "1" } }, { Host = { "a" } },
      { Host = "cannot contain 'host' header, which must be specified in the 'hosts' attribute" } },
    { "pem", { private_key = KEY }, { private_key = "x" },
      { private_key = "invalid key: no 'BEGIN PRIVATE KEY' line found" } },
    { "jwk", '{"kty":"RSA"}', "{}", "invalid jwk: expected a JSON object with 'kty'" },
    { "queue", { max_batch_size = 5 }, { max_batch_size = 0 },
      { max_batch_size = "value should be between 1 and 1000000" } },
    { "propagation", { extract = { "w3c" } }, { extract = { "x" } },
      { extract = { "expected one of: w3c, b3, jaeger, ot, datadog, aws, gcp, instana" } } },
    { "lua_code", { a = "return 1" }, { a = "" }, { a = "length must be at least 1" } },
    { "ttl", 5, -1, "value should be between 0 and 100000000" },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " refuses a wrong value", function()
      assert.is_nil(error_of(case[1], case[2]))
      assert.same(case[4], error_of(case[1], case[3]))
    end)
  end

  it("fill their defaults", function()
    local schema = assert(Schema.new { name = "t", fields = {
      { protocols = typedefs.protocols_http }, { queue = typedefs.queue } } })
    local out = schema:process({})
    assert.same({ "grpc", "grpcs", "http", "https" }, out.protocols)
    assert.same({ max_batch_size = 1, max_coalescing_delay = 1, max_entries = 10000, max_retry_time = 60,
      initial_retry_delay = 0.01, max_retry_delay = 60, concurrency_limit = 1 }, out.queue)
  end)

  it("can be called to add attributes, and stay as they are", function()
    assert.is_true(typedefs.port { required = true }.required)
    assert.is_nil(typedefs.port.required)
    assert.equal(8080, typedefs.port { default = 8080 } { required = true }.default)
  end)

  it("tell Lua code that does not compile", function()
    assert.matches("^error parsing function: ", error_of("lua_code", { a = "return (" }).a)
  end)
end)

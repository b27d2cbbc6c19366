-- Fields, defaults and messages of services, routes, consumers, credentials, upstreams, targets,
-- certificates and vaults, each in a file of its own.

local fixture = require("lualib.config.fixture")

local PEM = "-----BEGIN CERTIFICATE-----"
local KEY = "-----BEGIN PRIVATE KEY-----"

describe("entities: messages", function()
  local cases = {
    { "services: [{port: 70000}]",
      "services[0].host: required field missing (add 'host' or 'url')",
      "services[0].port: value should be between 0 and 65535" },
    { "services: [{host: a, port: 8.5}]", "services[0].port: expected an integer (write a whole number)" },
    { 'services: [{host: a, port: "80"}]',
      "services[0].port: expected an integer (write the number without quotes)" },
    { "services: [{host: 1}]", "services[0].host: expected a string (put the value in quotes)" },
    { "services: [{host: a, protocol: gopher}]", "services[0].protocol: "
      .. "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp, ws, wss" },
    { "services: [{host: a, retrys: 1}]", "services[0].retrys: unknown field (did you mean 'retries'?)" },
    { "services: [{host: a, path: b}]", "services[0].path: should start with: /" },
    { "services: [{host: a, protocol: tcp, path: /b}]", "services[0].path: value must be null" },
    { "services: [{url: 'https:///x'}]", "services[0].url: missing host in url" },
    { "services: [{url: 'http://h', enabled: 'yes'}]",
      "services[0].enabled: expected a boolean (write true or false, without quotes)" },
    { "services: [x]", "services[0]: expected a record" },
    { "services: {a: 1}",
      "services: expected an array (write a list: each item on its own line after '- ')" },
    { "routes: [{expression: 'http.path == \"/a\"'}]", "routes[0].expression: the expressions router is "
      .. "not supported (use paths, methods, hosts and headers)" },
    { "routes: [{protocols: [udp], destinations: [{port: 53}]}]", "warning: routes[0].protocols[0]: protocol "
      .. "'udp' is not served (the gateway serves HTTP; remove the route if nobody needs it)" },
    { "routes: [{}]", "routes[0]: must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when "
      .. "'protocols' is 'https'" },
    { "routes: [{protocols: [http]}]",
      "routes[0]: must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'" },
    { "routes: [{protocols: [tls_passthrough]}]",
      "routes[0]: must set one of 'snis' when 'protocols' is 'tls_passthrough'" },
    { "routes: [{paths: /a}]", "routes[0].paths: expected an array (write a list: each item on its own "
      .. "line after '- ')" },
    { "routes: [{paths: [a]}]", "routes[0].paths[0]: should start with: / (fixed path) or ~/ (regex path)" },
    { "routes: [{paths: [//a]}]", "routes[0].paths[0]: must not have empty segments" },
    { "routes: [{paths: ['/a(b']}]" },
    { "routes: [{paths: ['/a[b]']}]", "routes[0].paths[0]: invalid path: '/a[b]' "
      .. "(characters outside of the reserved list of RFC 3986 found)" },
    { "routes: [{paths: ['~/a(']}]",
      "routes[0].paths[0]: invalid regex: '/a(' (PCRE returned: missing closing parenthesis)" },
    { "routes: [{paths: [/a], protocols: [grpc]}]",
      "routes[0].strip_path: cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'" },
    { "routes: [{paths: [/a], protocols: [http, grpc]}]",
      "routes[0].protocols: these sets are mutually exclusive: ('http', 'https'), ('grpc', 'grpcs')" },
    { "routes: [{paths: [/a], protocols: [http], snis: [a.example]}]", "routes[0].snis: 'snis' can only "
      .. "be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'" },
    { "routes: [{paths: [/a], https_redirect_status_code: 200}]",
      "routes[0].https_redirect_status_code: expected one of: 426, 301, 302, 307, 308" },
    { "routes: [{paths: [/a], methods: [get]}]", "routes[0].methods[0]: invalid value: get" },
    { "consumers: [{tags: [a]}]",
      "consumers[0]: at least one of these fields must be non-empty: 'custom_id', 'username'" },
    { "consumers: [{username: a, keyauth_credentials: [{key: 5}]}]",
      "consumers[0].keyauth_credentials[0].key: expected a string (put the value in quotes)" },
    { "consumers: [{username: a, jwt_secrets: [{key: k, algorithm: RS256}]}]",
      "consumers[0].jwt_secrets[0].rsa_public_key: required field missing (add 'rsa_public_key')" },
    { "consumers: [{username: a, basicauth_credentials: [{username: u}]}]",
      "consumers[0].basicauth_credentials[0].password: required field missing (add 'password')" },
    { "keyauth_credentials: [{key: k}]",
      "keyauth_credentials[0].consumer: required field missing (add 'consumer')" },
    { "consumer_groups: [{}]", "consumer_groups[0].name: required field missing (add 'name')" },
    { "upstreams: [{name: u, algorithm: x}]", "upstreams[0].algorithm: expected one of: "
      .. "consistent-hashing, least-connections, round-robin, latency, sticky-sessions" },
    { "upstreams: [{name: u, hash_on: header}]",
      "upstreams[0].hash_on_header: required field missing (add 'hash_on_header')" },
    { "upstreams: [{name: u, algorithm: sticky-sessions}]",
      "upstreams[0].sticky_sessions_cookie: required field missing (add 'sticky_sessions_cookie')" },
    { "upstreams: [{name: u, hash_on: ip, hash_fallback: cookie}]",
      "upstreams[0].hash_on_cookie: required field missing (add 'hash_on_cookie')" },
    { "upstreams: [{name: u, healthchecks: {active: {type: grpc, unhealthy: {interval: 1}}}}]",
      "upstreams[0].healthchecks.active.type: active health checks of type 'grpc' are not supported; use 'tcp', or "
      .. "'http' or 'https' where the target speaks HTTP/1.1" },
    { "upstreams: [{name: u, targets: [{target: 'a:b'}]}]",
      "upstreams[0].targets[0].target: Invalid target ('a:b'); not a valid hostname or ip address" },
    { "upstreams: [{name: u, targets: [{target: a, weight: 65536}]}]",
      "upstreams[0].targets[0].weight: value should be between 0 and 65535" },
    { "upstreams: [{name: u, healthchecks: {active: {healthy: {interval: x}}}}]",
      "upstreams[0].healthchecks.active.healthy.interval: expected a number (write the number without quotes)" },
    { "certificates: [{cert: x, key: y}]",
      "certificates[0].cert: invalid certificate: no 'BEGIN CERTIFICATE' line found",
      "certificates[0].key: invalid key: no 'BEGIN PRIVATE KEY' line found" },
    { "vaults: [{prefix: env, name: env}]",
      "vaults[0].prefix: must not be one of: env, aws, gcp, hcv, azure, conjur" },
    { "vaults: [{prefix: my, name: aws}]", "vaults[0].name: expected one of: env, file" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local wanted, got = {}, {}
      for i = 2, #case do
        wanted[#wanted + 1] = case[i]
      end
      for i, line in ipairs(fixture.problems(case[1])) do
        got[i] = line:gsub("^kong%.yaml:2:%d+: ", "")
      end
      table.sort(got)
      assert.same(wanted, got)
    end)
  end
end)

describe("entities: defaults", function()
  it("of a service", function()
    local service = fixture.load("services: [{host: h}]").services[1]
    assert.same({ "http", 80, 5, 60000, 60000, 60000, nil }, { service.protocol, service.port,
      service.retries, service.connect_timeout, service.write_timeout, service.read_timeout, service.path })
  end)

  it("of a url shorthand with port and path", function()
    local service = fixture.load("services: [{url: 'https://h.example:8443/base'}]").services[1]
    assert.same({ "https", "h.example", 8443, "/base" },
      { service.protocol, service.host, service.port, service.path })
  end)

  it("of an upstream with targets", function()
    local upstream = fixture.load([[
upstreams: [{name: u, targets: [{target: "h:1"}, {target: h2, weight: 0}, {target: "[::1]:9"}]}]
]]).upstreams[1]
    assert.same({ "round-robin", 10000, "none", false }, { upstream.algorithm, upstream.slots,
      upstream.hash_on, upstream.use_srv_name })
    assert.same({ 200, 302 }, upstream.healthchecks.active.healthy.http_statuses)
    assert.equal(19, #upstream.healthchecks.passive.healthy.http_statuses)
    local targets = {}
    for i, target in ipairs(upstream.targets) do
      targets[i] = { target.host, target.port, target.weight }
    end
    assert.same({ { "h", 1, 100 }, { "h2", 8000, 0 }, { "::1", 9, 100 } }, targets)
  end)

  it("of certificates with names in either form", function()
    local text = ([[
certificates:
  - cert: "%s"
    key: "%s"
    snis: [{name: a.example}, b.example]
]]):format(PEM, KEY)
    local document, problems = fixture.load(text)
    assert.same({}, fixture.lines(problems))
    assert.same({ "a.example", "b.example" }, document.certificates[1].snis)
  end)

  it("of all credentials", function()
    local document = fixture.load([[
consumers:
  - username: a
    keyauth_credentials: [{key: k1}]
    basicauth_credentials: [{username: u, password: p}]
    jwt_secrets: [{key: j, secret: s}]
    hmacauth_credentials: [{username: h, secret: s}]
    acls: [{group: g1}, {group: g2}]
]])
    local seen = {}
    for i, credential in ipairs(document.credentials) do
      seen[i] = { credential.kind, credential.key, credential.consumer }
    end
    assert.same({ { "keyauth", "k1", 1 }, { "basicauth", "u", 1 }, { "jwt", "j", 1 }, { "hmacauth", "h", 1 } },
      seen)
    assert.equal("HS256", document.credentials[3].data.algorithm)
    assert.same({ "g1", "g2" }, document.consumers[1].groups)
  end)
end)

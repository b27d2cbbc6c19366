-- The head of a file, both dialects, several files, shared defaults and plugin configs.

local fixture = require("lualib.config.fixture")

local function file(name, text)
  return { file = name, text = text }
end

describe("sources: mistakes", function()
  local version = '(write _format_version: "3.0")'
  local cases = {
    { "services: []", "kong.yaml: _format_version: required field missing " .. version },
    { '_format_version: "9"', "kong.yaml:1:1: _format_version: expected one of: 1.1, 2.1, 3.0 " .. version },
    { "", "kong.yaml: failed parsing declarative configuration: expected an object "
      .. '(start with _format_version: "3.0")' },
    { "- a", "kong.yaml: failed parsing declarative configuration: expected an object "
      .. '(start with _format_version: "3.0")' },
    { '_format_version: "3.0"\n_info: {select_tag: [a]}',
      "kong.yaml:2:9: _info.select_tag: unknown field (remove it, or correct its spelling)" },
    { '_format_version: "3.0"\n_transform: "no"',
      "kong.yaml:2:1: _transform: expected a boolean (write true or false, without quotes)" },
    { '_format_version: "3.0"\nplugins: [{name: prometheus, _config: x}]',
      "kong.yaml:2:30: plugins[0]._config: no entry 'x' in '_plugin_configs' "
        .. "(declare it under _plugin_configs, or correct the name)" },
    { '_format_version: "3.0"\n_info: {defaults: {sevice: {retries: 1}}}',
      "kong.yaml:2:20: _info.defaults.sevice: unknown field "
        .. "(defaults exist for service, route, upstream and target)" },
    { '_format_version: "3.0"\nservices: [{host: h, name: ${{ env "DECK_X" }}}]',
      "kong.yaml:2:28: environment variable 'DECK_X' present in state file but not set "
        .. "(set DECK_X in the gateway's environment)" },
  }
  for _, case in ipairs(cases) do
    it(case[1]:gsub("\n", " "), function()
      local _, problems = fixture.load_files({ file("kong.yaml", case[1]) })
      assert.same({ case[2] }, fixture.lines(problems))
    end)
  end

  it("gives the place of a syntax error", function()
    local _, problems = fixture.load_files({ file("k.yaml", '_format_version: "3.0"\nservices: [') })
    assert.equal(1, #problems)
    assert.matches("^k%.yaml:%d+:%d+: failed parsing declarative configuration: ", fixture.lines(problems)[1])
  end)

  it("warns of an unquoted version and of entities without effect", function()
    local document, problems = fixture.load_files({ file("k.yaml", "_format_version: 3.0\nlicenses: []") })
    assert.is_table(document)
    assert.same({ "k.yaml:1:1: warning: _format_version: expected a string (put the value in quotes)",
      "k.yaml:2:1: warning: licenses: not supported by this gateway; ignored "
        .. "(remove it if nothing depends on it)" }, fixture.lines(problems))
  end)
end)

describe("sources: both dialects", function()
  it("take what only one of them knows", function()
    local document, problems = fixture.load([[
_format_version: "3.0"
_transform: false
_comment: written by hand
_ignore: [{a: 1}]
_workspace: default
_konnect: {control_plane_name: cp}
_info: {select_tags: [t], default_lookup_tags: {services: [x]}, skip_hash_for_basic_auth: true}
consumers: [{username: a, basicauth_credentials: [{username: u, password: abc}]}]
]])
    assert.same({}, fixture.lines(problems))
    assert.is_true(document.credentials[1].data.hashed)
    assert.same({ "t" }, document.consumers[1].tags)
  end)

  it("read old formats, in which a path with regex characters is a regex", function()
    local document = fixture.load('_format_version: "2.1"\nroutes: [{paths: ["/a/\\\\d+", /b]}]')
    assert.same({ "~/a/\\d+", "/b" }, document.routes[1].paths)
  end)
end)

describe("sources: several files", function()
  local head = '_format_version: "3.0"\n'

  it("are one configuration, in the order given", function()
    local document, problems = fixture.load_files({
      file("routes.yaml", head .. "routes: [{name: r, paths: [/r], service: s}]"),
      file("services.yaml", head .. "services: [{name: s, host: h}]\nroutes: [{name: q, paths: [/q]}]"),
    })
    assert.same({}, fixture.lines(problems))
    assert.same({ "r", "q" }, { document.routes[1].name, document.routes[2].name })
    assert.equal(1, document.routes[1].service)
  end)

  it("may not contradict each other", function()
    local _, problems = fixture.load_files({
      file("a.yaml", head .. "_workspace: one\n_plugin_configs: {p: {x: 1}}"),
      file("b.yaml", head .. "_workspace: two\n_plugin_configs: {p: {x: 2}}"),
      file("c.yaml", head .. "_workspace: one"),
    })
    local cure = " (give the same value in both files, or remove one)"
    assert.same({ "b.yaml:2:1: _workspace: conflicts with the value in a.yaml:2" .. cure,
      "b.yaml:3:19: _plugin_configs.p: conflicts with the value in a.yaml:3" .. cure }, fixture.lines(problems))
  end)

  it("tell duplicates with both places", function()
    local _, problems = fixture.load_files({
      file("a.yaml", head .. "services: [{name: s, host: h}]"),
      file("b.yaml", head .. "\nservices: [{name: s, host: h}]"),
    })
    assert.same({ "b.yaml:3:13: services[0].name: uniqueness violation: 'services' entity with name set to 's' "
      .. "already declared at a.yaml:2 (change or remove one of the two)" }, fixture.lines(problems))
  end)

  it("take trees in place of texts", function()
    local document, problems = fixture.load_files({
      { file = "admin", tree = { _format_version = "3.0", services = { { host = "h", port = "x" } } } } })
    assert.is_nil(document)
    assert.same({ "admin: services[0].port: expected an integer (write the number without quotes)" },
      fixture.lines(problems))
  end)
end)

describe("sources: shared values", function()
  it("fill what entities leave open", function()
    local document, problems = fixture.load([[
_info:
  defaults:
    service: {retries: 2, read_timeout: 1000, protocol: https}
    route: {strip_path: false}
    upstream: {healthchecks: {active: {timeout: 7}}}
services: [{name: a, host: h, retries: 9}, {name: b, url: "http://h"}]
routes: [{paths: [/a]}]
upstreams: [{name: u, healthchecks: {threshold: 5}}]
]])
    assert.same({}, fixture.lines(problems))
    local a, b = document.services[1], document.services[2]
    assert.same({ 9, 1000, "https", 2, "http" }, { a.retries, a.read_timeout, a.protocol, b.retries, b.protocol })
    assert.is_false(document.routes[1].strip_path)
    local checks = document.upstreams[1].healthchecks
    assert.same({ 5, 7 }, { checks.threshold, checks.active.timeout })
  end)

  it("lets a plugin overlay a shared config", function()
    local document, problems = fixture.load([[
_plugin_configs:
  limits: {minute: 60, policy: redis}
plugins:
  - {name: rate-limiting, _config: limits, config: {minute: 5}}
]])
    assert.same({}, fixture.lines(problems))
    assert.same({ 5, "redis" }, { document.plugins[1].config.minute, document.plugins[1].config.policy })
  end)

  it("tells a mistake in a shared config where it stands", function()
    assert.same({ "kong.yaml:3:24: plugins[0].config.policy: expected one of: local, redis" }, fixture.problems([[
_plugin_configs:
  limits: {minute: 60, policy: cloud}
plugins:
  - {name: rate-limiting, _config: limits, config: {minute: 5}}
]]))
  end)
end)

-- Uniqueness, references, identifiers, group membership, disabled entities.

local fixture = require("lualib.config.fixture")
local json = require("moongate.util.json_encode")

describe("links: mistakes", function()
  local cases = {
    { "services:\n- {name: a, host: h}\n- {name: a, host: h}",
      "kong.yaml:4:4: services[1].name: uniqueness violation: 'services' entity with name set to 'a' "
        .. "already declared at kong.yaml:3 (change or remove one of the two)" },
    { "consumers:\n- {username: a, id: fd02801f-0957-4a15-a55a-c8d9606f30b5}\n"
        .. "- {username: b, id: fd02801f-0957-4a15-a55a-c8d9606f30b5}",
      "kong.yaml:4:17: consumers[1].id: uniqueness violation: 'consumers' entity with id set to "
        .. "'fd02801f-0957-4a15-a55a-c8d9606f30b5' already declared at kong.yaml:3 "
        .. "(change or remove one of the two)" },
    { "consumers:\n- {username: a, custom_id: c}\n- {username: b, custom_id: c}",
      "kong.yaml:4:17: consumers[1].custom_id: uniqueness violation: 'consumers' entity with custom_id "
        .. "set to 'c' already declared at kong.yaml:3 (change or remove one of the two)" },
    { "consumers:\n- username: a\n  keyauth_credentials:\n  - key: top-secret\n- username: b\n"
        .. "  keyauth_credentials:\n  - key: top-secret",
      "kong.yaml:8:5: consumers[1].keyauth_credentials[0].key: uniqueness violation: "
        .. "'keyauth_credentials' entity with key set to this value already declared at kong.yaml:5 "
        .. "(change or remove one of the two)" },
    { "plugins:\n- name: prometheus\n- name: prometheus",
      "kong.yaml:4:3: plugins[1].name: uniqueness violation: plugin 'prometheus' already declared "
        .. "globally, at kong.yaml:3 (remove one of the two)" },
    { "routes:\n- name: r\n  paths: [/a]\n  plugins:\n  - name: prometheus\nplugins:\n"
        .. "- name: prometheus\n  route: r",
      "kong.yaml:8:3: plugins[0].name: uniqueness violation: plugin 'prometheus' already declared "
        .. "on the same route, at kong.yaml:6 (remove one of the two)" },
    { "upstreams:\n- name: u\n  targets: [{target: a}, {target: a}]",
      "kong.yaml:4:27: upstreams[0].targets[1].target: uniqueness violation: target 'a' already declared "
        .. "in the same upstream, at kong.yaml:4 (remove one of the two)" },
    { "consumers: [{username: a, acls: [{group: g}, {group: g}]}]",
      "kong.yaml:2:47: consumers[0].acls[1].group: uniqueness violation: the consumer already has the group "
        .. "'g', at kong.yaml:2 (remove one of the two)" },
    { "routes: [{paths: [/a], service: x}]",
      "kong.yaml:2:24: routes[0].service: invalid reference 'service: x' (no such entry in 'services') "
        .. "(declare it under services, or correct the name)" },
    { "routes: [{paths: [a], service: x}]", -- a mistake of its own does not hide the reference's
      "kong.yaml:2:19: routes[0].paths[0]: should start with: / (fixed path) or ~/ (regex path)",
      "kong.yaml:2:23: routes[0].service: invalid reference 'service: x' (no such entry in 'services') "
        .. "(declare it under services, or correct the name)" },
    { "services: [{name: s, host: h, ca_certificates: [x]}]",
      "kong.yaml:2:49: services[0].ca_certificates[0]: invalid reference 'ca_certificates: x' (no such entry "
        .. "in 'ca_certificates') (declare it under ca_certificates, or correct the name)" },
    { "plugins: [{name: prometheus, route: {name: x}}]",
      "kong.yaml:2:30: plugins[0].route: invalid reference 'route: x' (no such entry in 'routes') "
        .. "(declare it under routes, or correct the name)" },
    { "consumers: [{username: a, groups: [gold]}]",
      "kong.yaml:2:36: consumers[0].groups[0]: invalid reference 'consumer_group: gold' (no such entry "
        .. "in 'consumer_groups') (declare it under consumer_groups, or correct the name)" },
    { "consumer_groups: [{name: g, consumers: [{username: bob}]}]",
      "kong.yaml:2:41: consumer_groups[0].consumers[0]: invalid reference 'consumer: bob' (no such entry "
        .. "in 'consumers') (declare it under consumers, or correct the name)" },
    { "consumer_group_consumers: [{consumer: a}]",
      "kong.yaml:2:28: consumer_group_consumers[0].consumer_group: required field missing "
        .. "(add 'consumer_group')",
      "kong.yaml:2:29: consumer_group_consumers[0].consumer: invalid reference 'consumer: a' (no such "
        .. "entry in 'consumers') (declare it under consumers, or correct the name)" },
    { "services: [{name: s, host: h, routes: [{paths: [/a], service: s}]}]",
      "kong.yaml:2:54: services[0].routes[0].service: already set by the place where the entity stands "
        .. "(remove 'service', or move the entity to the top level)" },
    { "consumers: [{username: a, plugins: [{name: key-auth}]}]",
      "kong.yaml:2:37: consumers[0].plugins[0].consumer: value must be null "
        .. "(this plugin cannot be bound to a consumer)" },
    { "plugins: [{name: key-atuh}]",
      "kong.yaml:2:12: plugins[0].name: plugin 'key-atuh' not enabled; add the 'key-atuh' plugin to the "
        .. "'plugins' directory (did you mean 'key-auth'?)" },
    { "plugins: [{config: {}}]", "kong.yaml:2:11: plugins[0].name: required field missing (add 'name')" },
    { "plugins: [{name: rate-limiting, config: {minut: 5}}]",
      "kong.yaml:2:33: plugins[0].config: at least one of these fields must be non-empty: 'second', 'minute'",
      "kong.yaml:2:42: plugins[0].config.minut: unknown field (did you mean 'minute'?)" },
    { "plugins: [{name: rate-limiting, config: {minute: 0}}]",
      "kong.yaml:2:42: plugins[0].config.minute: value must be greater than 0" },
    { "servces: []", "kong.yaml:2:1: servces: unknown field (did you mean 'services'?)" },
  }
  for _, case in ipairs(cases) do
    it(case[1]:gsub("\n", " "), function()
      local got = fixture.problems(case[1])
      table.sort(got)
      assert.same({ unpack(case, 2) }, got)
    end)
  end

  it("tells an unusable plugin schema", function()
    local lines = fixture.problems("plugins: [{name: x}]", {}, {
      plugin_schema = function() return { fields = { { config = { type = "strng" } } } } end })
    assert.same({ "kong.yaml:2:12: plugins[0].name: plugin 'x' cannot be used: plugin.config: unknown type "
      .. "'strng' (correct plugins/x/schema.lua)" }, lines)
  end)

  it("does not tell a reference to an entity with other mistakes as dangling", function()
    local lines = fixture.problems("services: [{name: s}]\nroutes: [{paths: [/a], service: s}]")
    assert.same({ "kong.yaml:2:12: services[0].host: required field missing (add 'host' or 'url')" }, lines)
  end)

  it("tells all mistakes of all files in one run, in order", function()
    local document, problems = fixture.load_files({
      { file = "b.yaml", text = '_format_version: "3.0"\nservices: [{port: -1, host: h}]\nroutes: [{paths: [x]}]' },
      { file = "a.yaml", text = '_format_version: "3.0"\nplugins: [{name: nope}]\nconsumers: [{}]' },
    })
    local places = {}
    for i, problem in ipairs(problems) do
      places[i] = problem.file .. ":" .. problem.line .. " " .. problem.path
    end
    assert.is_nil(document)
    assert.same({ "b.yaml:2 services[0].port", "b.yaml:3 routes[0].paths[0]", "a.yaml:2 plugins[0].name",
      "a.yaml:3 consumers[0]" }, places)
  end)
end)

describe("links: what is joined", function()
  it("refers by name, by id and by nesting", function()
    local document, problems = fixture.load([[
services:
  - {name: one, host: h}
  - {name: two, host: h, id: fd02801f-0957-4a15-a55a-c8d9606f30b5, routes: [{name: c, paths: [/c]}]}
routes:
  - {name: a, paths: [/a], service: one}
  - {name: b, paths: [/b], service: {id: fd02801f-0957-4a15-a55a-c8d9606f30b5}}
  - {name: d, paths: [/d]}
]])
    assert.same({}, fixture.lines(problems))
    local seen = {}
    for i, route in ipairs(document.routes) do
      seen[i] = { route.name, route.service }
    end
    assert.same({ { "c", 2 }, { "a", 1 }, { "b", 2 }, { "d", json.null } }, seen)
  end)

  it("puts consumers into groups in all three ways", function()
    local document, problems = fixture.load([[
consumer_groups:
  - name: gold
    consumers: [{username: alice}]
    plugins: [{name: rate-limiting, config: {minute: 5}}]
  - name: silver
consumers:
  - username: alice
    groups: [{name: silver}]
  - username: bob
consumer_group_consumers: [{consumer: bob, consumer_group: silver}]
consumer_group_plugins: [{name: rate-limiting, consumer_group: silver, config: {minute: 1}}]
]])
    assert.same({}, fixture.lines(problems))
    local groups = document.consumers[1].consumer_groups
    table.sort(groups)
    assert.same({ 1, 2 }, groups)
    assert.same({ 2 }, document.consumers[2].consumer_groups)
    assert.same({ 1, 2 }, { document.plugins[1].consumer_group, document.plugins[2].consumer_group })
  end)

  it("takes credentials at the top level", function()
    local document, problems = fixture.load([[
consumers: [{username: alice}]
keyauth_credentials: [{key: k, consumer: alice}]
acls: [{group: admin, consumer: {username: alice}}]
]])
    assert.same({}, fixture.lines(problems))
    assert.equal(1, document.credentials[1].consumer)
    assert.same({ "admin" }, document.consumers[1].groups)
  end)

  it("leaves out what is disabled, with everything under it", function()
    local document = fixture.load([[
services:
  - {name: off, host: h, enabled: false, routes: [{name: r, paths: [/r], plugins: [{name: prometheus}]}]}
  - {name: on, host: h, routes: [{name: s, paths: [/s], plugins: [{name: prometheus, enabled: false}]}]}
plugins: [{name: prometheus}]
]])
    assert.equal("on", document.services[1].name)
    assert.same({ 1, 1, 1 }, { #document.services, #document.routes, #document.plugins })
    assert.is_true(document.services[1].enabled)
    assert.same({ 1, json.null }, { document.routes[1].service, document.plugins[1].route })
  end)
end)

describe("links: identifiers", function()
  local text = "services: [{name: a, host: h}]\nroutes: [{paths: [/x]}, {paths: [/y]}, {paths: [/x]}]"

  it("are version 5 UUIDs, the same on every load and all different", function()
    local first, second = fixture.load(text), fixture.load(text)
    assert.matches("^%x+%-%x+%-5%x%x%x%-[89ab]%x%x%x%-%x+$", first.services[1].id)
    local seen = {}
    for i, route in ipairs(first.routes) do
      assert.equal(route.id, second.routes[i].id)
      assert.is_nil(seen[route.id])
      seen[route.id] = true
    end
  end)

  it("stay when other entities come and go", function()
    local before = fixture.load("routes: [{name: r, paths: [/x]}]").routes[1].id
    local after = fixture.load("routes: [{name: q, paths: [/q]}, {name: r, paths: [/z]}]").routes[2].id
    assert.equal(before, after)
  end)

  it("follow RFC 9562 for the given namespace and name", function()
    local wanted = require("moongate.config.uuid").generate("services", "a", require("moongate.util.sha1").hex)
    assert.equal(wanted, fixture.load(text).services[1].id)
    assert.equal("5", wanted:sub(15, 15))
  end)

  it("use the hash function that was handed in", function()
    local calls = 0
    fixture.load(text, {}, { sha1 = function()
      calls = calls + 1
      return ("%040x"):format(calls)
    end })
    assert.equal(4, calls)
  end)
end)

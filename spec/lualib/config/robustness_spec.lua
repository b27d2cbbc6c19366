-- No value in any place of a file makes the loader raise: each place of a full configuration is
-- replaced by each kind of odd value, and the answer must be a document or problems with a place.

local fixture = require("lualib.config.fixture")
local json = require("moongate.util.json_encode")
local read_yaml = require("lualib.config.read_yaml")

local FULL = [[
_format_version: "3.0"
_info: {select_tags: [t], defaults: {service: {retries: 1}, upstream: {healthchecks: {threshold: 1}}}}
_plugin_configs: {limits: {minute: 60}}
_workspace: w
services:
  - url: https://h.example/base
    name: s
    routes:
      - name: r
        paths: ["/a", "~/v1"]
        headers: {X-A: ["1"]}
        sources: [{ip: 10.0.0.0/8, port: 1}]
        plugins: [{name: rate-limiting, _config: limits, config: {second: 1}, ordering: {before: {access: [x]}}}]
routes: [{paths: [/b], service: {name: s}}]
consumers:
  - username: a
    tags: [x]
    groups: [{name: gold}]
    keyauth_credentials: [{key: k}]
    jwt_secrets: [{key: j, secret: s}]
    acls: [{group: g}]
consumer_groups: [{name: gold, consumers: [a]}]
consumer_group_consumers: [{consumer: a, consumer_group: gold}]
upstreams: [{name: u, targets: [{target: "h:1"}], healthchecks: {active: {healthy: {interval: 1}}}}]
vaults: [{prefix: my, name: env, config: {prefix: A}}]
certificates: [{cert: "{vault://my/c}", key: "{vault://my/k}", snis: [{name: a.example}, b.example]}]
plugins:
  - name: ai-proxy
    config: {route_type: llm/v1/chat, model: {provider: p, name: n}, auth: {header_name: A, header_value: "$KEY"}}
]]

local ODD = { json.null, false, 7, -1.5, "", "x", "{vault://env/x}", "$KEY", {}, { 1 }, { a = 1 }, { {} },
  { { { name = 1 } } }, { json.null }, { [1] = "x", y = 2 } }

local ENVIRONMENT = { KEY = "k", AC = "-----BEGIN CERTIFICATE-----", AK = "-----BEGIN PRIVATE KEY-----" }

local function collect_places(value, out)
  if type(value) == "table" and value ~= json.null then
    for key, item in pairs(value) do
      out[#out + 1] = { holder = value, key = key }
      collect_places(item, out)
    end
  end
  return out
end

local function load_tree(tree, positions)
  return fixture.load_files({ { file = "kong.yaml", tree = tree, positions = positions } }, ENVIRONMENT)
end

describe("loader: any value in any place", function()
  local tree, positions, places

  before_each(function()
    tree, positions = read_yaml(FULL)
    places = collect_places(tree, {})
  end)

  it("starts from a configuration without errors", function()
    local document, problems = load_tree(tree, positions)
    assert.is_table(document, table.concat(fixture.lines(problems), "\n"))
    assert.is_true(#places > 100)
  end)

  for index, odd in ipairs(ODD) do
    it("takes odd value " .. index .. " (" .. type(odd) .. ")", function()
      for _, place in ipairs(places) do
        local original = place.holder[place.key]
        place.holder[place.key] = odd
        local document, problems = load_tree(tree, positions)
        place.holder[place.key] = original
        assert.is_true(document ~= nil or #problems > 0)
        if document then
          assert.is_string(json(document))
        end
        for _, line in ipairs(fixture.lines(problems)) do
          assert.matches("^kong%.yaml:", line)
        end
      end
    end)
  end

  it("takes every place missing", function()
    for _, place in ipairs(places) do
      local original = place.holder[place.key]
      place.holder[place.key] = nil
      local document, problems = load_tree(tree, positions)
      place.holder[place.key] = original
      assert.is_true(document ~= nil or #problems > 0)
    end
  end)
end)

-- key-injection in a gateway: what the upstream gets, and who never sees it.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local SECRET = "Bearer our-secret-7731"

local MORE = [[
routes:
- name: query
  paths: ["/query"]
  strip_path: false
  service: {name: app}
  plugins:
  - name: key-injection
    config: {param_name: key, param_value: "{vault://env/upstream-key}", param_location: query}
- name: body
  paths: ["/body"]
  service: {name: app}
  plugins:
  - name: key-injection
    config: {param_name: api_key, param_value: "{vault://env/upstream-key}", param_location: body}
- name: unset
  paths: ["/unset"]
  service: {name: app}
  plugins:
  - name: key-injection
    config: {header_name: X-Token, header_value: "{vault://env/empty-key}"}
]]

describe("key-injection", function()
  local gw, up

  setup(function()
    gw, up = site.start({
      env = { UPSTREAM_KEY = "our-secret-7731", EMPTY_KEY = "" },
      route = "plugins:\n- name: key-injection\n  config: {header_name: X-Up-Token, header_value: \"" .. SECRET .. "\"}",
      more = MORE,
    })
    gw:expect_error("config.header_value is empty")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("gives the upstream its key and none of the client's", function()
    local seen = client.get(gw, "/a?b=1&api%6Bey=mine&key=mine", { Authorization = "Bearer mine", apikey = "mine",
      ["X-Api-Key"] = "mine", ["X-Up-Token"] = { "mine", "mine" } }):json()
    assert.same(SECRET, seen.headers["x-up-token"])
    assert.same("/a?b=1", seen.target)
    assert.same({}, { seen.headers.authorization, seen.headers.apikey, seen.headers["x-api-key"] })
  end)

  it("puts it in the query", function()
    assert.same("/query?a=%7E&key=our-secret-7731", client.get(gw, "/query?a=%7E&key=mine"):json().target)
    assert.same("/query?key=our-secret-7731", client.get(gw, "/query"):json().target)
  end)

  it("splices it into a JSON body", function()
    local response = client.request({ to = gw, method = "POST", path = "/body",
      headers = { ["Content-Type"] = "application/json" }, body = '{"n":12345678901234567890, "api_key":"mine"}' })
    assert.same('{"n":12345678901234567890, "api_key":"our-secret-7731"}', response:json().body)
  end)

  it("refuses a body that cannot carry it", function()
    local response = client.request({ to = gw, method = "POST", path = "/body",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }, body = "a=1" })
    assert.gateway_error(415, response)
    assert.same("request body cannot carry the upstream's credential: it must be JSON (Content-Type: application/json)",
      response:json().message)
    assert.gateway_error(400, client.get(gw, "/body"))
  end)

  it("sends nothing without its secret", function()
    local before = #up.requests
    assert.gateway_error(500, client.get(gw, "/unset"))
    assert.same(before, #up.requests)
  end)

  it("leaves the secret out of every log", function()
    client.get(gw, "/logged")
    local entry = gw:wait_access(function(e) return e.request.uri == "/logged" end)
    assert.same("REDACTED", entry.request.headers["x-up-token"])
    local logged = require("cjson").encode(gw:access_log()) .. gw:errors()
    assert.is_nil(logged:find("7731", 1, true))
  end)
end)

-- request-termination in a gateway: answers on the wire.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local ROUTE = [[
plugins:
- name: request-termination
  config: {trigger: x-stop, status_code: 418, message: 'tea "time"'}
]]

local MORE = [[
routes:
- name: down
  paths: ["/down"]
  plugins: [{name: request-termination}]
- name: page
  paths: ["/page"]
  plugins:
  - name: request-termination
    config: {status_code: 200, content_type: "text/html; charset=utf-8", body: "<h1>soon</h1>"}
- name: quiet
  paths: ["/quiet"]
  plugins: [{name: request-termination, config: {status_code: 204}}]
- name: echo
  paths: ["~/echo/(?<name>\\w+)"]
  plugins:
  - {name: request-termination, config: {status_code: 200, echo: true}}
  - {name: key-injection, config: {header_name: X-Token, header_value: "our secret"}}
]]

describe("request-termination", function()
  local gw, up

  setup(function()
    gw, up = site.start({ route = ROUTE, more = MORE })
  end)

  teardown(function()
    assert.same(1, #up.requests)
    site.stop(gw, up)
  end)

  it("answers by itself with compact JSON and no request id", function()
    local response = client.get(gw, "/down")
    assert.status(503, response)
    assert.same('{"message":"Service unavailable"}', response.body)
    assert.header("application/json; charset=utf-8", response, "Content-Type")
  end)

  it("answers with a page, and with nothing", function()
    local response = client.get(gw, "/page")
    assert.same({ 200, "<h1>soon</h1>", "text/html; charset=utf-8" },
      { response.status, response.body, response:header("Content-Type") })
    response = client.get(gw, "/quiet")
    assert.same({ 204, "" }, { response.status, response.body })
  end)

  it("sends HEAD the same head without a body, and goes on on the connection", function()
    local c = client.connect(gw)
    local response = c:request({ method = "HEAD", path = "/page" })
    assert.same({ 200, "", "13" }, { response.status, response.body, response:header("Content-Length") })
    assert.same("<h1>soon</h1>", c:request({ path = "/page" }).body)
    c:close()
  end)

  it("answers only triggered requests when it has a trigger", function()
    assert.status(200, client.get(gw, "/"))
    for _, response in ipairs({ client.get(gw, "/", { ["X-Stop"] = "1" }), client.get(gw, "/?x-stop") }) do
      assert.same({ 418, '{"message":"tea \\"time\\""}' }, { response.status, response.body })
    end
  end)

  it("echoes the request, without what is injected for upstreams", function()
    local response = client.request({ to = gw, method = "POST", path = "/echo/me?a=1&a=2&b",
      headers = { ["Content-Type"] = "application/json", ["X-Mine"] = { "1", "2" } }, body = '{"l":[],"n":1}' })
    assert.status(200, response)
    local seen = response:json()
    assert.same({ "POST", "/echo/me", "http", gw.port, '{"l":[],"n":1}' }, { seen.request.method,
      seen.request.path, seen.request.scheme, seen.request.port, seen.request.raw_body })
    assert.same({ a = { "1", "2" }, b = true }, seen.request.query)
    assert.same({ "1", "2" }, seen.request.headers["x-mine"])
    assert.same({ name = "me" }, seen.request.uri_captures.named)
    assert.same("me", seen.request.uri_captures.unnamed["1"])
    assert.matches('"l":[]', response.body, 1, true)
    assert.same("echo", seen.matched_route.name)
    assert.is_string(seen.kong.node_id)
    assert.is_nil(response.body:find("our secret", 1, true))
  end)
end)

-- request-transformer and response-transformer in a gateway.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local MORE = [[
routes:
- name: request
  paths: ["~/request/(?<name>\\w+)"]
  service: {name: app}
  plugins:
  - name: request-transformer
    config:
      remove: {headers: [x-remove], querystring: [gone], body: [secret]}
      rename: {headers: ["x-old:x-new"]}
      replace: {uri: "/to/$(uri_captures.name)", headers: ["host:other.test"]}
      add:
        headers: ["x-from:$(headers['x-remove'])/$(query_params.q)"]
        querystring: ["added:$(headers.host)"]
        body: ["tenant:t1"]
- name: method
  paths: ["/method"]
  service: {name: app}
  plugins:
  - name: request-transformer
    config: {http_method: GET}
- name: broken
  paths: ["/broken"]
  service: {name: app}
  plugins:
  - name: request-transformer
    config: {add: {headers: ["x:$(headers.a.b.c)"]}}
- name: response
  paths: ["/response"]
  service: {name: app}
  plugins:
  - name: response-transformer
    config:
      remove: {headers: [x-secret], json: [secret]}
      replace: {json: ["n:2"], json_types: [number]}
      add: {headers: ["x-added:1"], json: ["ok:true"]}
]]

describe("transformers", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE })
    gw:expect_error("attempt to index")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(nil)
  end)

  it("change what the upstream gets", function()
    local seen = client.request({ to = gw, method = "POST", path = "/request/me?q=1&gone=x&z=%7e",
      headers = { ["X-Remove"] = "r", ["X-Old"] = "o", ["Content-Type"] = "application/json" },
      body = '{"n":12345678901234567890,"secret":1}' }):json()
    assert.same("/to/me?q=1&z=%7e&added=gateway.test", seen.target)
    assert.same({ "o", "r/1", "other.test" }, { seen.headers["x-new"], seen.headers["x-from"], seen.headers.host })
    assert.is_nil(seen.headers["x-remove"])
    assert.same('{"n":12345678901234567890,"tenant":"t1"}', seen.body)
    assert.same(tostring(#seen.body), seen.headers["content-length"])
  end)

  it("turn a form into a query", function()
    local seen = client.request({ to = gw, method = "POST", path = "/method?q=1", body = "a=1&b=2",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } }):json()
    assert.same({ "GET", "/?q=1&a=1&b=2" }, { seen.method, seen.target })
  end)

  it("send nothing when a template fails", function()
    local before = #up.requests
    assert.gateway_error(500, client.get(gw, "/broken"))
    assert.same(before, #up.requests)
  end)

  it("change headers and JSON of responses, in one piece or chunked", function()
    local headers = { ["Content-Type"] = "application/json", ["X-Secret"] = "s" }
    local body = '{"n":1,"big":12345678901234567890,"secret":"x","l":[]}'
    for _, answer in ipairs({ { headers = headers, body = body },
      { headers = headers, chunks = { body:sub(1, 10), body:sub(11) } } }) do
      up:answer(answer)
      local response = client.get(gw, "/response")
      assert.same('{"n":2,"big":12345678901234567890,"l":[],"ok":"true"}', response.body)
      assert.same({ "1" }, { response:header("x-added"), response:header("x-secret") })
    end
  end)

  it("leave other bodies and their length alone", function()
    up:answer({ headers = { ["Content-Type"] = "text/plain" }, body = "n:1" })
    local response = client.get(gw, "/response")
    assert.same({ "n:1", "3", "1" }, { response.body, response:header("content-length"), response:header("x-added") })
  end)

  it("know HEAD", function()
    local response = client.request({ to = gw, method = "HEAD", path = "/response" })
    assert.same({ 200, "1" }, { response.status, response:header("x-added") })
  end)
end)

-- request-validator in a gateway.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local site = require("e2e.support.site")

local MORE = [[
routes:
- name: draft4
  paths: ["~/draft4/(?<id>[^/]+)$"]
  service: {name: app}
  plugins:
  - name: request-validator
    config:
      version: draft4
      verbose_response: true
      allowed_content_types: [application/json, text/plain]
      body_schema: |
        {"definitions": {"name": {"type": "string", "pattern": "^[a-z]+$"}},
         "type": "object", "properties": {"name": {"$ref": "#/definitions/name"}}, "required": ["name"]}
      parameter_schema:
      - {in: path, name: id, required: true, style: simple, explode: false, schema: '{"type":"integer"}'}
- name: kong
  paths: ["/kong"]
  service: {name: app}
  plugins:
  - name: request-validator
    config: {body_schema: '[{"name":{"type":"string","required":true}}]'}
]]

describe("request-validator", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local function post(path, body, mime)
    local response = client.request({ to = gw, method = "POST", path = path, body = body,
      headers = { ["Content-Type"] = mime or "application/json" } })
    return { response.status, response.status == 400 and response:json().message or nil }
  end

  it("lets pass what its schema describes, and refuses the rest", function()
    local before = #up.requests
    assert.same({ 200 }, post("/draft4/1", '{"name":"abc"}'))
    assert.same({ 200 }, post("/draft4/1", "anything", "text/plain"))
    assert.same(before + 2, #up.requests)
    assert.same({ 400, 'property \'name\': failed to match pattern "^[a-z]+$"' }, post("/draft4/1", '{"name":"ABC"}'))
    assert.same({ 400, "property 'name' is required" }, post("/draft4/1", "{}"))
    assert.same({ 400, "request body is not valid JSON" }, post("/draft4/1", "{"))
    assert.same({ 400, "specified Content-Type is not allowed" }, post("/draft4/1", "{}", "text/html"))
    assert.same({ 400, "path 'id' validation failed, [error] wrong type: expected integer, got string" },
      post("/draft4/x", '{"name":"abc"}'))
    assert.same(before + 2, #up.requests)
  end)

  it("knows Kong's schemas, and is quiet unless told otherwise", function()
    assert.same({ 200 }, post("/kong", '{"name":"abc"}'))
    assert.same({ 400, "request body doesn't conform to schema" }, post("/kong", "{}"))
  end)

  it("is refused with a broken schema, by file and line", function()
    local run = gateway.command({ "-t" }, { config = site.config("http://a.test", {
      more = "plugins:\n- name: request-validator\n  config: {version: draft4, body_schema: '{\"type\":\"strin\"}'}\n" }) })
    assert.are_not.equal(0, run.code)
    assert.matches("not a valid JSON schema: type 'strin' is unknown", run.output, 1, true)
  end)
end)

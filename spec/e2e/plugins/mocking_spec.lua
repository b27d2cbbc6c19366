-- mocking in a gateway: specifications in YAML and JSON, inline and in a file.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")

local CONFIG = [[
_format_version: "3.0"
services:
- name: app
  url: http://127.0.0.1:1
  routes:
  - name: yaml
    paths: ["/yaml"]
    strip_path: false
    plugins:
    - name: mocking
      config:
        include_base_path: true
        api_specification: |
          openapi: 3.0.0
          servers: [{url: "https://api.test/yaml"}]
          paths:
            /users/{id}:
              get:
                responses:
                  "200":
                    content:
                      application/json:
                        example: {name: Ann, tags: [], age: null}
  - name: file
    paths: ["/file"]
    plugins:
    - name: mocking
      config: {api_specification_filename: "%s", include_base_path: true, custom_base_path: /file}
]]

describe("mocking", function()
  local gw, file

  setup(function()
    file = os.tmpname()
    local handle = assert(io.open(file, "w"))
    handle:write('{"swagger":"2.0","paths":{"/x":{"get":{"responses":{"201":{"examples":{"text/plain":"hello"}}}}}}}')
    handle:close()
    gw = gateway.start({ config = CONFIG:format(file) })
  end)

  teardown(function()
    gw:stop()
    os.remove(file)
  end)

  it("answers without the upstream", function()
    local response = client.get(gw, "/yaml/users/7")
    assert.same({ 200, '{"age":null,"name":"Ann","tags":[]}', "application/json", "true" }, { response.status, response.body,
      response:header("content-type"), response:header("x-kong-mocking-plugin") })
    response = client.get(gw, "/file/x")
    assert.same({ 201, "hello", "text/plain" }, { response.status, response.body, response:header("content-type") })
  end)

  it("says what there is not", function()
    local response = client.get(gw, "/yaml/none")
    assert.same({ 404, '{"message":"Path does not exist in API Specification"}' }, { response.status, response.body })
  end)

  it("still answers after a reload", function()
    gw:reload()
    assert.status(200, client.get(gw, "/yaml/users/7"))
  end)
end)

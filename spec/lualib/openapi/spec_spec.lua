local json = require "moongate.pdk.json"
local sample = require "moongate.openapi.sample"
local Spec = require "moongate.openapi.spec"

local function spec(text, base)
  return assert(Spec.new(assert(json.decode(text)), base))
end

local PATHS = [[{"servers":[{"url":"https://api.test/v1/"}],"paths":{
  "/users/{id}":{"get":{"operationId":"one"}}, "/users/me":{"get":{"operationId":"me"}},
  "/a.b/{x}-{y}":{"$ref":"#/components/item"}},
  "components":{"item":{"put":{"operationId":"ref"}}}}]]

describe("openapi.spec", function()
  it("finds operations, literal paths first", function()
    local document = spec(PATHS)
    for path, id in pairs({ ["/users/me"] = "me", ["/users/5"] = "one", ["/users/5/"] = "one" }) do
      assert.same(id, document:find("GET", path).operationId)
    end
    assert.same("ref", document:find("PUT", "/a.b/1-2").operationId)
    for _, case in ipairs({ { "GET", "/users", "path" }, { "GET", "/users/1/2", "path" }, { "GET", "/aXb/1-2", "path" },
      { "POST", "/users/5", "method" }, { "GET", "/a.b/1-2", "method" }, { "PARAMETERS", "/users/5", "method" } }) do
      assert.same({ nil, case[3] }, { document:find(case[1], case[2]) })
    end
  end)

  it("knows base paths", function()
    assert.same("me", spec(PATHS, true):find("GET", "/v1/users/me").operationId)
    assert.same("me", spec(PATHS, "/x"):find("GET", "/x/users/me").operationId)
    assert.is_nil((spec(PATHS, true):find("GET", "/users/me")))
    assert.same("s", spec('{"basePath":"/b","paths":{"/":{"get":{"operationId":"s"}}}}', true):find("GET", "/b/").operationId)
  end)

  it("gives responses and their contents, through references", function()
    local document = spec([[{"paths":{},"r":{"content":{"text/plain":{"example":"t"},
      "application/json":{"examples":{"b":{"value":2},"a":{"$ref":"#/e"}},"schema":{"$ref":"#/s"}}}},
      "e":{"value":1},"s":{"type":"string"}}]])
    local responses = document:responses({ responses = { default = {}, ["404"] = {}, ["2XX"] = { ["$ref"] = "#/r" }, [201] = {} } })
    local statuses = {}
    for i, one in ipairs(responses) do
      statuses[i] = one.status .. one.code
    end
    assert.same({ "2002XX", "200default", "201201", "404404" }, statuses)
    assert.same({ { mime = "application/json", examples = { { id = "a", value = 1 }, { id = "b", value = 2 } },
      schema = { type = "string" } }, { mime = "text/plain", examples = { { value = "t" } } } },
      document:contents(responses[1].response))
    assert.same({ { mime = "application/json", examples = { { value = { x = 1 } } } } },
      document:contents({ examples = { ["application/json"] = { x = 1 } } }))
    assert.same({}, document:contents({ description = "none" }))
  end)

  it("survives references that lead nowhere or in circles", function()
    local document = spec('{"paths":{},"a":{"$ref":"#/b"},"b":{"$ref":"#/a"}}')
    for _, reference in ipairs({ "#/a", "#/x/y", "http://a.test#/b" }) do
      assert.is_nil(document:deref({ ["$ref"] = reference }))
    end
  end)

  it("refuses what is none", function()
    assert.same("not an API specification: it has no paths", select(2, Spec.new({})))
  end)
end)

describe("openapi.sample", function()
  local document = spec([[{"paths":{},"node":{"type":"object","properties":{"v":{"type":"integer","minimum":2},
    "next":{"$ref":"#/node"}}}}]])

  for schema, value in pairs({
    ['{"example":{"a":1},"type":"object"}'] = '{"a":1}',
    ['{"type":"string"}'] = '"string"', ['{"type":"string","format":"date"}'] = '"2024-01-01"',
    ['{"enum":["x","y"]}'] = '"x"', ['{"type":"boolean","default":false}'] = "false",
    ['{"type":"array","items":{"type":"number"}}'] = "[0]", ['{"type":"array"}'] = "[]",
    ['{"properties":{"a":{"type":"null"},"b":{"type":["integer","null"]}}}'] = '{"a":null,"b":0}',
    ['{"allOf":[{"properties":{"a":{"example":1}}},{"properties":{"b":{"example":2}}}]}'] = '{"a":1,"b":2}',
    ['{"oneOf":[{"example":1},{"example":2}]}'] = "1",
  }) do
    it("makes a value for " .. schema, function()
      assert.same(value, json.encode(sample(json.decode(schema), document)))
    end)
  end

  it("ends where a schema holds itself", function()
    assert.matches('^{"next":{"next":.*"v":2}', json.encode(sample({ ["$ref"] = "#/node" }, document)))
    assert.is_nil(sample({}, document))
  end)
end)

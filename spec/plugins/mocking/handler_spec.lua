local json = require "moongate.pdk.json"
local traffic = require "plugins.fake_traffic"

local SPEC = [[{"paths":{"/users/{id}":{"get":{"responses":{
  "200":{"content":{"application/json":{"examples":{"ann":{"value":{"name":"Ann"}},"bob":{"value":{"name":"Bob"}}}},
    "text/plain":{"example":"Ann"}, "application/xml":{"example":"<a/>"}}},
  "404":{"content":{"application/json":{"schema":{"properties":{"error":{"type":"string"}}}}}},
  "204":{"description":"empty"}}},
  "delete":{"responses":{"200":{"content":{"application/json":{}}}}},
  "put":{"responses":{"200":{"content":{"application/json":{"example":"{\"a\":1}"}}},
    "201":{"content":{"application/json":{"example":"text"}}}}}}}}]]

describe("mocking", function()
  local plugin, slept

  before_each(function()
    slept = nil
    plugin = traffic.new("mocking", { ["moongate.abi.wait"] = { sleep = function(s) slept = s end,
      timer_at = function() return 1 end, timer_every = function() return 1 end },
      ["moongate.abi.yaml"] = { parse = function(text)
        if text == "broken" then
          return nil, "line 1, column 1: broken"
        end
        return json.decode(SPEC)
      end } })
  end)

  local function ask(config, headers, more)
    local conf = { api_specification = SPEC, random_status_code = false, include_base_path = false }
    for name, value in pairs(config or {}) do
      conf[name] = value
    end
    plugin.handler:configure({ conf })
    local spec = { path = "/users/1", headers = headers }
    for name, value in pairs(more or {}) do
      spec[name] = value
    end
    local answer = plugin:access(conf, spec)
    return { answer.status, answer.body or answer.message, answer.content_type }
  end

  it("answers with an example of the lowest status", function()
    local answer = ask()
    assert.same({ 200, "application/json" }, { answer[1], answer[3] })
    assert.matches('^{"name":"%a+"}$', answer[2])
    assert.same("true", plugin:answered("X-Kong-Mocking-Plugin"))
    assert.same(200, ask({ api_specification = "paths:" })[1])
  end)

  it("follows Accept", function()
    for accept, mime in pairs({ ["text/plain"] = "text/plain", ["text/*;q=0.5, application/xml"] = "application/xml",
      ["image/png"] = "application/json", ["*/*;q=0.1, text/plain;q=0"] = "application/json" }) do
      assert.same(mime, ask(nil, { Accept = accept })[3])
    end
    assert.same({ 200, "Ann", "text/plain" }, ask(nil, { Accept = "text/plain" }))
  end)

  it("follows its own headers", function()
    assert.same({ 200, '{"name":"Bob"}', "application/json" }, ask(nil, { ["X-Kong-Mocking-Example-Id"] = "bob" }))
    assert.same({ 404, '{"error":"string"}', "application/json" }, ask(nil, { ["X-Kong-Mocking-Status-Code"] = "404" }))
    assert.same(204, ask(nil, { ["X-Kong-Mocking-Status-Code"] = "204" })[1])
    local none = { 404, '{"message":"No examples exist in API specification for this resource"}' }
    for name, value in pairs({ ["X-Kong-Mocking-Example-Id"] = "eve", ["X-Kong-Mocking-Status-Code"] = "500" }) do
      local answer = ask(nil, { [name] = value })
      assert.same(none, { answer[1], answer[2] })
    end
    ask(nil, { ["X-Kong-Mocking-Delay"] = "250" })
    assert.same(0.25, slept)
    slept = nil
    ask(nil, { ["X-Kong-Mocking-Delay"] = "10001" })
    assert.is_nil(slept)
  end)

  it("chooses among the statuses that may be", function()
    assert.same(404, ask({ included_status_codes = { 404, 500 } })[1])
    for _ = 1, 20 do
      assert.is_true(({ [200] = true, [204] = true })[ask({ included_status_codes = { 200, 204 }, random_status_code = true })[1]])
    end
  end)

  it("waits for a random time", function()
    ask({ random_delay = true, min_delay_time = 0.1, max_delay_time = 0.2 })
    assert.is_true(slept >= 0.1 and slept <= 0.2)
  end)

  it("sends JSON texts as they are, and other texts as JSON", function()
    assert.same('{"a":1}', ask(nil, nil, { method = "PUT" })[2])
    assert.same('"text"', ask({ included_status_codes = { 201 } }, nil, { method = "PUT" })[2])
  end)

  it("says what the specification does not have", function()
    for _, case in ipairs({
      { { path = "/none" }, "Path does not exist in API Specification" },
      { { method = "POST" }, "Corresponding path and method spec does not exist in API Specification" },
      { { method = "DELETE" }, "No examples exist in API specification for this resource" },
    }) do
      local answer = ask(nil, nil, case[1])
      assert.same({ 404, '{"message":"' .. case[2] .. '"}' }, { answer[1], answer[2] })
    end
  end)

  it("answers 500 where the specification is none, and says why once", function()
    for _, config in ipairs({ { api_specification = "broken" }, { api_specification = "{}" }, { api_specification = "{" } }) do
      assert.same(500, ask(config)[1])
    end
    local conf = { api_specification_filename = "/no/such/file" }
    plugin:request()
    plugin.handler:configure({ conf })
    assert.matches("the API specification cannot be used: /no/such/file", plugin.fake.logged[1].text, 1, true)
  end)
end)

local fake = require "plugins.fake_gateway"

local function access(conf, spec)
  return fake.run(fake.new("request-termination", spec or {}), "access", conf)
end

describe("request-termination", function()
  it("answers with the status's own message", function()
    for status, message in pairs({ [401] = "Unauthorized", [404] = "Not found", [405] = "Method not allowed",
      [500] = "An unexpected error occurred", [502] = "Bad Gateway", [503] = "Service unavailable" }) do
      assert.same({ status = status, body = { message = message } }, access({ status_code = status }))
    end
  end)

  it("answers with a message or a body", function()
    assert.same({ status = 418, body = { message = "tea" } }, access({ status_code = 418, message = "tea" }))
    assert.same({ status = 200, body = "<p>", headers = { ["Content-Type"] = "text/html" } },
      access({ status_code = 200, body = "<p>", content_type = "text/html" }))
    assert.same("application/json; charset=utf-8",
      access({ status_code = 200, body = "{}" }).headers["Content-Type"])
    assert.same({ status = 200 }, access({ status_code = 200 }))
  end)

  it("waits for its trigger", function()
    local conf = { status_code = 503, trigger = "x-stop" }
    assert.is_nil(access(conf))
    assert.same(503, access(conf, { headers = { ["X-Stop"] = "" } }).status)
    assert.same(503, access(conf, { args = { ["x-stop"] = true } }).status)
  end)
end)

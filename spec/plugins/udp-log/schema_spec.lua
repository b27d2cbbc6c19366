local check = require "plugins.schema_check"

describe("udp-log schema", function()
  local process = check.open("udp-log")

  it("has Kong's defaults", function()
    local out = process({ host = "logs.test", port = 514 })
    assert.same({ "logs.test", 514, 10000 }, { out.host, out.port, out.timeout })
  end)

  it("wants host and port", function()
    local _, failed = process({})
    assert.same({ host = "required field missing", port = "required field missing" }, failed)
    _, failed = process({ host = "logs.test", port = 65536 })
    assert.same({ port = "value should be between 0 and 65535" }, failed)
  end)
end)

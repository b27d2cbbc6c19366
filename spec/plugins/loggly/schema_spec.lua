local check = require "plugins.schema_check"

describe("loggly schema", function()
  local process = check.open("loggly")

  it("has Kong's defaults", function()
    assert.same({ host = "logs-01.loggly.com", port = 514, key = "k", tags = { "kong" }, log_level = "info",
      successful_severity = "info", client_errors_severity = "info", server_errors_severity = "info", timeout = 10000 },
      process({ key = "k" }))
  end)

  it("wants a key", function()
    local _, failed = process({})
    assert.same({ key = "required field missing" }, failed)
  end)
end)

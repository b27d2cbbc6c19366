local check = require "plugins.schema_check"

describe("syslog schema", function()
  local process = check.open("syslog")

  it("has Kong's defaults", function()
    assert.same({ log_level = "info", successful_severity = "info", client_errors_severity = "info",
      server_errors_severity = "info", facility = "user" }, process({}))
  end)

  it("knows severities and facilities", function()
    local _, failed = process({ log_level = "loud", facility = "local8" })
    assert.matches("expected one of: debug, info", failed.log_level, 1, true)
    assert.matches("expected one of: auth, ", failed.facility, 1, true)
  end)
end)

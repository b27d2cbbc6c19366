local check = require "plugins.schema_check"

describe("correlation-id schema", function()
  local process = check.open("correlation-id")

  it("fills Kong's defaults", function()
    assert.same({ header_name = "Kong-Request-ID", generator = "uuid#counter", echo_downstream = false }, process({}))
  end)

  it("refuses other generators", function()
    local _, errors = process({ generator = "snowflake" })
    assert.same({ generator = "expected one of: uuid, uuid#counter, tracker" }, errors)
  end)
end)

local check = require "plugins.schema_check"

describe("request-size-limiting schema", function()
  local process = check.open("request-size-limiting")

  it("fills Kong's defaults", function()
    assert.same({ allowed_payload_size = 128, size_unit = "megabytes", require_content_length = false }, process({}))
  end)

  it("refuses other units and fractions", function()
    local _, errors = process({ size_unit = "gigabytes", allowed_payload_size = 1.5 })
    assert.same({ size_unit = "expected one of: megabytes, kilobytes, bytes",
      allowed_payload_size = "expected an integer" }, errors)
  end)
end)

local check = require "plugins.schema_check"

describe("redirect schema", function()
  local process = check.open("redirect")

  it("fills Kong's defaults", function()
    assert.same({ status_code = 301, location = "https://a.test", keep_incoming_path = false },
      process({ location = "https://a.test" }))
  end)

  it("refuses what is no URL and no status", function()
    local _, errors = process({ location = "/a", status_code = 600 })
    assert.same({ location = "missing scheme in url", status_code = "value should be between 100 and 599" }, errors)
    _, errors = process({})
    assert.same({ location = "required field missing" }, errors)
  end)
end)

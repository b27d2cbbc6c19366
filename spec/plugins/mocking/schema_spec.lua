local check = require "plugins.schema_check"

describe("mocking schema", function()
  local process = check.open("mocking")

  it("fills Kong's defaults", function()
    assert.same({ api_specification = "{}", random_delay = false, max_delay_time = 1, min_delay_time = 0.001,
      random_status_code = false, include_base_path = false }, process({ api_specification = "{}" }))
  end)

  it("wants a specification and delays in order", function()
    local _, errors = process({})
    assert.same("at least one of these fields must be non-empty: 'config.api_specification_filename', "
      .. "'config.api_specification'", errors["@entity"])
    _, errors = process({ api_specification = "{}", random_delay = true, min_delay_time = 2 })
    assert.same("max_delay_time cannot be less than min_delay_time", errors["@entity"])
  end)
end)

local check = require "plugins.schema_check"

describe("ip-restriction schema", function()
  local process = check.open("ip-restriction")

  it("wants a list", function()
    for _, config in ipairs({ {}, { allow = {}, status = 403 } }) do
      local _, failed = process(config)
      assert.same("at least one of these fields must be non-empty: 'config.allow', 'config.deny'", failed["@entity"])
    end
    assert.same({ deny = { "10.0.0.0/8", "::1" } }, process({ deny = { "10.0.0.0/8", "::1" } }))
  end)

  it("refuses what is no address and no status", function()
    local _, failed = process({ allow = { "10.0.0.256" } })
    assert.same("invalid ip or cidr range: '10.0.0.256'", select(2, next(failed)))
    _, failed = process({ allow = { "10.0.0.0/33" } })
    assert.same("invalid ip or cidr range: '10.0.0.0/33'", select(2, next(failed)))
    _, failed = process({ allow = { "::" }, status = 200 })
    assert.same("value should be between 400 and 599", failed.status)
  end)
end)

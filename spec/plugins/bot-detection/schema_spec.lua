local check = require "plugins.schema_check"

describe("bot-detection schema", function()
  local process = check.open("bot-detection")

  it("fills Kong's defaults", function()
    assert.same({ allow = {}, deny = {} }, process({}))
  end)

  it("refuses what is no pattern", function()
    for _, field in ipairs({ "allow", "deny" }) do
      local _, failed = process({ [field] = { "good.*", "bad(" } })
      assert.matches("^not a valid regex: bad%(", select(2, next(failed)))
    end
  end)
end)

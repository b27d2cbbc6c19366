local check = require "plugins.schema_check"

describe("acl schema", function()
  local process = check.open("acl")

  it("fills Kong's defaults", function()
    assert.same({ allow = { "a" }, hide_groups_header = false, always_use_authenticated_groups = false,
      include_consumer_groups = false }, process({ allow = { "a" } }))
  end)

  it("wants allow or deny, not both", function()
    for _, config in ipairs({ {}, { allow = {} }, { allow = { "a" }, deny = { "b" } } }) do
      local _, failed = process(config)
      assert.same("exactly one of these fields must be non-empty: 'config.allow', 'config.deny'", failed["@entity"])
    end
  end)
end)

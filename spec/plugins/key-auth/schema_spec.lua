local check = require "plugins.schema_check"

describe("key-auth schema", function()
  local process = check.open("key-auth")

  it("fills Kong's defaults", function()
    assert.same({
      key_names = { "apikey" }, hide_credentials = true, key_in_header = true, key_in_query = true,
      key_in_body = false, run_on_preflight = true,
    }, process({}))
  end)

  it("refuses names that no header can have", function()
    local _, failed = process({ key_names = { "a key" } })
    assert.matches("^bad header name 'a key'", failed["key_names.1"] or failed.key_names)
  end)

  it("takes Konnect's realms", function()
    local out = process({ identity_realms = { { id = "x", region = "eu", scope = "realm" }, {} } })
    assert.same("cp", out.identity_realms[2].scope)
    local _, failed = process({ identity_realms = { { scope = "moon" } } })
    assert.matches("expected one of: cp, realm", select(2, next(failed)))
  end)
end)

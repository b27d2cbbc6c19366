local check = require "plugins.schema_check"

describe("key-injection schema", function()
  local process = check.open("key-injection")

  it("fills its defaults", function()
    local out = process({ header_name = "Authorization", header_value = "Bearer x" })
    assert.is_false(out.allow_override)
    assert.same({ "Authorization", "Proxy-Authorization", "apikey", "api-key", "x-api-key", "x-goog-api-key" },
      out.remove_headers)
    assert.same({ "apikey", "api_key", "api-key", "key" }, out.remove_query)
  end)

  it("wants a place and a value", function()
    local _, failed = process({})
    assert.same("at least one of these fields must be non-empty: 'config.header_name', 'config.param_name'",
      failed["@entity"])
    _, failed = process({ header_name = "X-Key" })
    assert.same("all or none of these fields must be set: 'config.header_name', 'config.header_value'",
      failed["@entity"])
    _, failed = process({ param_name = "key", param_value = "v" })
    assert.same("all or none of these fields must be set: 'config.param_name', 'config.param_value', "
      .. "'config.param_location'", failed["@entity"])
  end)

  it("takes references to secrets", function()
    assert.is_table(process({ param_name = "key", param_value = "{vault://env/key}", param_location = "body" }))
  end)

  it("refuses names that would need escapes", function()
    local _, failed = process({ param_name = 'a"b', param_value = "v", param_location = "body" })
    assert.same({ param_name = "may hold letters, digits and . _ ~ $ - only" }, failed)
  end)
end)

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
    assert.same("at least one of these fields must be non-empty: 'config.header_name', 'config.param_name', "
      .. "'config.basic', 'config.oauth2'",
      failed["@entity"])
    _, failed = process({ header_name = "X-Key" })
    assert.same("all or none of these fields must be set: 'config.header_name', 'config.header_value'",
      failed["@entity"])
    _, failed = process({ param_name = "key", param_value = "v" })
    assert.same("all or none of these fields must be set: 'config.param_name', 'config.param_value', "
      .. "'config.param_location'", failed["@entity"])
  end)

  it("takes users and OAuth clients, one at a time", function()
    local out = process({ oauth2 = { token_url = "https://id.test/token", client_id = "c", client_secret = "s" } })
    assert.same({ token_url = "https://id.test/token", client_id = "c", client_secret = "s", timeout = 5000,
      auth_method = "client_secret_basic", ssl_verify = true }, out.oauth2)
    local basic = { username = "u", password = "p" }
    assert.same(basic, process({ basic = basic }).basic)
    local _, failed = process({ basic = basic, header_name = "a", header_value = "b" })
    assert.matches("only one or none of these fields must be set", failed["@entity"], 1, true)
    _, failed = process({ basic = { username = "u:v" }, oauth2 = {} })
    assert.same({ "may hold no colon", "required field missing", "required field missing" },
      { failed["basic.username"], failed["basic.password"], failed["oauth2.token_url"] })
  end)

  it("takes references to secrets", function()
    assert.is_table(process({ param_name = "key", param_value = "{vault://env/key}", param_location = "body" }))
  end)

  it("refuses names that would need escapes", function()
    local _, failed = process({ param_name = 'a"b', param_value = "v", param_location = "body" })
    assert.same({ param_name = "may hold letters, digits and . _ ~ $ - only" }, failed)
  end)
end)

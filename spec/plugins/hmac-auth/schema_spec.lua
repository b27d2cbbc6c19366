local check = require "plugins.schema_check"

describe("hmac-auth schema", function()
  local process = check.open("hmac-auth")

  it("fills Kong's defaults", function()
    assert.same({ hide_credentials = true, clock_skew = 300, validate_request_body = false, enforce_headers = {},
      algorithms = { "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512" } }, process({}))
  end)

  it("refuses what makes no sense", function()
    local _, failed = process({ clock_skew = 0 })
    assert.same("value must be greater than 0", failed.clock_skew)
    _, failed = process({ algorithms = { "hmac-md5" } })
    assert.matches("^expected one of: hmac%-sha1, ", select(2, next(failed)))
    assert.same({ "hmac-sha1" }, process({ algorithms = { "hmac-sha1" } }).algorithms)
  end)

  it("runs on WebSocket routes too, as Kong's dumps say", function()
    local all = { "grpc", "grpcs", "http", "https", "ws", "wss" }
    assert.same(all, check.protocols("hmac-auth", {}))
    assert.same(all, check.protocols("hmac-auth", { protocols = all }))
  end)
end)

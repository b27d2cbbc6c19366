local check = require "plugins.schema_check"

describe("basic-auth schema", function()
  local process = check.open("basic-auth")

  it("fills Kong's defaults", function()
    assert.same({ hide_credentials = true, realm = "service" }, process({}))
  end)

  it("takes brute_force_protection switched off", function()
    local out = process({ brute_force_protection = { strategy = "off" } })
    assert.same("off", out.brute_force_protection.strategy)
  end)

  it("refuses a protection it would not give", function()
    local _, failed = process({ brute_force_protection = { strategy = "memory" } })
    assert.matches("strategy 'memory' is not supported", failed["@entity"], nil, true)
    _, failed = process({ brute_force_protection = { strategy = "often" } })
    assert.same("expected one of: off, cluster, memory, redis", failed["brute_force_protection.strategy"])
  end)

  it("runs on WebSocket routes too, as Kong's dumps say", function()
    local all = { "grpc", "grpcs", "http", "https", "ws", "wss" }
    assert.same(all, check.protocols("basic-auth", {}))
    assert.same(all, check.protocols("basic-auth", { protocols = all }))
  end)
end)

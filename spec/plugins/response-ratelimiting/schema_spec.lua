local check = require "plugins.schema_check"

describe("response-ratelimiting schema", function()
  local process = check.open("response-ratelimiting")

  it("fills Kong's defaults", function()
    local out = process({ limits = { video = { minute = 1 } } })
    assert.same({ "x-kong-limit", "consumer", "local", true, false, false },
      { out.header_name, out.limit_by, out.policy, out.fault_tolerant, out.block_on_first_violation,
        out.hide_client_headers })
    assert.same({ minute = 1 }, out.limits.video)
  end)

  it("refuses limits that are none or out of order", function()
    local _, errors = process({})
    assert.same("required field missing", errors.limits)
    _, errors = process({ limits = {} })
    assert.same("length must be at least 1", errors.limits)
    _, errors = process({ limits = { video = { hour = 1, minute = 2 } } })
    assert.matches("The limit for hour(1.0) cannot be lower than the limit for minute(2.0)",
      require("cjson").encode(errors), 1, true)
    _, errors = process({ limits = { video = {} } })
    assert.matches("at least one of these fields must be non-empty", require("cjson").encode(errors), 1, true)
  end)

  it("wants Redis' host with policy redis", function()
    assert.is_nil((process({ policy = "redis", limits = { v = { day = 1 } } })))
    assert.same("h", process({ policy = "redis", redis_host = "h", limits = { v = { day = 1 } } }).redis.host)
  end)
end)

local check = require "plugins.schema_check"

describe("rate-limiting schema", function()
  local process = check.open("rate-limiting")

  it("fills Kong's defaults", function()
    assert.same({
      minute = 5, limit_by = "consumer", policy = "local", fault_tolerant = true, error_code = 429,
      error_message = "API rate limit exceeded", hide_client_headers = false, sync_rate = -1,
      redis = { port = 6379, database = 0, timeout = 2000, ssl = false, ssl_verify = false },
    }, process({ minute = 5 }))
  end)

  it("wants a limit", function()
    local _, failed = process({})
    assert.same({ ["@entity"] = "at least one of these fields must be non-empty: 'config.second', "
      .. "'config.minute', 'config.hour', 'config.day', 'config.month', 'config.year'" }, failed)
  end)

  it("wants limits above zero", function()
    local _, failed = process({ minute = 0 })
    assert.same({ minute = "value must be greater than 0" }, failed)
  end)

  it("refuses a longer window that allows less than a shorter one", function()
    local _, failed = process({ second = 20, hour = 10 })
    assert.same({ ["@entity"] = "The limit for hour(10.0) cannot be lower than the limit for second(20.0)" }, failed)
    _, failed = process({ second = 20, minute = 30, hour = 25 })
    assert.same({ ["@entity"] = "The limit for hour(25.0) cannot be lower than the limit for minute(30.0)" }, failed)
    assert.is_table(process({ second = 5, minute = 5, year = 5 }))
  end)

  it("wants what a policy or an identifier needs", function()
    local _, failed = process({ minute = 5, policy = "redis" })
    assert.same("required field missing", failed["redis.host"])
    _, failed = process({ minute = 5, limit_by = "header" })
    assert.same("required field missing", failed.header_name)
    _, failed = process({ minute = 5, limit_by = "path" })
    assert.same("required field missing", failed.path)
    assert.is_table(process({ minute = 5, limit_by = "path", path = "/a" }))
    _, failed = process({ minute = 5, policy = "postgres" })
    assert.same("expected one of: local, cluster, redis", failed.policy)
  end)

  it("takes the older names of the Redis fields", function()
    local out = process({ minute = 5, policy = "redis", redis_host = "cache", redis_port = 7000,
      redis_username = "u", redis_password = "p", redis_database = 2, redis_timeout = 50, redis_ssl = true,
      redis_ssl_verify = true, redis_server_name = "cache.test" })
    assert.same({ host = "cache", port = 7000, username = "u", password = "p", database = 2, timeout = 50,
      ssl = true, ssl_verify = true, server_name = "cache.test" }, out.redis)
  end)
end)

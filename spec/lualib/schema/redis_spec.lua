-- The shared field for Redis connections.

local Schema = require("moongate.schema")
local redis = require("moongate.schema.redis")

describe("schema.redis", function()
  local schema = assert(Schema.new { name = "t", fields = { { redis = redis.config_schema } } })

  it("fills its defaults", function()
    assert.same({ redis = { port = 6379, timeout = 2000, database = 0, ssl = false, ssl_verify = true } },
      (schema:process({})))
  end)

  it("takes references where secrets and places stand", function()
    local input = { redis = { host = "{vault://env/h}", port = "{vault://env/p}", password = "{vault://env/s}" } }
    local out = assert(schema:process(input))
    assert.equal("{vault://env/p}", out.redis.port)
  end)

  it("refuses a host with a port", function()
    local _, failed = schema:process({ redis = { host = "redis:6379" } })
    assert.same({ redis = { host = "must not have a port" } }, failed)
  end)
end)

local check = require "plugins.schema_check"

describe("datadog schema", function()
  local process = check.open("datadog")

  it("has Kong's defaults", function()
    local out = process({})
    assert.same({ "localhost", 8125, "kong", "name", "status", "consumer", 6 }, { out.host, out.port, out.prefix,
      out.service_name_tag, out.status_tag, out.consumer_tag, #out.metrics })
    assert.same({ name = "request_count", stat_type = "counter", sample_rate = 1, tags = { "app:kong" },
      consumer_identifier = "custom_id" }, out.metrics[1])
  end)

  it("wants a rate for counters, and tags with values", function()
    local _, failed = process({ metrics = { { name = "latency", stat_type = "gauge" } } })
    assert.same("sample rate must be defined for counters and gauges.", select(2, next(failed)))
    assert.is_nil(process({ metrics = { { name = "latency", stat_type = "timer", tags = { "a:" } } } }))
  end)
end)

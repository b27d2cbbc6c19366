local check = require "plugins.schema_check"

describe("statsd schema", function()
  local process = check.open("statsd")

  it("has Kong's defaults", function()
    local out = process({})
    assert.same({ "localhost", 8125, "kong", 0, false }, { out.host, out.port, out.prefix, out.udp_packet_size, out.use_tcp })
    assert.same(13, #out.metrics)
    assert.same({ "custom_id", "service_name_or_host", "workspace_id" },
      { out.consumer_identifier_default, out.service_identifier_default, out.workspace_identifier_default })
  end)

  for text, metric in pairs({
    ["unique_users metric only works with stat_type 'set'"] = { name = "unique_users", stat_type = "timer" },
    ["status_count metric only works with stat_type 'counter'"] = { name = "status_count", stat_type = "set" },
    ["shdict_usage metric only works with stat_type 'gauge'"] = { name = "shdict_usage", stat_type = "timer" },
    ["sample rate must be defined for counters and gauges."] = { name = "request_count", stat_type = "counter" },
  }) do
    it("says: " .. text, function()
      local _, failed = process({ metrics = { metric } })
      assert.same(text, select(2, next(failed)))
    end)
  end

  it("wants ranges of statuses", function()
    assert.is_table(process({ allow_status_codes = { "200-299" } }))
    assert.is_nil(process({ allow_status_codes = { "2xx" } }))
  end)
end)

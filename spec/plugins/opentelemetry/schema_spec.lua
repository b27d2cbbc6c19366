local check = require "plugins.schema_check"

describe("opentelemetry schema", function()
  local process = check.open("opentelemetry")

  it("has Kong's defaults", function()
    local out = process({ traces_endpoint = "http://collector:4318/v1/traces" })
    assert.same({ "preserve", 1000, 5000, 5000, 200, "w3c", "parent_drop_probability_fallback" }, { out.header_type,
      out.connect_timeout, out.send_timeout, out.read_timeout, out.queue.max_batch_size, out.propagation.default_format,
      out.sampling_strategy })
  end)

  it("knows the older name of the endpoint", function()
    assert.same("http://c/v1/traces", process({ endpoint = "http://c/v1/traces" }).traces_endpoint)
  end)

  it("wants an endpoint", function()
    local _, failed = process({})
    assert.matches("at least one of these fields must be non-empty: ", select(2, next(failed)), 1, true)
  end)

  it("knows formats", function()
    local _, failed = process({ traces_endpoint = "http://c", propagation = { extract = { "zipkin" } } })
    assert.matches("expected one of: w3c, ", select(2, next(failed)), 1, true)
  end)
end)

local check = require "plugins.schema_check"

describe("prometheus schema", function()
  local process = check.open("prometheus")

  it("fills Kong's defaults", function()
    assert.same({ per_consumer = false, status_code_metrics = false, ai_metrics = false, latency_metrics = false,
      bandwidth_metrics = false, upstream_health_metrics = false }, process({}))
  end)

  it("takes wasm_metrics, and nothing it does not know", function()
    assert.is_true(process({ wasm_metrics = true }).wasm_metrics)
    local _, failed = process({ latency = true })
    assert.matches("^unknown field", failed.latency)
  end)
end)

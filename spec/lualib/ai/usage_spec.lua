local usage = require "moongate.ai.usage"

describe("ai.usage", function()
  it("prices tokens per million, and only with both prices", function()
    local counts = { prompt_tokens = 1000, completion_tokens = 500 }
    assert.equal(0.0075, usage.cost(counts, { input_cost = 2.5, output_cost = 10 }))
    assert.is_nil(usage.cost(counts, { input_cost = 2.5 }))
  end)

  it("prices cached tokens, long contexts and service tiers", function()
    local counts = {
      prompt_tokens = 1000, completion_tokens = 100, cached_tokens = 600, cache_write_tokens = 100,
    }
    local options = { input_cost = 10, output_cost = 20, cache_read_cost = 1,
      cache_write_cost = 12 }
    assert.near((300 * 10 + 600 * 1 + 100 * 12 + 100 * 20) / 1e6, usage.cost(counts, options),
      1e-12)
    options.context_window_factor = {
      { above = 100, input_factor = 2, output_factor = 1 },
      { above = 900, input_factor = 3, output_factor = 2 },
      { above = 5000, input_factor = 9, output_factor = 9 },
    }
    options.service_tier_factor = { { tier = "flex", factor = 0.5 } }
    assert.near((4800 * 3 + 2000 * 2) * 0.5 / 1e6, usage.cost(counts, options, "flex"), 1e-12)
    assert.near((4800 * 3 + 2000 * 2) / 1e6, usage.cost(counts, options, "default"), 1e-12)
  end)

  it("prices cache writes by their time to live", function()
    local counts = { prompt_tokens = 100, completion_tokens = 0, cache_write_tokens = 100,
      cache_write_1h_tokens = 40 }
    local options = { input_cost = 10, output_cost = 20,
      cache_write_cost_list = { { ttl = "5m", cost = 12.5 }, { ttl = "1h", cost = 20 } } }
    assert.near((40 * 20 + 60 * 12.5) / 1e6, usage.cost(counts, options), 1e-12)
    options.cache_write_cost_list = nil
    assert.near(100 * 10 / 1e6, usage.cost(counts, options), 1e-12)
  end)

  it("passes reported counts and flags estimates", function()
    local counts, estimated = usage.complete(
      { prompt_tokens = 3, completion_tokens = 4, total_tokens = 9 }, { request_bytes = 400 })
    assert.same({ 3, 4, 9, false },
      { counts.prompt_tokens, counts.completion_tokens, counts.total_tokens, estimated })
    counts, estimated = usage.complete({ stream = true, events = 12 }, { request_bytes = 401 })
    assert.same({ 101, 12, 113, true },
      { counts.prompt_tokens, counts.completion_tokens, counts.total_tokens, estimated })
  end)

  it("writes what logs show", function()
    local values = usage.usage(
      { prompt_tokens = 3, completion_tokens = 4, total_tokens = 7, cached_tokens = 2 }, false,
      { stream = true, first_event_ms = 15 }, 100, 0.5)
    assert.same({ prompt_tokens = 3, completion_tokens = 4, total_tokens = 7, time_per_token = 25,
      time_to_first_token = 15, cost = 0.5, prompt_tokens_details = { cached_tokens = 2 } }, values)
    assert.equal(0, usage.usage({ completion_tokens = 0 }, true, {}, 100).time_per_token)
  end)
end)

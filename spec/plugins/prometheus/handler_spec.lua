local fake = require "plugins.fake_gateway"

-- Series by their text, as /metrics shows them.
local function fake_stats()
  local series, made = {}, { n = 0 }
  local function make(name, labels)
    made.n = made.n + 1
    local text = labels == "" and name or name .. "{" .. labels .. "}"
    series[text] = series[text] or 0
    return text
  end
  return series, made, {
    label = function(name, value) return name .. '="' .. value .. '"' end,
    counter = make, gauge = make,
    histogram = function(name, labels) return make(name, labels) end,
    add = function(handle, by) series[handle] = series[handle] + by end,
    set = function(handle, value) series[handle] = value end,
    observe = function(handle, value) series[handle] = series[handle] + value end,
  }
end

local ROUTE, SERVICE = { id = "r1", name = "chat" }, { id = "s1", name = "llm", host = "h" }

local function spec_of(more)
  local out = { route = ROUTE, service = SERVICE, source = "service", status = 200, bytes_in = 100, bytes_out = 2000,
    latencies = { 1.5, 40, 42 }, consumers = { { id = "c1", username = "alice" } } }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

describe("prometheus", function()
  local series, made, stats

  before_each(function()
    series, made, stats = fake_stats()
    package.loaded["moongate.abi.stats"] = stats
    package.loaded["moongate.abi.upstream"] = { export = function() end }
  end)

  local function log(conf, more)
    local self = fake.new("prometheus", spec_of(more))
    self.consumer = 1
    fake.run(self, "log", conf)
    return self
  end

  it("has Kong's priority", function()
    assert.same(13, fake.new("prometheus", {}).handler.PRIORITY)
  end)

  it("counts nothing without a flag", function()
    log({})
    assert.same({}, series)
  end)

  it("counts requests by status and source", function()
    log({ status_code_metrics = true })
    log({ status_code_metrics = true, per_consumer = true }, { status = 429, source = "exit" })
    local base = 'kong_http_requests_total{service="llm",route="chat",'
    assert.same({
      [base .. 'code="200",source="service",workspace="default",consumer=""}'] = 1,
      [base .. 'code="429",source="exit",workspace="default",consumer="alice"}'] = 1,
    }, series)
  end)

  it("counts requests that matched no route", function()
    local self = fake.new("prometheus", spec_of({ status = 404, source = "error" }))
    package.loaded["moongate.abi.route"].route = function() end
    package.loaded["moongate.abi.route"].service = function() end
    fake.run(self, "log", { status_code_metrics = true })
    assert.same({ ['kong_http_requests_total{service="",route="",code="404",source="error",'
      .. 'workspace="default",consumer=""}'] = 1 }, series)
  end)

  it("takes latencies, those that are known", function()
    local labels = '{service="llm",route="chat",workspace="default"}'
    log({ latency_metrics = true })
    log({ latency_metrics = true }, { latencies = { 2, nil, 2 }, source = "exit" })
    assert.same({ ["kong_kong_latency_ms" .. labels] = 3.5, ["kong_upstream_latency_ms" .. labels] = 40,
      ["kong_request_latency_ms" .. labels] = 44 }, series)
  end)

  it("counts bytes both ways", function()
    log({ bandwidth_metrics = true })
    local base, rest = 'kong_bandwidth_bytes{service="llm",route="chat",direction="',
      '",workspace="default",consumer=""}'
    assert.same({ [base .. "ingress" .. rest] = 100, [base .. "egress" .. rest] = 2000 }, series)
  end)

  it("makes a series once", function()
    local self = fake.new("prometheus", spec_of())
    local conf = { status_code_metrics = true, latency_metrics = true, bandwidth_metrics = true }
    for _ = 1, 5 do
      fake.run(self, "log", conf)
    end
    assert.same(6, made.n)
    assert.same(5, series['kong_http_requests_total{service="llm",route="chat",code="200",source="service",'
      .. 'workspace="default",consumer=""}'])
  end)

  it("counts what an LLM used", function()
    local use = { provider = "openai", model = "gpt-4o", request_mode = "stream", prompt_tokens = 10,
      completion_tokens = 5, total_tokens = 15, llm_latency = 300, cost = 0.25 }
    log({ ai_metrics = true, per_consumer = true }, { shared = { ai = use } })
    local base = '{ai_provider="openai",ai_model="gpt-4o",cache_status="",vector_db="",embeddings_provider="",'
      .. 'embeddings_model="",workspace="default",consumer="alice",request_mode="stream"'
    assert.same({
      ["kong_ai_llm_requests_total" .. base .. "}"] = 1,
      ["kong_ai_llm_provider_latency_ms" .. base .. "}"] = 300,
      ["kong_ai_llm_cost_total" .. base .. "}"] = 0.25,
      ["kong_ai_llm_tokens_total" .. base .. ',token_type="prompt_tokens"}'] = 10,
      ["kong_ai_llm_tokens_total" .. base .. ',token_type="completion_tokens"}'] = 5,
      ["kong_ai_llm_tokens_total" .. base .. ',token_type="total_tokens"}'] = 15,
    }, series)
    log({ ai_metrics = true })
  end)

  it("tells only so many models of a provider apart", function()
    local use = { provider = "openai", total_tokens = 1 }
    local self = fake.new("prometheus", spec_of({ shared = { ai = use } }))
    for i = 1, 1000 do
      use.model = "model-" .. i
      fake.run(self, "log", { ai_metrics = true })
    end
    local models, others = 0, 0
    for text, value in pairs(series) do
      if text:find("^kong_ai_llm_requests_total") then
        models = models + 1
        others = text:find('ai_model="other"', 1, true) and value or others
      end
    end
    assert.same({ 201, 800 }, { models, others })
  end)

  it("has the health of targets shown as long as an instance asks for it", function()
    local shown
    package.loaded["moongate.abi.upstream"] = { export = function(whether) shown = whether end }
    local self = fake.new("prometheus", spec_of())
    self.handler:configure({ { upstream_health_metrics = false }, { upstream_health_metrics = true } })
    assert.is_true(shown)
    self.handler:configure({ { upstream_health_metrics = false } })
    assert.is_false(shown)
    self.handler:configure(nil)
    assert.is_false(shown)
  end)
end)

-- What the handler decides: joining, sampling, headers, which spans are queued. The wire is in spec/e2e.

local check = require "plugins.schema_check"
local fake = require "plugins.fake_gateway"
local log_fakes = require "plugins.log_fakes"
local reader = require "lualib.otlp.reader"

local TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
local PARENT = "00-" .. TRACE .. "-" .. SPAN .. "-01"
local FAKED = { "abi.node", "abi.phase", "abi.task", "abi.socket", "abi.request", "abi.exchange", "abi.response" }

describe("opentelemetry", function()
  local open = check.open("opentelemetry")
  local out, extra, settings, ids

  before_each(function()
    out, extra, settings, ids = log_fakes.open(), nil, { tracing_sampling_rate = "1" }, 0
    out.record = '{"request":{"method":"GET","url":"http://a/","id":"r1"},"response":{"status":200},"started_at":1700000000000,'
      .. '"client_ip":"1.2.3.4","upstream_status":"200","tries":[{"ip":"10.0.0.1","port":80,"balancer_start":1700000000005}]}'
    out.answer = { status = 200, body = "" }
  end)

  after_each(function()
    log_fakes.close()
    for _, name in ipairs(FAKED) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  local function make(spec)
    package.loaded["moongate.tracing.trace"] = nil
    package.loaded["moongate.abi.phase"] = { has_request = function() return true end }
    package.loaded["moongate.abi.task"] = {
      get_extra = function() extra = extra or {} return extra end, find_extra = function() return extra end,
    }
    spec.latencies = spec.latencies or { 1, 20, 30, 4 }
    local gateway
    -- The handler reads settings while it is loaded.
    package.preload["kong.plugins.opentelemetry.handler"] = function()
      local node, request = package.loaded["moongate.abi.node"], package.loaded["moongate.abi.request"]
      node.setting = function(name) return settings[name] end
      node.node_id = function() return "node-1" end
      node.update_time = function() end
      node.random_bytes = function(n)
        ids = ids + 1
        return ("%0" .. n .. "d"):format(ids)
      end
      for name, value in pairs({ http_minor = 1, scheme = "http", host = "a", peer_ip = "5.6.7.8", start_time = 1700000000 }) do
        request[name] = function() return value end
      end
      return dofile("plugins/opentelemetry/handler.lua")
    end
    gateway = fake.new("opentelemetry", spec)
    package.preload["kong.plugins.opentelemetry.handler"] = nil
    _G.kong.version = "3.9.0"
    return gateway
  end

  local function conf(over)
    local config = { traces_endpoint = "http://c/v1/traces" }
    for name, value in pairs(over or {}) do
      config[name] = value
    end
    local made = assert(open(config))
    made.__plugin_id = "p1"
    return made
  end

  -- Runs a request; returns the gateway and the spans that were exported.
  local function run(config, spec)
    local gateway = make(spec or {})
    gateway.handler:configure({ config })
    fake.run(gateway, "access", config)
    fake.run(gateway, "log", config)
    if #out.entries == 0 then
      return gateway, {}
    end
    assert(log_fakes.deliver(out))
    return gateway, reader.traces(out.sent[#out.sent][3].body).items
  end

  it("has Kong's priority", function()
    assert.same(14, make({}).handler.PRIORITY)
  end)

  it("exports the request and what its upstream took", function()
    local gateway, spans = run(conf(), { headers = { traceparent = PARENT } })
    assert.same({ "kong", "kong.balancer" }, { spans[1].name, spans[2].name })
    local function ms(ns) -- since the request began, as exact as doubles are
      return math.floor((ns - 1700000000 * 1e9) / 1e6 + 0.5)
    end
    assert.same({ TRACE, SPAN, 0, 30 }, { spans[1].trace_id, spans[1].parent_id, ms(spans[1].start_ns), ms(spans[1].end_ns) })
    assert.same({ 5, 29 }, { ms(spans[2].start_ns), ms(spans[2].end_ns) })
    assert.same("00-" .. TRACE .. "-" .. spans[2].span_id .. "-01", fake.sent(gateway, "traceparent"))
    assert.same("opentelemetry:p1:traces", out.entries[1][1].name)
    assert.same({ "http://c/v1/traces", 11000 }, { out.sent[1][2], out.sent[1][3].timeout_ms })
  end)

  it("queues nothing that is not sampled", function()
    local gateway = run(conf({ sampling_rate = 0 }))
    assert.matches("%-00$", fake.sent(gateway, "traceparent"))
    extra = nil
    run(conf(), { headers = { traceparent = PARENT:gsub("01$", "00") } })
    extra = nil
    settings.tracing_sampling_rate = "0"
    run(conf())
    assert.same({}, out.entries)
  end)

  it("follows a parent when told so", function()
    settings.tracing_sampling_rate = "0"
    local config = conf({ sampling_strategy = "parent_probability_fallback" })
    local _, spans = run(config, { headers = { traceparent = PARENT } })
    assert.same(2, #spans)
  end)

  it("passes a trace on when instrumentation is off", function()
    settings.tracing_instrumentations = "off"
    assert.same(PARENT, fake.sent(run(conf(), { headers = { traceparent = PARENT } }), "traceparent"))
    assert.same({}, out.entries)
  end)

  it("tells the trace's identifier", function()
    local gateway = run(conf({ http_response_header_for_traceid = "X-Trace" }), { headers = { traceparent = PARENT } })
    assert.same(TRACE, gateway.response["X-Trace"])
  end)

  it("describes LLMs on the upstream's span", function()
    local _, spans = run(conf(), { shared = { ai = { provider = "anthropic", model = "claude", route_type = "llm/v1/chat",
      prompt_tokens = 3, completion_tokens = 4 } } })
    local a = spans[2].attributes
    assert.same({ "chat", "anthropic", "claude", 3, 4 }, { a["gen_ai.operation.name"], a["gen_ai.provider.name"],
      a["gen_ai.request.model"], a["gen_ai.usage.input_tokens"], a["gen_ai.usage.output_tokens"] })
  end)

  it("fails without a 2xx, so that the queue tries again", function()
    run(conf())
    out.answer = { status = 429, body = "slow down" }
    assert.same({ nil, "response error: 429, body: slow down" }, { log_fakes.deliver(out) })
    out.answer, out.fails = nil, "c:80: timeout"
    assert.same({ nil, "c:80: timeout" }, { log_fakes.deliver(out) })
  end)

  it("warns of what it does not export", function()
    local gateway = make({})
    local warned = {}
    _G.kong.log.warn = function(text) warned[#warned + 1] = text:match("^[%w_.]+") end
    gateway.handler:configure({ conf({ logs_endpoint = "http://c", metrics = { endpoint = "http://c" } }) })
    assert.same({ "logs_endpoint", "metrics.endpoint" }, warned)
  end)
end)

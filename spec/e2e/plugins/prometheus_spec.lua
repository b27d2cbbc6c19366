-- prometheus in a gateway: what a scrape shows after known traffic.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local SERVER = [[
plugins:
- name: prometheus
  config: {status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true, per_consumer: true,
    ai_metrics: true, upstream_health_metrics: true}
upstreams:
- name: pool
  targets: [{target: "10.0.0.1:8080"}]
consumers:
- username: 'al"ice'
  keyauth_credentials: [{key: sesame}]
routes:
- name: mock
  paths: ["/mock"]
  hosts: [127.0.0.1]
  plugins:
  - {name: ai-mock, config: {reply: "one two three"}}
- name: chat
  paths: ["/chat"]
  hosts: [gateway.test]
  plugins:
  - name: ai-proxy
    config:
      route_type: llm/v1/chat
      logging: {log_statistics: true}
      model:
        provider: openai
        name: gpt-4o
        options: {upstream_url: "http://127.0.0.1:%d/mock/v1/chat/completions", input_cost: 1000000, output_cost: 2000000}
]]

describe("prometheus", function()
  local gw, up

  setup(function()
    local port = require("e2e.support.upstream").refused_port()
    gw, up = site.start({
      workers = 2,
      settings = { proxy_listen = "127.0.0.1:" .. port },
      wait = false,
      route = "hosts: [gateway.test]\nplugins:\n- name: key-auth\n  config: {anonymous: 'al\"ice'}",
      more = SERVER:format(port),
    })
    gw.port = port
    gw:wait_ready()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local function wait_metric(name, value)
    sched.wait_until(function()
      return gw:metrics()[name] == value
    end, nil, function()
      return name .. " is " .. tostring(gw:metrics()[name]) .. " in\n" .. client.get(gw:status(), "/metrics").body
    end)
  end

  it("counts requests of all workers by route, status, source and consumer", function()
    for _ = 1, 10 do
      client.get(gw, "/a", { apikey = "sesame" })
    end
    local base = 'kong_http_requests_total{service="app",route="app",'
    wait_metric(base .. 'code="200",source="service",workspace="default",consumer="al\\"ice"}', 10)
  end)

  it("shows latencies as cumulative histograms", function()
    local labels = 'service="app",route="app",workspace="default"'
    local before = gw:metrics()["kong_request_latency_ms_count{" .. labels .. "}"] or 0
    client.get(gw, "/a")
    wait_metric("kong_request_latency_ms_count{" .. labels .. "}", before + 1)
    local metrics = gw:metrics()
    for _, name in ipairs({ "kong_kong_latency_ms", "kong_upstream_latency_ms", "kong_request_latency_ms" }) do
      local count = metrics[name .. "_count{" .. labels .. "}"]
      assert.same(before + 1, count, name)
      assert.same(count, metrics[name .. "_bucket{" .. labels .. ',le="+Inf"}'], name)
      assert.is_number(metrics[name .. "_sum{" .. labels .. "}"], name)
    end
    assert.is_number(metrics["kong_kong_latency_ms_bucket{" .. labels .. ',le="6000"}'])
    assert.is_number(metrics["kong_upstream_latency_ms_bucket{" .. labels .. ',le="25"}'])
  end)

  it("counts bytes both ways", function()
    local metrics = gw:metrics()
    for _, direction in ipairs({ "ingress", "egress" }) do
      local value = metrics['kong_bandwidth_bytes{service="app",route="app",direction="' .. direction
        .. '",workspace="default",consumer="al\\"ice"}']
      assert.is_true(value and value > 500, direction)
    end
  end)

  it("counts what matched no route", function()
    local response = client.request({ to = gw, headers = { { "Host", "elsewhere.test" } } })
    assert.status(404, response)
    wait_metric('kong_http_requests_total{service="",route="",code="404",source="error",workspace="default",consumer=""}', 1)
  end)

  it("shows timers of plugins", function()
    local states = {}
    for name, value in pairs(gw:metrics()) do
      local state = name:match('^kong_nginx_timers{node_id="[%x-]+",state="(%a+)"}$')
      if state then
        states[state] = value
      end
    end
    assert.same({ pending = 0, running = 0 }, states)
  end)

  it("shows targets", function()
    assert.same(1, gw:metrics()['kong_upstream_target_health{upstream="pool",target="10.0.0.1:8080",'
      .. 'address="10.0.0.1:8080",state="healthchecks_off",subsystem="http"}'])
  end)

  it("counts requests, tokens, cost and latency of LLMs, streamed or not", function()
    local function chat(stream)
      return client.request({ to = gw, method = "POST", path = "/chat", headers = { ["Content-Type"] = "application/json" },
        body = '{"messages":[{"role":"user","content":"hello there"}]' .. (stream and ',"stream":true' or "") .. "}" })
    end
    assert.status(200, chat(false))
    assert.status(200, chat(true))
    for _, mode in ipairs({ "oneshot", "stream" }) do
      local base = '{ai_provider="openai",ai_model="gpt-4o",cache_status="",vector_db="",embeddings_provider="",'
        .. 'embeddings_model="",workspace="default",consumer="",request_mode="' .. mode .. '"'
      wait_metric("kong_ai_llm_requests_total" .. base .. "}", 1)
      wait_metric("kong_ai_llm_tokens_total" .. base .. ',token_type="completion_tokens"}', 3)
      local metrics = gw:metrics()
      local prompt = metrics["kong_ai_llm_tokens_total" .. base .. ',token_type="prompt_tokens"}']
      assert.is_true(prompt >= 2)
      assert.same(prompt + 3, metrics["kong_ai_llm_tokens_total" .. base .. ',token_type="total_tokens"}'])
      assert.same(prompt + 6, metrics["kong_ai_llm_cost_total" .. base .. "}"])
      assert.same(1, metrics["kong_ai_llm_provider_latency_ms_count" .. base .. "}"])
    end
  end)
end)

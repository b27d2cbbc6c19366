-- opentelemetry in a gateway: headers on both sides, and what a collector gets, decoded from protobuf.

require("e2e.support.expect")
local client = require("e2e.support.client")
local cjson = require("cjson")
local gateway = require("e2e.support.gateway")
local reader = require("lualib.otlp.reader")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
local PARENT = "00-" .. TRACE .. "-" .. SPAN .. "-01"
local OK = { status = 200, body = "" }

describe("opentelemetry", function()
  local gw, up, collector

  before_each(function()
    collector = upstream.start({ answer = function() return OK end })
  end)

  after_each(function()
    site.stop(gw, up)
    collector:stop()
    gw, up = nil, nil
  end)

  local function plugin(config)
    return ("- name: opentelemetry\n  config: {traces_endpoint: \"http://127.0.0.1:%d/v1/traces\", %s %s}"):format(
      collector.port, "queue: {max_batch_size: 1, max_retry_delay: 0.1},", config)
  end

  local function start(config, opts)
    opts = opts or {}
    opts.settings = opts.settings or { tracing_sampling_rate = "1" }
    opts.route = "plugins:\n" .. plugin(config) .. (opts.plugins or "")
    gw, up = site.start(opts)
  end

  local function spans(n)
    local out
    sched.wait_until(function()
      out = {}
      for _, request in ipairs(collector.requests) do
        if not request.refused then
          for _, span in ipairs(reader.traces(request.body).items) do
            out[#out + 1] = span
          end
        end
      end
      return #out >= n
    end, nil, function() return #out .. " spans\n" .. gw:errors() end)
    return out
  end

  local function named(list, name)
    for _, span in ipairs(list) do
      if span.name == name then
        return span
      end
    end
    error("no span " .. name)
  end

  it("continues the client's trace up to the upstream, and exports both spans", function()
    start("headers: {X-Key: k}, resource_attributes: {service.name: edge, env: test}")
    local response = client.get(gw, "/a?api_key=secret", { traceparent = PARENT })
    local seen = cjson.decode(response.body).headers
    local trace, span = seen.traceparent:match("^00%-(%x+)%-(%x+)%-01$")
    assert.same(TRACE, trace)
    local list = spans(2)
    local root, proxy = named(list, "kong"), named(list, "kong.balancer")
    assert.same({ TRACE, SPAN, 2, TRACE, root.span_id, 3, span, 1 }, { root.trace_id, root.parent_id, root.kind,
      proxy.trace_id, proxy.parent_id, proxy.kind, proxy.span_id, root.flags })
    local a = root.attributes
    assert.same({ "GET", 200, "http", "1.1", "127.0.0.1", "app", "app", "/" }, { a["http.method"], a["http.status_code"],
      a["http.scheme"], a["http.flavor"], a["http.client_ip"], a["kong.service.name"], a["kong.route.name"], a["http.route"] })
    assert.same(response.headers["x-kong-request-id"] or a["kong.request.id"], a["kong.request.id"])
    assert.same({ "127.0.0.1", up.port, 1, 200 }, { proxy.attributes["net.peer.ip"], proxy.attributes["net.peer.port"],
      proxy.attributes.try_count, proxy.attributes["http.status_code"] })
    assert.is_true(root.start_ns <= proxy.start_ns + 1e6 and proxy.start_ns <= proxy.end_ns and proxy.end_ns <= root.end_ns)
    assert.is_true(math.abs(root.start_ns / 1e9 - sched.now()) < 60)
    local request = collector:last()
    assert.same({ "POST", "/v1/traces", "application/x-protobuf", "k" }, { request.method, request.target,
      request:header("content-type"), request:header("x-key") })
    local resource = reader.traces(request.body).resource
    assert.same({ "edge", "test" }, { resource["service.name"], resource.env })
    assert.is_string(resource["service.instance.id"])
    assert.is_nil(request.body:find("secret", 1, true))
  end)

  it("begins a trace, and tells its identifier", function()
    start("http_response_header_for_traceid: X-Trace-Id, propagation: {default_format: b3}")
    local response = client.get(gw, "/")
    local seen = cjson.decode(response.body).headers
    local list = spans(2)
    assert.same(response.headers["x-trace-id"], named(list, "kong").trace_id)
    assert.same({ response.headers["x-trace-id"], named(list, "kong.balancer").span_id, "1" },
      { seen["x-b3-traceid"], seen["x-b3-spanid"], seen["x-b3-sampled"] })
    assert.is_nil(named(list, "kong").parent_id)
  end)

  it("converts between formats and clears fields", function()
    start("propagation: {extract: [datadog, w3c], inject: [preserve, aws], clear: [x-datadog-tags], default_format: ot}")
    local seen = cjson.decode(client.get(gw, "/", { ["x-datadog-trace-id"] = "11803532876627986230",
      ["x-datadog-parent-id"] = "67667974448284343", ["x-datadog-tags"] = "t" }).body).headers
    assert.same("11803532876627986230", seen["x-datadog-trace-id"])
    assert.matches("^Root=1%-00000000%-00000000a3ce929d0e0e4736;Parent=%x+;Sampled=1$", seen["x-amzn-trace-id"])
    assert.is_nil(seen["x-datadog-tags"])
    assert.is_nil(seen["ot-tracer-traceid"])
    assert.same(SPAN, named(spans(2), "kong").parent_id)
  end)

  it("leaves out what is not sampled, and says so to the upstream", function()
    start("sampling_rate: 0")
    assert.matches("%-00$", cjson.decode(client.get(gw, "/").body).headers.traceparent)
    site.stop(gw, up)
    start("sampling_rate: 1")
    local seen = cjson.decode(client.get(gw, "/", { traceparent = PARENT:gsub("01$", "00") }).body).headers
    assert.matches("^00%-" .. TRACE .. "%-%x+%-00$", seen.traceparent)
    site.stop(gw, up) -- sends what waits
    gw, up = nil, nil
    assert.same(0, #collector.requests)
  end)

  it("passes headers on when instrumentation is off", function()
    start("", { settings = { tracing_instrumentations = "off", tracing_sampling_rate = "1" } })
    assert.same(PARENT, cjson.decode(client.get(gw, "/", { traceparent = PARENT }).body).headers.traceparent)
    assert.matches("^00%-%x+%-%x+%-00$", cjson.decode(client.get(gw, "/").body).headers.traceparent)
    site.stop(gw, up)
    gw, up = nil, nil
    assert.same(0, #collector.requests)
  end)

  it("exports requests that plugins answered, with the client's trace, and upstreams that fail", function()
    start("", { plugins = "\n- name: key-auth" })
    assert.status(401, client.get(gw, "/", { traceparent = PARENT }))
    local list = spans(1)
    assert.same({ "kong", TRACE, SPAN, 401, 0 }, { list[1].name, list[1].trace_id, list[1].parent_id,
      list[1].attributes["http.status_code"], list[1].status })
    site.stop(gw, up)
    collector.requests = {}
    start("", { url = "http://127.0.0.1:" .. upstream.refused_port() })
    gw:expect_error("refused")
    assert.status(502, client.get(gw, "/"))
    list = spans(2)
    assert.same({ 2, 2, 502 }, { named(list, "kong").status, named(list, "kong.balancer").status,
      named(list, "kong").attributes["http.status_code"] })
  end)

  it("exports spans of plugins that run before it", function()
    up = upstream.start()
    gw = gateway.start({
      settings = { tracing_sampling_rate = "1" },
      config = {
        ["kong.yaml"] = site.config(up.url, { route = "plugins:\n- name: tracer\n" .. plugin("") }),
        ["plugins/tracer/schema.lua"] = 'return {name = "tracer", fields = {{config = {type = "record", fields = {}}}}}',
        ["plugins/tracer/handler.lua"] = [[
          local H = {PRIORITY = 1000, VERSION = "1.0.0"}
          function H:access()
            local span = kong.tracing.start_span("work", {attributes = {n = 1}})
            kong.tracing.set_active_span(span)
            local inner = kong.tracing.start_span("inner")
            inner:record_error("oops")
            inner:set_status(2)
            inner:finish()
            span:set_attribute("list", {"a", "b"})
            span:finish()
          end
          return H]],
      },
    })
    client.get(gw, "/", { traceparent = PARENT })
    local list = spans(4)
    local root, work, inner = named(list, "kong"), named(list, "work"), named(list, "inner")
    assert.same({ TRACE, root.span_id, TRACE, work.span_id, root.span_id }, { work.trace_id, work.parent_id, inner.trace_id,
      inner.parent_id, named(list, "kong.balancer").parent_id })
    assert.same({ { n = 1, list = { "a", "b" } }, 2, "exception", "oops" }, { work.attributes, inner.status,
      inner.events[1].name, inner.events[1].attributes["exception.message"] })
  end)

  it("describes what an LLM did", function()
    local port = upstream.refused_port()
    gw, up = site.start({
      settings = { proxy_listen = "127.0.0.1:" .. port, tracing_sampling_rate = "1" }, wait = false,
      route = "hosts: [gateway.test]",
      more = ([[
routes:
- {name: mock, paths: ["/mock"], hosts: [127.0.0.1], plugins: [{name: ai-mock, config: {reply: "one two three"}}]}
- name: chat
  paths: ["/chat"]
  hosts: [gateway.test]
  plugins:
  - name: ai-proxy
    config:
      route_type: llm/v1/chat
      logging: {log_statistics: true}
      model: {provider: openai, name: gpt-4o, options: {upstream_url: "http://127.0.0.1:%d/mock/v1/chat/completions"}}
]]):format(port) .. "  " .. plugin(""):gsub("\n", "\n  "),
    })
    gw.port = port
    gw:wait_ready()
    assert.status(200, client.request({ to = gw, method = "POST", path = "/chat",
      headers = { ["Content-Type"] = "application/json" },
      body = '{"messages":[{"role":"user","content":"hello there"}]}' }))
    local a = named(spans(2), "kong.balancer").attributes
    assert.same({ "chat", "openai", "gpt-4o", 3 }, { a["gen_ai.operation.name"], a["gen_ai.provider.name"],
      a["gen_ai.request.model"], a["gen_ai.usage.output_tokens"] })
    assert.is_string(a["gen_ai.response.model"])
    assert.is_true(a["gen_ai.usage.input_tokens"] >= 2)
  end)

  it("sends again what a collector refused", function()
    collector:answer(function(request)
      request.refused = #collector.requests == 1
      return request.refused and { status = 503, body = "busy" } or OK
    end)
    start("")
    client.get(gw, "/")
    assert.same(2, #spans(2))
    gw:wait_log("response error: 503, body: busy")
  end)

  it("exports records as logs of the same trace", function()
    start(("access_logs: {endpoint: 'http://127.0.0.1:%d/v1/logs', custom_attributes_by_lua: {who: \"return 'me'\"}}"):format(
      collector.port))
    client.get(gw, "/a", { traceparent = PARENT })
    local request = sched.wait_until(function()
      for _, each in ipairs(collector.requests) do
        if each.target == "/v1/logs" then
          return each
        end
      end
    end)
    local record = reader.logs(request.body).items[1]
    assert.same({ TRACE, 9, "me", 200, "/a" }, { record.trace_id, record.severity, record.attributes.who,
      record.attributes["http.response.status_code"], cjson.decode(record.body).request.uri })
  end)
end)

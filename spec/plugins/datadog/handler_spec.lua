local check = require "plugins.schema_check"
local fake = require "plugins.fake_gateway"

describe("datadog", function()
  local queued
  local open = check.open("datadog")

  before_each(function()
    queued = {}
    package.loaded["moongate.queue"] = {
      get_plugin_params = function() return {} end,
      enqueue = function(_, _, _, text) queued[#queued + 1] = text end,
    }
    package.loaded["moongate.log.stream"] = {}
  end)

  after_each(function()
    package.loaded["moongate.queue"], package.loaded["moongate.log.stream"] = nil, nil
  end)

  local function text(config, over)
    local spec = { status = 200, bytes_in = 100, bytes_out = 200, latencies = { 1, 20, 30 },
      service = { id = "s1", name = "svc" }, route = { id = "r1", name = "rt" },
      consumers = { { id = "c1", custom_id = "cust" } } }
    for name, value in pairs(over or {}) do
      spec[name] = value
    end
    local gateway = fake.new("datadog", spec)
    gateway.consumer = 1
    fake.run(gateway, "log", open(config))
    return queued[#queued]
  end

  it("has Kong's priority", function()
    assert.same(10, fake.new("datadog", {}).handler.PRIORITY)
  end)

  it("tells all metrics with Kong's tags", function()
    local tags = "|#name:svc,status:200,consumer:cust,app:kong"
    assert.same(table.concat({ "kong.request.count:1|c" .. tags, "kong.latency:30|ms" .. tags,
      "kong.request.size:100|ms" .. tags, "kong.response.size:200|ms" .. tags, "kong.upstream_latency:20|ms" .. tags,
      "kong.kong_latency:1|ms" .. tags }, "\n"), text({}))
  end)

  it("names tags as configured", function()
    assert.same("p.latency:30|d|#svc:svc,code:200,rt:rt,a:b_c", text({ prefix = "p", service_name_tag = "svc",
      status_tag = "code", route_name_tag = "rt", metrics = { { name = "latency", stat_type = "distribution",
        tags = { "a:b:c" } } } }))
  end)

  it("tells nothing of an upstream that was not asked", function()
    assert.is_nil(text({ metrics = { { name = "upstream_latency", stat_type = "timer" } } }, { latencies = { 1 } }))
  end)
end)

local check = require "plugins.schema_check"
local fake = require "plugins.fake_gateway"

describe("statsd", function()
  local queued, sent
  local open = check.open("statsd")

  before_each(function()
    queued, sent = {}, {}
    package.loaded["moongate.queue"] = {
      get_plugin_params = function() return {} end,
      enqueue = function(...) queued[#queued + 1] = { ... } end,
    }
    package.loaded["moongate.log.stream"] = {
      udp = function(at, packets) sent[#sent + 1] = { at.host, at.port, packets } return true end,
      tcp = function(at, text) sent[#sent + 1] = { at.host, at.port, text } return true end,
    }
    package.loaded["moongate.abi.shdict"] = {
      names = function() return { "kong" } end, find = function() return 1 end,
      free_space = function() return 10 end, capacity = function() return 20 end,
    }
  end)

  after_each(function()
    for _, name in ipairs({ "queue", "log.stream", "abi.shdict" }) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  local function lines(config, over)
    local spec = { status = 404, bytes_in = 100, bytes_out = 200, latencies = { 1.5, 20, 30 },
      service = { id = "s1", name = "my svc", host = "h" }, route = { id = "r1" },
      consumers = { { id = "c1", custom_id = "cust", username = "al" } } }
    for name, value in pairs(over or {}) do
      spec[name] = value or nil
    end
    local gateway = fake.new("statsd", spec)
    gateway.consumer = over and over.anonymous and 0 or 1
    local conf = open(config)
    fake.run(gateway, "log", conf)
    local out = {}
    for line in (queued[#queued] and queued[#queued][4] or ""):gmatch("[^\n]+") do
      out[#out + 1] = line
    end
    return out, conf
  end

  it("has Kong's priority", function()
    assert.same(11, fake.new("statsd", {}).handler.PRIORITY)
  end)

  it("tells all metrics under Kong's names", function()
    assert.same({
      "kong.service.my_svc.request.count:1|c",
      "kong.service.my_svc.latency:30|ms",
      "kong.service.my_svc.request.size:100|c",
      "kong.service.my_svc.status.404:1|c",
      "kong.service.my_svc.response.size:200|c",
      "kong.service.my_svc.user.uniques:cust|s",
      "kong.service.my_svc.user.cust.request.count:1|c",
      "kong.service.my_svc.upstream_latency:20|ms",
      "kong.service.my_svc.kong_latency:1.5|ms",
      "kong.service.my_svc.user.cust.status.404:1|c",
      "kong.service.my_svc.workspace.default.status.404:1|c",
      "kong.route.r1.user.cust.status.404:1|c",
      "kong.node.host_1.shdict.kong.free_space:10|g",
      "kong.node.host_1.shdict.kong.capacity:20|g",
    }, (lines({})))
  end)

  it("leaves out what is unknown: users, latencies", function()
    assert.same({}, (lines({ metrics = { { name = "unique_users", stat_type = "set" },
      { name = "request_per_user", stat_type = "counter", sample_rate = 1 } } }, { anonymous = true })))
    assert.same({}, (lines({ metrics = { { name = "upstream_latency", stat_type = "timer" } } }, { latencies = { 1 } })))
  end)

  it("names by the configured identifiers, with the node's name when asked", function()
    assert.same({ "p.node.host_1.service.s1.user.al.request.count:1|c" }, (lines({ prefix = "p", hostname_in_prefix = true,
      metrics = { { name = "request_per_user", stat_type = "counter", sample_rate = 1, service_identifier = "service_id",
        consumer_identifier = "username" } } })))
  end)

  it("counts allowed statuses only", function()
    local metrics = { { name = "status_count", stat_type = "counter", sample_rate = 1 } }
    assert.same({}, (lines({ metrics = metrics, allow_status_codes = { "200-299", "500-599" } })))
    assert.same(1, #lines({ metrics = metrics, allow_status_codes = { "200-299", "400-404" } }))
  end)

  it("writes tags", function()
    assert.same({ "kong.status:1|c|#service:my_svc,status:404" }, (lines({ tag_style = "dogstatsd",
      metrics = { { name = "status_count", stat_type = "counter", sample_rate = 1 } } })))
  end)

  it("samples", function()
    local original = math.random
    finally(function() math.random = original end) -- luacheck: ignore 122
    local metrics = { { name = "request_count", stat_type = "counter", sample_rate = 0.5 } }
    math.random = function() return 0.4 end -- luacheck: ignore 122
    assert.same({ "kong.service.my_svc.request.count:1|c|@0.5" }, (lines({ metrics = metrics })))
    queued = {}
    math.random = function() return 0.6 end -- luacheck: ignore 122
    assert.same({}, (lines({ metrics = metrics })))
  end)

  it("sends packets, or a text over TCP", function()
    for _, case in ipairs({
      { { udp_packet_size = 0 }, { "localhost", 8125, { "a:1|c", "b:1|c", "c:1|c" } } },
      { { udp_packet_size = 12 }, { "localhost", 8125, { "a:1|c\nb:1|c", "c:1|c" } } },
      { { use_tcp = true }, { "localhost", 8125, "a:1|c\nb:1|c\nc:1|c\n" } },
    }) do
      local _, conf = lines(case[1])
      assert.is_true(queued[#queued][2](conf, { "a:1|c\nb:1|c", "c:1|c" }))
      assert.same(case[2], sent[#sent])
    end
  end)
end)

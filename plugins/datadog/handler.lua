-- datadog: counts and times of requests for a Datadog agent, as StatsD lines with its tags, over UDP.
-- Lines are made in the log phase and queued; what is sampled out is never queued.

local line = require "moongate.statsd.line"
local queue = require "moongate.queue"
local sample = require "moongate.statsd.sample"
local stream = require "moongate.log.stream"

local Datadog = {
  PRIORITY = 10,
  VERSION = "3.14.0",
}

local PACKET_MAX_BYTES = 1432 -- what goes through an Ethernet with IPv6

local METRICS = {
  request_count = { name = "request.count", value = 1 },
  request_size = { name = "request.size", field = "request_size" },
  response_size = { name = "response.size", field = "response_size" },
  latency = { name = "latency", field = "latency" },
  upstream_latency = { name = "upstream_latency", field = "upstream_latency" },
  kong_latency = { name = "kong_latency", field = "kong_latency" },
}

local function tags_of(conf, metric, s)
  local out = {}
  local function add(name, value)
    if value ~= nil then
      out[#out + 1], out[#out + 2] = name, value
    end
  end
  add(conf.service_name_tag, sample.service(s, "service_name_or_host"))
  add(conf.status_tag, s.status)
  add(conf.consumer_tag, metric.consumer_identifier and sample.consumer(s, metric.consumer_identifier))
  add(conf.route_name_tag, conf.route_name_tag and s.route and (s.route.name or s.route.id))
  for _, tag in ipairs(metric.tags or {}) do
    local name, value = tag:match("^([^:]+):(.*)$")
    add(name or tag, name and value or "")
  end
  return out
end

local function send(conf, texts)
  return stream.udp({ host = conf.host, port = conf.port },
    line.pack(texts, PACKET_MAX_BYTES))
end

local function is_sampled(metric)
  local rate = metric.sample_rate
  return not rate or rate >= 1 or math.random() < rate
end

function Datadog:log(conf)
  local s, out = sample.take(), {}
  for _, metric in ipairs(conf.metrics) do
    local kind = METRICS[metric.name]
    local value = kind.value or s[kind.field]
    if value and is_sampled(metric) then
      out[#out + 1] = line.make(conf.prefix .. "." .. kind.name, value, metric.stat_type, metric.sample_rate,
        "dogstatsd", tags_of(conf, metric, s))
    end
  end
  if out[1] then
    queue.enqueue(queue.get_plugin_params("datadog", conf), send, conf, table.concat(out, "\n"))
  end
end

return Datadog

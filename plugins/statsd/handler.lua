-- statsd: counts and times of requests as lines of the StatsD protocol, over UDP or TCP.
-- Lines are made in the log phase and queued; what is sampled out is never queued.

local line = require "moongate.statsd.line"
local node = require "moongate.abi.node"
local queue = require "moongate.queue"
local sample = require "moongate.statsd.sample"
local shdict = require "moongate.abi.shdict"
local stream = require "moongate.log.stream"

local Statsd = {
  PRIORITY = 11,
  VERSION = "3.14.0",
}

local TIMEOUT_MS = 1000
local USAGE_EVERY_S = 60

local usage_told = setmetatable({}, { __mode = "k" }) -- conf -> when, monotonic s
local prefixes = setmetatable({}, { __mode = "k" })

-- Names ---------------------------------------------------------------------------------------------

local function prefix_of(conf)
  local prefix = prefixes[conf]
  if not prefix then
    prefix = conf.prefix
    if conf.hostname_in_prefix then
      prefix = prefix .. ".node." .. node.hostname():gsub("[^%w_-]", "_")
    end
    prefixes[conf] = prefix
  end
  return prefix
end

-- What a metric is about: {"service", name, "user", name ...}; nil when somebody it needs is unknown.
local function subjects(conf, metric, s, needs)
  local out = {}
  local function add(kind, name)
    if name == nil then
      return false
    end
    out[#out + 1], out[#out + 2] = kind, line.clean(name)
    return true
  end
  for _, kind in ipairs(needs) do
    local known
    if kind == "service" then
      known = add(kind, sample.service(s, metric.service_identifier or conf.service_identifier_default))
    elseif kind == "user" then
      known = add(kind, sample.consumer(s, metric.consumer_identifier or conf.consumer_identifier_default))
    elseif kind == "route" then
      known = add(kind, s.route and s.route.id)
    else
      known = add(kind, sample.workspace(metric.workspace_identifier or conf.workspace_identifier_default))
    end
    if not known then
      return nil
    end
  end
  return out
end

local function is_allowed(conf, status)
  if not conf.allow_status_codes or #conf.allow_status_codes == 0 then
    return true
  end
  for _, range in ipairs(conf.allow_status_codes) do
    local first, last = range:match("^(%d+)%-(%d+)$")
    if status >= tonumber(first) and status <= tonumber(last) then
      return true
    end
  end
  return false
end

-- Metrics: whom the name mentions, what it ends with, its value.
local METRICS = {
  request_count = { needs = { "service" }, name = "request.count", value = 1 },
  request_size = { needs = { "service" }, name = "request.size", field = "request_size" },
  response_size = { needs = { "service" }, name = "response.size", field = "response_size" },
  latency = { needs = { "service" }, name = "latency", field = "latency" },
  upstream_latency = { needs = { "service" }, name = "upstream_latency", field = "upstream_latency" },
  kong_latency = { needs = { "service" }, name = "kong_latency", field = "kong_latency" },
  status_count = { needs = { "service" }, name = "status", by_status = true, value = 1 },
  unique_users = { needs = { "service" }, name = "user.uniques", unique = true },
  request_per_user = { needs = { "service", "user" }, name = "request.count", value = 1 },
  status_count_per_user = { needs = { "service", "user" }, name = "status", by_status = true, value = 1 },
  status_count_per_workspace = { needs = { "service", "workspace" }, name = "status", by_status = true, value = 1 },
  status_count_per_user_per_route = { needs = { "route", "user" }, name = "status", by_status = true, value = 1 },
}

local function value_of(conf, metric, kind, s)
  if kind.by_status and not is_allowed(conf, s.status) then
    return nil
  elseif kind.unique then
    return sample.consumer(s, metric.consumer_identifier or conf.consumer_identifier_default)
  end
  return kind.value or s[kind.field]
end

-- Who and the status stand in the name, or in tags where the server knows such.
local function make(conf, metric, kind, s, value)
  local about = subjects(conf, metric, s, kind.needs)
  if not about then
    return nil
  end
  if conf.tag_style then
    if kind.by_status then
      about[#about + 1], about[#about + 2] = "status", s.status
    end
    return line.make(prefix_of(conf) .. "." .. kind.name, value, metric.stat_type, metric.sample_rate,
      conf.tag_style, about)
  end
  local name = ("%s.%s.%s"):format(prefix_of(conf), table.concat(about, "."), kind.name)
  if kind.by_status then
    name = name .. "." .. s.status
  end
  return line.make(name, value, metric.stat_type, metric.sample_rate)
end

-- Not of requests -----------------------------------------------------------------------------------

local function add_usage(conf, metric, out)
  local now = node.mono()
  if node.worker_id() ~= 0 or now - (usage_told[conf] or -USAGE_EVERY_S) < USAGE_EVERY_S then
    return
  end
  usage_told[conf] = now
  local prefix = prefix_of(conf)
  if not conf.hostname_in_prefix then
    prefix = prefix .. ".node." .. node.hostname():gsub("[^%w_-]", "_")
  end
  for _, name in ipairs(shdict.names()) do
    local handle = shdict.find(name)
    local base = ("%s.shdict.%s."):format(prefix, line.clean(name))
    out[#out + 1] = line.make(base .. "free_space", shdict.free_space(handle), metric.stat_type, metric.sample_rate)
    out[#out + 1] = line.make(base .. "capacity", shdict.capacity(handle), metric.stat_type, metric.sample_rate)
  end
end

-- Sending -------------------------------------------------------------------------------------------

local function send(conf, texts)
  local at = { host = conf.host, port = conf.port, timeout_ms = TIMEOUT_MS }
  if conf.use_tcp then
    return stream.tcp(at, table.concat(texts, "\n") .. "\n")
  end
  return stream.udp(at, line.pack(texts, conf.udp_packet_size))
end

local function is_sampled(metric)
  local rate = metric.sample_rate
  return not rate or rate >= 1 or math.random() < rate
end

function Statsd:log(conf)
  local s, out = sample.take(), {}
  for _, metric in ipairs(conf.metrics) do
    local kind = METRICS[metric.name]
    if metric.name == "shdict_usage" then
      add_usage(conf, metric, out)
    elseif kind and is_sampled(metric) then
      local value = value_of(conf, metric, kind, s)
      out[#out + 1] = value ~= nil and make(conf, metric, kind, s, value) or nil
    end
  end
  if out[1] then
    queue.enqueue(queue.get_plugin_params("statsd", conf), send, conf, table.concat(out, "\n"))
  end
end

return Statsd

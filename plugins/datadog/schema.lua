-- Configuration of datadog: Kong's fields, defaults and checks.

local typedefs = require "moongate.schema.typedefs"

local NAMES = { "kong_latency", "latency", "request_count", "request_size", "response_size", "upstream_latency" }
local TYPES = { "counter", "gauge", "histogram", "meter", "set", "timer", "distribution" }
local DEFAULT_TYPES = { request_count = "counter" }

local default_metrics = {}
for i, name in ipairs({ "request_count", "latency", "request_size", "response_size", "upstream_latency",
  "kong_latency" }) do
  local kind = DEFAULT_TYPES[name] or "timer"
  default_metrics[i] = { name = name, stat_type = kind, sample_rate = kind == "counter" and 1 or nil,
    tags = { "app:kong" }, consumer_identifier = "custom_id" }
end

local function check_metric(metric)
  local kind = metric.stat_type
  if (kind == "counter" or kind == "gauge") and type(metric.sample_rate) ~= "number" then
    return nil, "sample rate must be defined for counters and gauges."
  end
  return true
end

local metric = {
  type = "record",
  fields = {
    { name = { type = "string", required = true, one_of = NAMES, description = "Which metric." } },
    { stat_type = { type = "string", required = true, one_of = TYPES, description = "How it is sent." } },
    { tags = { type = "array", elements = { type = "string", match = "^.*[^:]$" },
      description = "Further tags, each `name:value`." } },
    { sample_rate = { type = "number", between = { 0, 1 },
      description = "Which part of the requests tells it." } },
    { consumer_identifier = { type = "string", one_of = { "consumer_id", "custom_id", "username" },
      description = "How consumers are named in it." } },
  },
  entity_checks = {
    { custom_entity_check = { field_sources = { "stat_type", "sample_rate" }, fn = check_metric } },
  },
}

return {
  name = "datadog",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { host = typedefs.host { referenceable = true, default = "localhost",
          description = "Name or address of the agent." } },
        { port = typedefs.port { default = 8125, description = "Its port." } },
        { prefix = { type = "string", default = "kong", description = "What all names begin with." } },
        { service_name_tag = { type = "string", default = "name", description = "Tag of the service." } },
        { status_tag = { type = "string", default = "status", description = "Tag of the status." } },
        { consumer_tag = { type = "string", default = "consumer", description = "Tag of the consumer." } },
        { route_name_tag = { type = "string", description = "Tag of the route; none when absent." } },
        { metrics = { type = "array", required = true, default = default_metrics, elements = metric,
          description = "The metrics that are sent." } },
        { retry_count = { type = "integer",
          description = "Older setting without effect: see queue.max_retry_time." } },
        { queue_size = { type = "integer", description = "Older name of queue.max_batch_size." } },
        { flush_timeout = { type = "number", description = "Older name of queue.max_coalescing_delay." } },
        { queue = typedefs.queue },
      },
    } },
  },
}

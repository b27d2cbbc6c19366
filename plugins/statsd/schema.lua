-- Configuration of statsd: Kong's fields, defaults and checks.

local typedefs = require "moongate.schema.typedefs"

local CONSUMER = { "consumer_id", "custom_id", "username" }
local SERVICE = { "service_id", "service_name", "service_host", "service_name_or_host" }
local WORKSPACE = { "workspace_id", "workspace_name" }
local TYPES = { "counter", "gauge", "histogram", "meter", "set", "timer" }

-- name, type, whether it is sampled, who it tells about.
local DEFAULTS = {
  { "request_count", "counter", 1, "service" },
  { "latency", "timer", nil, "service" },
  { "request_size", "counter", 1, "service" },
  { "status_count", "counter", 1, "service" },
  { "response_size", "counter", 1, "service" },
  { "unique_users", "set", nil, "service", "consumer" },
  { "request_per_user", "counter", 1, "service", "consumer" },
  { "upstream_latency", "timer", nil, "service" },
  { "kong_latency", "timer", nil, "service" },
  { "status_count_per_user", "counter", 1, "service", "consumer" },
  { "status_count_per_workspace", "counter", 1, "service", "workspace" },
  { "status_count_per_user_per_route", "counter", 1, "service", "consumer" },
  { "shdict_usage", "gauge", 1, "service" },
}
local COUNTERS = { status_count = true, status_count_per_user = true, status_count_per_workspace = true,
  status_count_per_user_per_route = true, request_count = true, request_per_user = true }

local names, default_metrics = {}, {}
for i, row in ipairs(DEFAULTS) do
  names[i] = row[1]
  default_metrics[i] = { name = row[1], stat_type = row[2], sample_rate = row[3] }
end

-- Some metrics make sense as one type only.
local function check_metric(metric)
  local name, kind = metric.name, metric.stat_type
  if name == "unique_users" and kind ~= "set" then
    return nil, "unique_users metric only works with stat_type 'set'"
  elseif COUNTERS[name] and kind ~= "counter" then
    return nil, name .. " metric only works with stat_type 'counter'"
  elseif name == "shdict_usage" and kind ~= "gauge" then
    return nil, "shdict_usage metric only works with stat_type 'gauge'"
  elseif (kind == "counter" or kind == "gauge") and type(metric.sample_rate) ~= "number" then
    return nil, "sample rate must be defined for counters and gauges."
  end
  return true
end

local function identifier(kinds, description)
  return { type = "string", one_of = kinds, description = description }
end

local metric = {
  type = "record",
  fields = {
    { name = { type = "string", required = true, one_of = names, description = "Which metric." } },
    { stat_type = { type = "string", required = true, one_of = TYPES, description = "How it is sent." } },
    { sample_rate = { type = "number", gt = 0, description = "Which part of the requests tells it, up to 1." } },
    { consumer_identifier = identifier(CONSUMER, "How consumers are named in it.") },
    { service_identifier = identifier(SERVICE, "How services are named in it.") },
    { workspace_identifier = identifier(WORKSPACE, "How workspaces are named in it.") },
  },
  entity_checks = {
    { custom_entity_check = { field_sources = { "name", "stat_type", "sample_rate" }, fn = check_metric } },
  },
}

local function default(kinds, value, description)
  return { type = "string", required = true, default = value, one_of = kinds, description = description }
end

return {
  name = "statsd",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { host = typedefs.host { default = "localhost", description = "Name or address of the server." } },
        { port = typedefs.port { default = 8125, description = "Its port." } },
        { prefix = { type = "string", default = "kong", description = "What all names begin with." } },
        { metrics = { type = "array", default = default_metrics, elements = metric,
          description = "The metrics that are sent." } },
        { allow_status_codes = { type = "array", description = "Ranges of statuses that are counted: 200-299.",
          elements = { type = "string", match = "^%d+%-%d+$" } } },
        { udp_packet_size = { type = "number", default = 0, between = { 0, 65507 },
          description = "Bytes up to which lines share a packet; 0: a packet for each." } },
        { use_tcp = { type = "boolean", default = false, description = "TCP instead of UDP." } },
        { hostname_in_prefix = { type = "boolean", default = false,
          description = "Add the node's name to the prefix." } },
        { consumer_identifier_default = default(CONSUMER, "custom_id", "How consumers are named.") },
        { service_identifier_default = default(SERVICE, "service_name_or_host", "How services are named.") },
        { workspace_identifier_default = default(WORKSPACE, "workspace_id", "How workspaces are named.") },
        { tag_style = { type = "string", one_of = { "dogstatsd", "influxdb", "librato", "signalfx" },
          description = "Write names of services and the like as tags of that style." } },
        { retry_count = { type = "integer",
          description = "Older setting without effect: see queue.max_retry_time." } },
        { queue_size = { type = "integer", description = "Older name of queue.max_batch_size." } },
        { flush_timeout = { type = "number", description = "Older name of queue.max_coalescing_delay." } },
        { queue = typedefs.queue },
      },
    } },
  },
}

-- Configuration of opentelemetry: Kong 3.14's fields, defaults and checks.

local typedefs = require "moongate.schema.typedefs"

local HEADER_TYPES = { "preserve", "ignore", "b3", "b3-single", "w3c", "jaeger", "ot", "aws", "datadog", "gcp",
  "instana" }

local function flag(name, description)
  return { [name] = { type = "boolean", default = false, description = description } }
end

local function endpoint(description)
  return typedefs.url { referenceable = true, description = description }
end

local function timeout(default, description)
  return typedefs.timeout { default = default, description = description }
end

return {
  name = "opentelemetry",
  fields = {
    { protocols = typedefs.protocols_http },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { traces_endpoint = endpoint("Where spans go: the URL of a collector's /v1/traces.") },
        { logs_endpoint = endpoint("Accepted for Kong's files: lines of plugins' logs are not exported.") },
        { access_logs = { type = "record", required = false, description = "Export of requests' records as logs.", fields = {
          { endpoint = endpoint("Where they go: the URL of a collector's /v1/logs.") },
          { custom_attributes_by_lua = typedefs.lua_code {
            description = "Lua expressions by the name of the attribute they set." } },
        } } },
        { metrics = { type = "record", required = false,
          description = "Accepted for Kong's files: metrics are not pushed.", fields = {
          { endpoint = endpoint("Not used: metrics are served by the prometheus plugin.") },
          { push_interval = { type = "number", default = 60, description = "Not used." } },
          flag("enable_ai_metrics", "Not used."), flag("enable_bandwidth_metrics", "Not used."),
          flag("enable_consumer_attribute", "Not used."), flag("enable_latency_metrics", "Not used."),
          flag("enable_request_metrics", "Not used."), flag("enable_upstream_health_metrics", "Not used."),
        } } },
        { headers = { type = "map", description = "Further fields of the exporting requests.",
          keys = typedefs.header_name, values = { type = "string", referenceable = true } } },
        { resource_attributes = { type = "map", description = "Attributes of this gateway, in addition or instead.",
          keys = { type = "string", required = true }, values = { type = "string", required = true } } },
        { queue = typedefs.queue { default = { max_batch_size = 200 } } },
        { batch_span_count = { type = "integer", description = "Older name of queue.max_batch_size." } },
        { batch_flush_delay = { type = "integer", description = "Older name of queue.max_coalescing_delay." } },
        { connect_timeout = timeout(1000, "Milliseconds to connect to the collector.") },
        { send_timeout = timeout(5000, "Milliseconds to send to it.") },
        { read_timeout = timeout(5000, "Milliseconds for its answer.") },
        { http_response_header_for_traceid = typedefs.header_name {
          description = "A response field that tells the trace's identifier." } },
        { header_type = { type = "string", default = "preserve", one_of = HEADER_TYPES,
          description = "Older setting: which trace headers are written; see propagation." } },
        { sampling_rate = { type = "number", between = { 0, 1 },
          description = "Part of the traces that is recorded; else the node's tracing_sampling_rate." } },
        { sampling_strategy = { type = "string", default = "parent_drop_probability_fallback",
          one_of = { "parent_drop_probability_fallback", "parent_probability_fallback" },
          description = "Which parents decide: those that are not recorded, or all." } },
        { propagation = typedefs.propagation { default = { default_format = "w3c" } } },
      },
      shorthand_fields = {
        { endpoint = typedefs.url { referenceable = true, description = "Older name of traces_endpoint.",
          func = function(value)
            return { traces_endpoint = value }
          end } },
      },
      entity_checks = {
        { at_least_one_of = { "traces_endpoint", "logs_endpoint", "metrics.endpoint", "access_logs.endpoint" } },
      },
    } },
  },
}

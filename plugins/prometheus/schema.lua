-- Configuration of prometheus: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local function flag(name, description)
  return { [name] = { type = "boolean", default = false, description = description } }
end

return {
  name = "prometheus",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        flag("per_consumer", "Fill the label consumer with the consumer's username."),
        flag("status_code_metrics", "Count requests by status: kong_http_requests_total."),
        flag("ai_metrics", "Count requests, tokens, cost and latency of LLM providers."),
        flag("latency_metrics", "Histograms of latencies: the gateway's, the upstream's, the request's."),
        flag("bandwidth_metrics", "Count bytes from and to clients: kong_bandwidth_bytes."),
        flag("upstream_health_metrics", "One gauge for each target of each Upstream."),
        { wasm_metrics = { type = "boolean",
          description = "Accepted for Kong's files; there are no Wasm filters to measure." } },
      },
    } },
  },
}

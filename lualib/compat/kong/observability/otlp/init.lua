-- The name guests know: require "kong.observability.otlp": spans and log records in OTLP's protobuf. The encoder is
-- otlp/encode.lua; here an encoded span is text, and joins with others by concatenation.
-- Who loads this exports traces: from then on they are recorded.

local encode = require("moongate.otlp.encode")
local node = require("moongate.abi.node")
local traces = require("moongate.tracing.trace")
local utils = require("kong.observability.tracing.propagation.utils")

local _M = { to_ot_trace_id = utils.to_kong_trace_id }

local SCOPE = { name = "kong-internal", version = "0.1.0" }

if node.setting("tracing_instrumentations") ~= "off" then
  traces.keep()
end

local function resource_of(attributes)
  local resource = {
    ["service.name"] = "kong", ["service.version"] = kong.version, ["service.instance.id"] = node.node_id(),
  }
  for name, value in pairs(attributes or {}) do
    resource[name] = value
  end
  return resource
end

--- A finished span, for encode_traces.
_M.transform_span = encode.span

--- The request that exports spans (of transform_span), in bytes.
function _M.encode_traces(spans, resource_attributes)
  return encode.export(spans, resource_of(resource_attributes), SCOPE)
end

--- Records {time_unix_nano, log_level, body, attributes}, for encode_logs.
function _M.prepare_logs(logs, trace_id)
  local out = {}
  for i, log in ipairs(logs) do
    out[i] = encode.log_record({
      time_ns = log.time_unix_nano or log.observed_time_unix_nano, severity = ({ [4] = 17, [5] = 13 })[log.log_level] or 9,
      body = log.body, attributes = log.attributes, trace_id = trace_id, span_id = nil,
    })
  end
  return out
end

--- The request that exports records (of prepare_logs), in bytes.
_M.encode_logs = _M.encode_traces

return _M

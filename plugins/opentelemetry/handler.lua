-- opentelemetry: takes part in distributed traces and exports the spans of requests (and records of them as
-- logs) over OTLP/HTTP in protobuf.
-- Not the spans (lualib/tracing), their encoding (lualib/otlp), nor when they are sent (lualib/queue).
-- Invariant: only what was sampled costs more than headers; everything is built in the log phase.

local encode = require "moongate.otlp.encode"
local entry = require "moongate.log.entry"
local finish = require "moongate.tracing.finish".finish
local formats = require "moongate.tracing.formats"
local http = require "moongate.http.client"
local json = require "moongate.abi.json"
local node = require "moongate.abi.node"
local propagation = require "moongate.tracing.propagation"
local queue = require "moongate.queue"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local sampler = require "moongate.tracing.sampler"
local traces = require "moongate.tracing.trace"

local OpenTelemetry = {
  PRIORITY = 14,
  VERSION = "3.14.0",
}

local SCOPE = { name = "kong-internal", version = "0.1.0" }
local SEVERITY_INFO, SEVERITY_ERROR = 9, 17

local DEFAULT_RATE = tonumber(node.setting("tracing_sampling_rate")) or 0.01
local IS_ON = node.setting("tracing_instrumentations") ~= "off"

-- conf -> {plan, traces = queue's parameters, logs, resource}.
local prepared = setmetatable({}, { __mode = "k" })

local function resource_of(conf)
  local resource = {
    ["service.name"] = "kong", ["service.version"] = kong.version, ["service.instance.id"] = node.node_id(),
  }
  for name, value in pairs(conf.resource_attributes or {}) do
    resource[name] = value
  end
  return resource
end

local function prepare(conf)
  local p = prepared[conf]
  if not p then
    local id = conf.__plugin_id or tostring(conf)
    p = {
      plan = propagation.plan(conf), resource = resource_of(conf),
      traces = queue.get_plugin_params("opentelemetry", conf, id .. ":traces"),
      logs = queue.get_plugin_params("opentelemetry", conf, id .. ":logs"),
    }
    prepared[conf] = p
  end
  return p
end

-- Taking part ---------------------------------------------------------------------------------------

-- abi's getter returns no value at all for a field that is not there.
local function get_field(name)
  return (request.header(name))
end

-- The request's trace, joined to the one its headers name and sampled. Second: the headers' format.
local function join(conf, plan)
  local context, found = propagation.extract(plan, get_field)
  local trace = traces.get()
  if not trace then
    return nil, found, context
  elseif trace.should_sample == nil then
    if context then
      traces.join(trace, context)
    end
    traces.set_should_sample(trace, sampler.decide(conf.sampling_strategy, conf.sampling_rate or DEFAULT_RATE,
      trace.trace_id, context and context.should_sample))
  end
  return trace, found, context
end

-- With instrumentation off the trace goes through untouched, or a new one begins that nobody records.
local function passed_on(context)
  return {
    trace_id = context and context.trace_id or node.random_bytes(16),
    span_id = context and context.span_id or node.random_bytes(8),
    should_sample = context and context.should_sample or false,
  }
end

local function set_field(name, value)
  request.set_header(name, value)
end

function OpenTelemetry:access(conf)
  local plan = prepare(conf).plan
  local trace, found, context = join(conf, plan)
  local span = passed_on(context)
  if trace then
    trace.proxy = trace.proxy or traces.start_span(trace, "kong.balancer", { span_kind = 3, parent = trace.root })
    span = trace.proxy
  end
  for _, name in ipairs(plan.clear) do
    request.clear_header(name)
  end
  propagation.inject(plan, span, found, set_field)
  if conf.http_response_header_for_traceid then
    response.set_header(conf.http_response_header_for_traceid, formats.to_hex(span.trace_id))
  end
end

-- Exporting -----------------------------------------------------------------------------------------

local function post(conf, url, items)
  local headers = { ["Content-Type"] = "application/x-protobuf" }
  for name, value in pairs(conf.headers or {}) do
    headers[name] = value
  end
  local answer, err = http.request({
    url = url, method = "POST", headers = headers,
    body = encode.export(items, prepare(conf).resource, SCOPE),
    timeout_ms = conf.connect_timeout + conf.send_timeout + conf.read_timeout,
  })
  if not answer then
    return nil, err
  elseif answer.status < 200 or answer.status > 299 then
    return nil, ("response error: %d, body: %s"):format(answer.status, answer.body:sub(1, 200))
  end
  return true
end

local function send_traces(conf, items)
  return post(conf, conf.traces_endpoint, items)
end

local function send_logs(conf, items)
  return post(conf, conf.access_logs.endpoint, items)
end

local function spans_of(trace)
  local out = {}
  for _, span in ipairs(trace.spans) do
    if span.is_recording and span ~= trace.proxy then
      span:finish(trace.root.end_time_ns)
    end
    if span.end_time_ns then
      out[#out + 1] = encode.span(span)
    end
  end
  return table.concat(out)
end

local function log_attributes(conf, record)
  local out = {
    ["http.request.method"] = record.request.method, ["url.full"] = record.request.url,
    ["http.response.status_code"] = record.response.status, ["client.address"] = record.client_ip,
    ["kong.request.id"] = record.request.id,
  }
  for _, field in ipairs(entry.compile(conf.access_logs.custom_attributes_by_lua or {})) do
    local ok, value = pcall(field.run)
    if ok then
      out[field.key] = value
    else
      kong.log.err("custom attribute '", field.key, "' was left out: ", value)
    end
  end
  return out
end

local function log_record(conf, text, record, trace)
  local is_error = (tonumber(record.response.status) or 500) >= 500
  return encode.log_record({
    time_ns = record.started_at * 1e6, severity = is_error and SEVERITY_ERROR or SEVERITY_INFO, body = text,
    attributes = log_attributes(conf, record), trace_id = trace and trace.trace_id,
    span_id = trace and trace.root.span_id,
  })
end

function OpenTelemetry:log(conf)
  local p, trace = prepare(conf), join(conf, prepare(conf).plan)
  local wants_trace = trace and trace.should_sample and conf.traces_endpoint
  local wants_log = conf.access_logs and conf.access_logs.endpoint
  if not wants_trace and not wants_log then
    return
  end
  local text = entry.text({})
  local record = json.decode(text)
  if wants_trace then
    finish(trace, record)
    queue.enqueue(p.traces, send_traces, conf, spans_of(trace))
  end
  if wants_log then
    queue.enqueue(p.logs, send_logs, conf, log_record(conf, text, record, trace))
  end
end

-- What the configuration asks for and is not there is said once for each configuration.
local function tell_missing(conf)
  if conf.logs_endpoint then
    kong.log.warn("logs_endpoint: log lines of plugins are not exported; access_logs.endpoint exports records")
  end
  if conf.metrics and conf.metrics.endpoint then
    kong.log.warn("metrics.endpoint: metrics are not pushed; the prometheus plugin serves them at /metrics")
  end
end

function OpenTelemetry:configure(configs)
  for _, conf in ipairs(configs or {}) do
    tell_missing(conf)
  end
  traces.start(IS_ON and configs ~= nil and #configs > 0)
end

return OpenTelemetry

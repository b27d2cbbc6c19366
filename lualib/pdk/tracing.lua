-- kong.tracing: spans of plugins in the trace of the request. They are recorded while a plugin exports
-- traces (opentelemetry) and tracing_instrumentations is not off; else they do nothing and cost nothing.
-- Not the trace itself (tracing/trace) nor its export.
-- Invariant: every function is callable always; without a trace all get the same empty span.

local finish = require("moongate.tracing.finish").finish
local json = require("moongate.abi.json")
local node = require("moongate.abi.node")
local phase = require("moongate.abi.phase")
local sampler = require("moongate.tracing.sampler")
local traces = require("moongate.tracing.trace")

local Noop = {}
Noop.__index = Noop

function Noop.finish() end
function Noop.set_attribute() end
function Noop.add_event() end
function Noop.record_error() end
function Noop.set_status() end

local NOOP = setmetatable({
  is_recording = false, should_sample = false, name = "noop", attributes = {}, events = {},
}, Noop)

local _M = { name = node.setting("tracing_instrumentations") == "off" and "noop" or "kong" }

-- Both kong.tracing.f(x) and kong.tracing:f(x) are written.
local function without_self(first, ...)
  if first == _M then
    return ...
  end
  return first, ...
end

local function begin(name, options)
  if type(name) ~= "string" or name == "" then
    error("invalid span name", 3)
  end
  local trace = traces.get()
  if not trace then
    return NOOP
  end
  return traces.start_span(trace, name, options)
end

--- Starts a span, a child of the active one. All phases. Returns a span: finish([end_time_ns]),
-- set_attribute(name, value), add_event(name, attributes, time_ns), record_error(err), set_status(0 | 1 | 2).
-- name: a string. options: parent (a span), span_kind (1 internal, 2 server, 3 client), start_time_ns, attributes.
-- Example: local span = kong.tracing.start_span("my call"); span:finish()
function _M.start_span(...)
  return begin(without_self(...))
end

--- The same; in Kong without making it part of the trace. All phases.
function _M.create_span(_, options)
  return begin(type(options) == "table" and options.name or "span", options)
end

--- The span that is active, or nil. All phases.
function _M.active_span()
  local trace = traces.find()
  return trace and (trace.active or trace.root)
end

--- Makes a span the parent of those started next. All phases.
function _M.set_active_span(...)
  local span = without_self(...)
  local trace = traces.find()
  if trace and type(span) == "table" and span.trace == trace then
    trace.active = span
  end
end

--- The span of the whole request, or nil. All phases.
function _M.get_root_span()
  local trace = traces.find()
  return trace and trace.root
end

--- Makes a span a part of the request's trace. Spans are by themselves: nothing is left to do.
function _M.link_span() end

--- Calls fn(span) for each span of the request. phases: log.
function _M.process_span(...)
  local fn = without_self(...)
  if type(fn) ~= "function" then
    error("processor must be a function", 2)
  end
  local trace = traces.find()
  if trace and phase.current() == phase.LOG then
    finish(trace, json.decode(node.serialize()))
  end
  for _, span in ipairs(trace and trace.spans or {}) do
    if not span.end_time_ns and trace.root.end_time_ns then
      span:finish(trace.root.end_time_ns)
    end
    fn(span)
  end
end

--- Decides whether the request's trace is recorded. All phases.
function _M.set_should_sample(...)
  local should_sample = without_self(...)
  local trace = traces.find()
  if trace then
    traces.set_should_sample(trace, should_sample == true)
  end
end

local function decided(trace, parent, rate)
  if parent == nil and rate == nil then
    return trace ~= nil and trace.should_sample == true
  end
  rate = rate or tonumber(node.setting("tracing_sampling_rate")) or 0
  return trace ~= nil and sampler.decide("parent_drop_probability_fallback", rate, trace.root and trace.root.trace_id
    or trace.trace_id, parent)
end

--- Is this request's trace recorded? Or, with what its parent says (true, false, nil) or a rate from 0 to 1: should it
-- be? All phases.
function _M.get_sampling_decision(...)
  return decided(traces.find(), without_self(...))
end

local function without_tracer(self, first, ...)
  if first == self then
    return ...
  end
  return first, ...
end

--- A tracer of that name, with a trace of its own: its spans have identifiers to pass on, and are never exported.
-- All phases. Returns a table with the functions of kong.tracing.
function _M.new(name)
  local trace = traces.detached()
  local tracer = { name = name }
  function tracer.start_span(...)
    local span_name, options = without_tracer(tracer, ...)
    return traces.start_span(trace, span_name, options)
  end
  function tracer.get_sampling_decision(...)
    return decided(trace, without_tracer(tracer, ...))
  end
  function tracer.set_should_sample(...)
    traces.set_should_sample(trace, without_tracer(tracer, ...) == true)
  end
  return setmetatable(tracer, { __index = _M })
end

return setmetatable(_M, { __call = function()
  return _M
end })

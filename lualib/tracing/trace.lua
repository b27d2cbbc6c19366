-- The trace of a request: its spans, which one is active, whether it is recorded. One for each request,
-- made on first use while a plugin exports traces (start); else there is none and spans do nothing.
-- Not headers (propagation.lua), not export (otlp/).
-- Invariant: the first span is the root, and its trace_id is that of every other.

local node = require "moongate.abi.node"
local phase = require "moongate.abi.phase"
local request = require "moongate.abi.request"
local task = require "moongate.abi.task"

local _M = {}

local KEY = {} -- of the request's trace in task.get_extra
local SPANS_MAX = 256

local recording = false -- does anybody export what is recorded?
local kept = false      -- whatever the configuration

-- Called with whether traces are exported by this configuration.
function _M.start(on)
  recording = on and true or kept
end

-- Called by what exports traces as long as this state lives.
function _M.keep()
  kept, recording = true, true
end

-- Spans ---------------------------------------------------------------------------------------------

local Span = {}
Span.__index = Span

local function now_ns(trace)
  return (node.mono() + trace.offset) * 1e9
end

--- Ends the span. end_time_ns: now when absent. A second call changes nothing.
function Span:finish(end_time_ns)
  if self.is_recording then
    self.is_recording = false
    self.end_time_ns = end_time_ns and tonumber(end_time_ns) or now_ns(self.trace)
    if self.trace.active == self then
      self.trace.active = self.parent
    end
  end
end

--- Sets an attribute: a string, number, boolean or array; nil takes it away.
function Span:set_attribute(name, value)
  if type(name) ~= "string" then
    error("key must be a string", 2)
  end
  self.attributes[name] = value
end

--- Adds an event. attributes: a table or nil. time_ns: now when absent.
function Span:add_event(name, attributes, time_ns)
  if type(name) ~= "string" then
    error("name must be a string", 2)
  end
  self.events = self.events or {}
  self.events[#self.events + 1] = { name = name, attributes = attributes,
    time_ns = time_ns and tonumber(time_ns) or now_ns(self.trace) }
end

--- Adds an event that tells of an error.
function Span:record_error(err)
  self:add_event("exception", { ["exception.message"] = tostring(err) })
end

--- 0 unset, 1 ok, 2 error.
function Span:set_status(status)
  if status ~= 0 and status ~= 1 and status ~= 2 then
    error("invalid status code: 0, 1 or 2", 2)
  end
  self.status = status
end

local function add(trace, name, options)
  local parent = options.parent or trace.active or trace.root
  local span = setmetatable({
    trace = trace, name = name, kind = options.span_kind or 1, parent = parent,
    trace_id = trace.trace_id, span_id = node.random_bytes(8), parent_id = parent and parent.span_id,
    start_time_ns = options.start_time_ns and tonumber(options.start_time_ns) or now_ns(trace),
    attributes = options.attributes or {}, is_recording = true, should_sample = trace.should_sample ~= false,
  }, Span)
  if #trace.spans < SPANS_MAX then
    trace.spans[#trace.spans + 1] = span
  end
  return span
end

-- Traces --------------------------------------------------------------------------------------------

local function make(trace)
  node.update_time()
  trace.spans, trace.offset = {}, node.now() - node.mono()
  trace.trace_id = node.random_bytes(16)
  trace.root = add(trace, "kong", { span_kind = 2, start_time_ns = request.start_time() * 1e9 })
end

-- The request's trace, or nil: nobody exports any, or there is no request.
function _M.get()
  if not recording or not phase.has_request() then
    return nil
  end
  local trace = task.get_extra(KEY)
  if not trace.root then
    make(trace)
  end
  return trace
end

-- A trace that belongs to no request: to pass an identifier on. Nobody exports it.
function _M.detached()
  return { spans = {}, offset = node.now() - node.mono(), trace_id = node.random_bytes(16), should_sample = false }
end

-- The trace if something made it, else nil.
function _M.find()
  local trace = recording and phase.has_request() and task.find_extra(KEY)
  return trace and trace.root and trace or nil
end

-- Starts a span of that trace. options: parent, span_kind (1 internal, 2 server, 3 client), start_time_ns, attributes.
function _M.start_span(trace, name, options)
  return add(trace, name, options or {})
end

-- The trace continues one that began elsewhere. context: {trace_id, span_id | nil}.
function _M.join(trace, context)
  trace.trace_id = context.trace_id
  trace.root.parent_id = context.span_id
  for _, span in ipairs(trace.spans) do
    span.trace_id = context.trace_id
  end
end

-- Whether it is recorded to the end.
function _M.set_should_sample(trace, should_sample)
  trace.should_sample = should_sample
  for _, span in ipairs(trace.spans) do
    span.should_sample = should_sample
  end
end

return _M

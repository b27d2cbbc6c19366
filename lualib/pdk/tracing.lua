-- kong.tracing and its spans: callable everywhere, recording nothing. A plugin that traces does it over
-- its own exporter; with instrumentation off Kong's spans do the same as these.
-- Invariant: one span object for all, so that a call costs nothing.

local Span = {}
Span.__index = Span

--- Methods of a span; each returns nothing.
function Span.finish() end
function Span.set_attribute() end
function Span.add_event() end
function Span.record_error() end
function Span.set_status() end

local SPAN = setmetatable({
  is_recording = false, should_sample = false, name = "noop", attributes = {}, events = {},
}, Span)

local function span()
  return SPAN
end

local function nothing() end

local _M = { name = "noop", sampler = nil }

--- Starts a span. name, options: not kept. All phases. Returns a span.
_M.start_span = span
--- Makes a span without starting it. All phases.
_M.create_span = span
--- The span that is active: nil, since none is. All phases.
_M.active_span = nothing
_M.set_active_span = nothing
_M.get_root_span = nothing
_M.link_span = nothing
--- Calls fn for each span of the request: for none. phases: log.
_M.process_span = nothing
_M.set_should_sample = nothing

--- Is this request sampled? false. All phases.
function _M.get_sampling_decision()
  return false
end

--- A tracer of that name. All phases.
function _M.new()
  return _M
end

return setmetatable(_M, { __call = function()
  return _M
end })

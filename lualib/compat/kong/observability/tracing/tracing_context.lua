-- The name guests know: require "kong.observability.tracing.tracing_context": what is known of a request's trace, in its ctx.

local _M = {}

local KEY = "TRACING_CONTEXT"

local function context_of(ctx)
  ctx = ctx or ngx.ctx
  local context = ctx[KEY]
  if not context then
    context = { trace_id = { formatted = {} }, unlinked_spans = {} }
    ctx[KEY] = context
  end
  return context
end

--- Adds the trace's identifier in formats ({w3c = "...", ...}); all that are known so far.
function _M.add_trace_id_formats(formats, ctx)
  local known = context_of(ctx).trace_id.formatted
  for format, value in pairs(formats) do
    known[format] = value
  end
  return known
end

--- The identifier in bytes, or nil.
function _M.get_raw_trace_id(ctx)
  return context_of(ctx).trace_id.raw
end

function _M.set_raw_trace_id(trace_id, ctx)
  context_of(ctx).trace_id.raw = trace_id
end

function _M.get_flags(ctx)
  return context_of(ctx).flags
end

function _M.set_flags(flags, ctx)
  context_of(ctx).flags = flags
end

--- A span that is kept by name until it becomes part of the trace, or nil.
function _M.get_unlinked_span(name, ctx)
  return context_of(ctx).unlinked_spans[name]
end

function _M.set_unlinked_span(name, span, ctx)
  context_of(ctx).unlinked_spans[name] = span
end

return _M

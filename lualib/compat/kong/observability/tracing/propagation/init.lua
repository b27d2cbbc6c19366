-- The name guests know: require "kong.observability.tracing.propagation": trace headers of a request: read, taken away,
-- written. The formats are tracing/formats.lua's; which of them is the plugin's configuration.
-- Invariant: what a plugin gets and gives is a table {trace_id, span_id, parent_id, should_sample} of bytes and booleans.

local formats = require("moongate.tracing.formats")
local kong = require("moongate.pdk")
local ngx = require("moongate.ngx")
local request = require("moongate.abi.request")
local tracing_context = require("kong.observability.tracing.tracing_context")
local traces = require("moongate.tracing.trace")

local _M = {}

local ALL = { "b3", "w3c", "jaeger", "ot", "datadog", "aws", "gcp" }

local SHARED_SPANS = { b3 = true, ["b3-single"] = true, jaeger = true } -- client and server are one span

local function is_set(value)
  return value ~= nil and value ~= ngx.null
end

--- The plugin's conf.propagation; of a configuration from before it the same, made of header_type.
function _M.get_plugin_params(conf)
  local out = conf.propagation or {}
  for name, value in pairs(out) do
    if name ~= "default_format" and is_set(value) then
      return out
    end
  end
  if is_set(conf.default_header_type) then
    out.default_format = conf.default_header_type
  end
  local kind = conf.header_type
  if kind == "ignore" then
    out.inject = { out.default_format }
  elseif is_set(kind) then
    out.extract = ALL
    out.inject = kind == "preserve" and { "preserve" } or { "preserve", kind }
  end
  return out
end

local function get_field(name)
  return (request.header(name))
end

--- The trace that the request's headers name, by the first of params.extract that finds one; {} when none does.
function _M.extract(params)
  for _, name in ipairs(params.extract or {}) do
    local context = formats.all[name].extract(get_field)
    if context then
      kong.ctx.plugin.extracted_from = name
      context.single_header = name == "b3" and formats.b3_kind(get_field) == "b3-single" or nil
      context.trace_id_original_size = #context.trace_id
      context.reuse_span_id = SHARED_SPANS[name]
      return context
    end
  end
  return {}
end

--- Takes the fields of params.clear off the request.
function _M.clear(params)
  for _, name in ipairs(params.clear or {}) do
    request.clear_header(name)
  end
end

local function format_of(params, context, name)
  if name ~= "preserve" then
    return name
  end
  name = kong.ctx.plugin.extracted_from or params.default_format or "w3c"
  return name == "b3" and context.single_header and "b3-single" or name
end

-- What identifies the trace in a format, for the log.
local function shown(name, context)
  return { [name] = formats.to_hex(context.trace_id) }
end

--- Writes the trace in the formats of params.inject. The trace's identifier in the formats known so far, or nil and why.
function _M.inject(params, context)
  local known
  for _, wanted in ipairs(params.inject or {}) do
    local name = format_of(params, context, wanted)
    local format = formats.all[name]
    if not format then
      return nil, "unknown format of trace headers: " .. tostring(name)
    elseif not context.trace_id or not context.span_id then
      return nil, name .. " injector: no trace_id or span_id"
    end
    format.inject(context, request.set_header)
    known = tracing_context.add_trace_id_formats(shown(name, context))
  end
  return known
end

--- Extracts, lets get_context(extracted, ...) say what to pass on, clears and injects.
function _M.propagate(params, get_context, ...)
  local trace = traces.get()
  if trace then
    ngx.ctx.KONG_SPANS = trace.spans
  end
  local context = _M.extract(params)
  if get_context then
    context = get_context(context, ...)
  end
  _M.clear(params)
  local known, err = _M.inject(params, context)
  if err then
    kong.log.err(err)
  elseif known then
    kong.log.set_serialize_value("trace_id", known)
  end
end

return _M

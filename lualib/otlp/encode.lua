-- OTLP messages as protobuf: spans and log records, and the requests that export them.
-- Not HTTP, not what spans hold (tracing/span). Field numbers are those of opentelemetry-proto 1.x.
-- Invariant: attributes are written in the order of their names, so that equal spans are equal bytes.

local protobuf = require "moongate.otlp.protobuf"

local int, bytes, fixed64, fixed32 = protobuf.int, protobuf.bytes, protobuf.fixed64, protobuf.fixed32
local concat = table.concat

local _M = {}

local EXACT = 2 ^ 53
local value_of

local function array(list)
  local out = {}
  for i = 1, #list do
    out[i] = bytes(1, value_of(list[i]))
  end
  return concat(out)
end

-- AnyValue.
function value_of(value)
  local kind = type(value)
  if kind == "string" then
    return bytes(1, value)
  elseif kind == "boolean" then
    return protobuf.bool(2, value)
  elseif kind == "number" then
    if value == math.floor(value) and math.abs(value) <= EXACT then
      return int(3, value)
    end
    return protobuf.double(4, value)
  elseif kind == "table" then
    return bytes(5, array(value))
  end
  return bytes(1, tostring(value))
end

-- KeyValue messages of a table {name = string | number | boolean | array of these}, as that field.
local function attributes(field, map)
  local names, out = {}, {}
  for name in pairs(map or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    out[i] = bytes(field, bytes(1, name) .. bytes(2, value_of(map[name])))
  end
  return concat(out)
end

local function events(list)
  local out = {}
  for i, event in ipairs(list or {}) do
    out[i] = bytes(11, fixed64(1, event.time_ns) .. bytes(2, event.name) .. attributes(3, event.attributes))
  end
  return concat(out)
end

local function status(span)
  if not span.status or span.status == 0 then
    return ""
  end
  local message = span.status_message and bytes(2, span.status_message) or ""
  return bytes(15, message .. int(3, span.status))
end

-- A span as the field `spans` of a ScopeSpans message: several are joined by concatenation.
function _M.span(span)
  return bytes(2, concat({
    bytes(1, span.trace_id),
    bytes(2, span.span_id),
    span.parent_id and bytes(4, span.parent_id) or "",
    bytes(5, span.name),
    int(6, span.kind),
    fixed64(7, span.start_time_ns),
    fixed64(8, span.end_time_ns),
    attributes(9, span.attributes),
    events(span.events),
    status(span),
    fixed32(16, span.should_sample and 1 or 0),
  }))
end

-- A log record as the field `log_records` of a ScopeLogs message. record: time_ns, severity (number), body,
-- attributes, trace_id and span_id (or nil).
function _M.log_record(record)
  return bytes(2, concat({
    fixed64(1, record.time_ns),
    int(2, record.severity),
    bytes(5, value_of(record.body)),
    attributes(6, record.attributes),
    record.trace_id and bytes(9, record.trace_id) or "",
    record.span_id and bytes(10, record.span_id) or "",
    fixed64(11, record.time_ns),
  }))
end

-- ExportTraceServiceRequest and ExportLogsServiceRequest are built alike. items: results of span or log_record;
-- resource: attributes; scope: {name, version}.
function _M.export(items, resource, scope)
  local scoped = bytes(1, bytes(1, scope.name) .. bytes(2, scope.version)) .. concat(items)
  return bytes(1, bytes(1, attributes(1, resource)) .. bytes(2, scoped))
end

return _M

-- Trace headers, format by format: W3C, B3 (several fields, one field), Jaeger, OpenTracing, Datadog,
-- AWS X-Ray, Google Cloud, Instana. Which are read and written is propagation.lua's.
-- Identifiers are raw bytes: 16 of a trace, 8 of a span.
-- Invariant: a malformed field is as good as none; identifiers of zeros are malformed.

local _M = {}

local NO_SPAN = ("\0"):rep(8)

-- Identifiers ---------------------------------------------------------------------------------------

local TO_HEX, FROM_HEX = {}, {}
for i = 0, 255 do
  local hex, c = ("%02x"):format(i), string.char(i)
  TO_HEX[c], FROM_HEX[hex] = hex, c
end

local function to_hex(raw)
  return (raw:gsub(".", TO_HEX))
end
_M.to_hex = to_hex

-- Hex digits as exactly n bytes, padded at the left; nil when malformed, too long or zero.
local function from_hex(text, n)
  if not text or text == "" or #text > 2 * n or text:find("%X") or not text:find("[^0]") then
    return nil
  end
  text = ("0"):rep(2 * n - #text) .. text:lower()
  return (text:gsub("..", FROM_HEX))
end

-- Decimal digits as 8 bytes.
local function from_decimal(text)
  if not text or not text:find("^%d+$") or #text > 20 then
    return nil
  end
  local n = 0ULL
  for i = 1, #text do
    n = n * 10ULL + (text:byte(i) - 48)
  end
  local out = {}
  for i = 8, 1, -1 do
    out[i] = string.char(tonumber(n % 256ULL))
    n = n / 256ULL
  end
  out = table.concat(out)
  return out ~= NO_SPAN and out or nil
end

local function to_decimal(raw)
  local n = 0ULL
  for i = 1, #raw do
    n = n * 256ULL + raw:byte(i)
  end
  return (tostring(n):gsub("ULL$", ""))
end

-- A context without a trace is none.
local function context(trace_id, span_id, should_sample, parent_id)
  if not trace_id then
    return nil
  end
  return { trace_id = trace_id, span_id = span_id, should_sample = should_sample, parent_id = parent_id }
end

local function flag(text)
  if text == "1" or text == "true" then
    return true
  elseif text == "0" or text == "false" then
    return false
  end
end

local function bit_of(span)
  return span.should_sample and "1" or "0"
end

-- Formats -------------------------------------------------------------------------------------------
-- extract(get) -> {trace_id, span_id | nil, should_sample | nil} | nil; inject(span, set).

local w3c = {}

function w3c.extract(get)
  local text = get("traceparent")
  local version, trace, span, flags = (text or ""):match("^(%x%x)%-(%x+)%-(%x+)%-(%x%x)")
  if not version or version == "ff" or #trace ~= 32 or #span ~= 16 or (version == "00" and #text ~= 55) then
    return nil
  end
  local span_id = from_hex(span, 8)
  return span_id and context(from_hex(trace, 16), span_id, tonumber(flags, 16) % 2 == 1)
end

function w3c.inject(span, set)
  set("traceparent", ("00-%s-%s-0%s"):format(to_hex(span.trace_id), to_hex(span.span_id), bit_of(span)))
end

local b3_single = {}

function b3_single.extract(get)
  local text = get("b3")
  local trace, span, rest = (text or ""):match("^(%x+)%-(%x+)(.*)$")
  if not trace then
    return nil
  end
  local sampled, parent = rest:match("^%-([01d])%-?(%x*)$")
  local sample = sampled == "d" or flag(sampled)
  return context(from_hex(trace, 16), from_hex(span, 8), sampled and sample, from_hex(parent, 8))
end

function b3_single.inject(span, set)
  set("b3", ("%s-%s-%s%s"):format(to_hex(span.trace_id), to_hex(span.span_id), bit_of(span),
    span.parent_id and "-" .. to_hex(span.parent_id) or ""))
end

local b3 = {}

function b3.extract(get)
  local sample = flag(get("x-b3-sampled"))
  if get("x-b3-flags") == "1" then
    sample = true
  end
  return context(from_hex(get("x-b3-traceid"), 16), from_hex(get("x-b3-spanid"), 8), sample,
    from_hex(get("x-b3-parentspanid"), 8)) or b3_single.extract(get)
end

function b3.inject(span, set)
  set("x-b3-traceid", to_hex(span.trace_id))
  set("x-b3-spanid", to_hex(span.span_id))
  if span.parent_id then
    set("x-b3-parentspanid", to_hex(span.parent_id))
  end
  set("x-b3-sampled", bit_of(span))
end

local jaeger = {}

function jaeger.extract(get)
  local text = get("uber-trace-id")
  local trace, span, parent, flags = (text or ""):gsub("%%3[aA]", ":"):match("^(%x+):(%x+):(%x+):(%x%x?)$")
  return trace and context(from_hex(trace, 16), from_hex(span, 8), tonumber(flags, 16) % 2 == 1, from_hex(parent, 8))
end

function jaeger.inject(span, set)
  set("uber-trace-id", ("%s:%s:%s:0%s"):format(to_hex(span.trace_id), to_hex(span.span_id),
    span.parent_id and to_hex(span.parent_id) or "0", bit_of(span)))
end

local ot = {}

function ot.extract(get)
  return context(from_hex(get("ot-tracer-traceid"), 16), from_hex(get("ot-tracer-spanid"), 8),
    flag(get("ot-tracer-sampled")))
end

function ot.inject(span, set)
  set("ot-tracer-traceid", to_hex(span.trace_id))
  set("ot-tracer-spanid", to_hex(span.span_id))
  set("ot-tracer-sampled", bit_of(span))
end

local datadog = {}

function datadog.extract(get)
  local trace = from_decimal(get("x-datadog-trace-id"))
  local priority = tonumber(get("x-datadog-sampling-priority"))
  return trace and context(NO_SPAN .. trace, from_decimal(get("x-datadog-parent-id")),
    priority and priority > 0)
end

function datadog.inject(span, set)
  set("x-datadog-trace-id", to_decimal(span.trace_id:sub(9)))
  set("x-datadog-parent-id", to_decimal(span.span_id))
  set("x-datadog-sampling-priority", bit_of(span))
end

local aws = {}

function aws.extract(get)
  local text = get("x-amzn-trace-id")
  local time, rest = (text or ""):match("[Rr]oot=1%-(%x+)%-(%x+)")
  if not time or #time ~= 8 or #rest ~= 24 then
    return nil
  end
  return context(from_hex(time .. rest, 16), from_hex(text:match("[Pp]arent=(%x+)"), 8),
    flag(text:match("[Ss]ampled=(%d)")))
end

function aws.inject(span, set)
  local trace = to_hex(span.trace_id)
  set("x-amzn-trace-id", ("Root=1-%s-%s;Parent=%s;Sampled=%s"):format(trace:sub(1, 8), trace:sub(9),
    to_hex(span.span_id), bit_of(span)))
end

local gcp = {}

function gcp.extract(get)
  local text = get("x-cloud-trace-context")
  local trace, span, options = (text or ""):match("^(%x+)/(%d+)(.*)$")
  return trace and #trace == 32 and context(from_hex(trace, 16), from_decimal(span),
    flag(options:match("^;o=(%d)")))
    or nil
end

function gcp.inject(span, set)
  set("x-cloud-trace-context", ("%s/%s;o=%s"):format(to_hex(span.trace_id), to_decimal(span.span_id),
    bit_of(span)))
end

local instana = {}

function instana.extract(get)
  local level = get("x-instana-l")
  return context(from_hex(get("x-instana-t"), 16), from_hex(get("x-instana-s"), 8),
    level and flag(level:sub(1, 1)))
end

function instana.inject(span, set)
  set("x-instana-t", to_hex(span.trace_id))
  set("x-instana-s", to_hex(span.span_id))
  set("x-instana-l", bit_of(span))
end

_M.all = {
  w3c = w3c, b3 = b3, ["b3-single"] = b3_single, jaeger = jaeger, ot = ot, datadog = datadog, aws = aws,
  gcp = gcp, instana = instana,
}

-- Which format was b3: one field, or several.
function _M.b3_kind(get)
  return get("x-b3-traceid") and "b3" or "b3-single"
end

return _M

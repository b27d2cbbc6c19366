-- The end of a request's trace, in the log phase: times and attributes of the spans that are the gateway's own, from the
-- request's record. Not what plugins' spans hold, nor the export.

local attributes = require "moongate.tracing.attributes"
local exchange = require "moongate.abi.exchange"
local request = require "moongate.abi.request"

local _M = {}

-- When the upstream was first asked and when its response ended; nil: it never was.
local function finish_proxy(trace, record)
  local tries, span = record.tries or {}, trace.proxy
  local first = tries[1]
  if not span or not first then
    return nil
  end
  local _, upstream_ms, _, receive_ms = exchange.latencies()
  span.start_time_ns = (first.balancer_start or trace.root.start_time_ns / 1e6) * 1e6
  span:finish(math.min(trace.root.end_time_ns,
    span.start_time_ns + ((upstream_ms or 0) + (receive_ms or 0)) * 1e6))
  attributes.set_proxy(span, record, tries)
  return span
end

local function finish_root(trace, record)
  local root = trace.root
  local _, _, request_ms = exchange.latencies()
  root:finish(root.start_time_ns + (request_ms or 0) * 1e6)
  attributes.set_root(root, record, {
    minor = request.http_minor(), scheme = request.scheme(), host = request.host(), peer_ip = request.peer_ip(),
  })
end

--- Sets times and attributes of the gateway's own spans, once for each request. record: of the request's log.
function _M.finish(trace, record)
  if trace.finished then
    return
  end
  finish_root(trace, record)
  local proxy = finish_proxy(trace, record)
  local use = kong.ctx.shared.ai
  if use then
    attributes.set_genai(proxy or trace.root, use)
  end
  trace.finished = true
end

return _M

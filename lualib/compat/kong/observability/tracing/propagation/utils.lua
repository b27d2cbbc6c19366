-- The name guests know: require "kong.observability.tracing.propagation.utils": names of header formats, identifiers.

local crypto = require("moongate.abi.crypto")
local text = require("kong.tools.string")

local TRACE_ID_BYTES = { 8, 16 } -- what a trace's identifier may have
local SPAN_ID_BYTES = 8

local _M = {
  FORMATS = {
    W3C = "w3c", B3 = "b3", B3_SINGLE = "b3-single", JAEGER = "jaeger", OT = "ot", DATADOG = "datadog", AWS = "aws",
    GCP = "gcp", INSTANA = "instana",
  },
}

function _M.from_hex(digits)
  if type(digits) ~= "string" then
    return nil, "not a string"
  end
  return text.from_hex(#digits % 2 == 1 and "0" .. digits or digits)
end

_M.to_hex = crypto.hex

--- An identifier of exactly so many bytes: its last ones, or zeros before it. nil for nil.
function _M.to_id_size(id, bytes)
  return id and ("\0"):rep(bytes - #id) .. id:sub(-bytes) or nil
end

--- 16 bytes of any identifier of a trace; 8 of one of a span.
function _M.to_kong_trace_id(id)
  return _M.to_id_size(id, TRACE_ID_BYTES[2])
end

function _M.to_kong_span_id(id)
  return _M.to_id_size(id, SPAN_ID_BYTES)
end

return _M

-- kong.service.response: the response as the upstream sent it, before plugins changed it.
-- Not what the client gets: kong.response.

local exchange = require("moongate.abi.exchange")
local response = require("moongate.abi.response")
local body = require("moongate.pdk.body")
local checks = require("moongate.pdk.checks")
local fields = require("moongate.pdk.fields")
local phases = require("moongate.pdk.phases")

local check, AFTER_HEAD = phases.check, phases.AFTER_HEAD
local UNBUFFERED = "service body is only available with buffered proxying "
  .. "(see: kong.service.request.enable_buffering function)"

local _M = {}

--- The upstream's status, or nil when no upstream answered.
-- phases: response to log.
function _M.get_status()
  check(AFTER_HEAD)
  return exchange.upstream_status()
end

--- The upstream's header fields. See kong.request.get_headers.
-- phases: response to log. max_headers: 1 to 1000, 100 when nil. Returns a table, and "truncated".
function _M.get_headers(max_headers)
  check(AFTER_HEAD)
  local max = checks.count(max_headers, "max_headers")
  local flat, more = exchange.upstream_headers(max)
  return fields.table(flat), more and "truncated" or nil
end

--- The first value of a header field of the upstream, or nil.
-- phases: response to log.
function _M.get_header(name)
  check(AFTER_HEAD)
  if type(name) ~= "string" then
    error("header name must be a string", 2)
  end
  return exchange.upstream_header(fields.wire_name(name))
end

--- The upstream's whole body; "" when it has none.
-- phases: response to log. Raises when the response is not buffered.
function _M.get_raw_body()
  check(AFTER_HEAD)
  if not exchange.buffering() then
    error(UNBUFFERED, 2)
  end
  return response.collected() or ""
end

--- The upstream's body as a table. See kong.request.get_body.
-- phases: response to log. Raises when the response is not buffered.
function _M.get_body(mimetype, max_args)
  check(AFTER_HEAD)
  if not exchange.buffering() then
    error(UNBUFFERED, 2)
  elseif mimetype ~= nil then
    checks.string(mimetype, "mimetype")
  end
  local max = checks.count(max_args, "max_args")
  local received = exchange.upstream_header("content-type")
  local content_type = mimetype or received
  if not content_type then
    return nil, "missing content type"
  end
  return body.read(content_type, max, response.collected, received)
end

return _M

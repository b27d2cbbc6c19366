-- The exchange with the upstream: its target, the request's body on the way there, and what is
-- known of the upstream's response. What plugins of ours use as `x`.
-- Functions that wait: read_body, body_file. Not the response to the client: abi/response.

local bit = require "bit"
local c = require "moongate.abi.c"
local headers = require "moongate.abi.headers"
local request = require "moongate.abi.request"

local C, native, str, u32, text = c.C, c.native, c.str, c.u32, c.text
local why = c.why
local num_of, str_of, bool_of = request.num_of, request.str_of, request.bool_of

local _M = {}

-- ---- body ----

-- Waits until the whole body is buffered. max_bytes nil or 0: the node's limit.
-- true, or nil and "too large" | "timeout" | "aborted" | "protocol error".
_M.read_body = native.read_body
-- limit_body(max_bytes): a longer body is refused with 413, also when it streams through unread.
-- true, or nil and "too large": more has been received already.
_M.limit_body = native.limit_body
-- The body as it goes upstream now, as a string ("" when empty); nil, why before read_body.
_M.body_get = native.body_get
-- Replaces it. true, or nil and why.
_M.body_set = native.body_set
-- body_file(path[, remove]): replaces it by a file's bytes, which another thread reads; waits. true, or nil and why.
_M.body_file = native.body_file
_M.body_size = num_of(C.MG_BODY_SIZE)
_M.body_complete = bool_of(C.MG_BODY_COMPLETE)

-- ---- body as a JSON document: only top-level members, nothing is decoded ----

local TYPES = {
  [C.MG_JSON_NULL] = "null",
  [C.MG_JSON_FALSE] = "boolean",
  [C.MG_JSON_TRUE] = "boolean",
  [C.MG_JSON_NUMBER] = "number",
  [C.MG_JSON_STRING] = "string",
  [C.MG_JSON_ARRAY] = "array",
  [C.MG_JSON_OBJECT] = "object",
}

-- Opens the buffered body. true, or nil and "not an object" or the like with its offset.
function _M.json_open()
  local code = C.mg_json_open(str)
  if code == 0 then
    return true
  end
  return nil, code == C.MG_FAILED and text(str[0]) or why[code]
end

-- "null" "boolean" "number" "string" "array" "object", or nil when the member is absent.
function _M.json_type(name)
  return TYPES[C.mg_json_find(name, #name, str, u32)]
end

-- The member's raw JSON text, or nil.
function _M.json_raw(name)
  if C.mg_json_find(name, #name, str, u32) > 0 then
    return text(str[0])
  end
end

-- Elements of an array or members of an object member; nil for others.
function _M.json_count(name)
  if C.mg_json_find(name, #name, str, u32) >= C.MG_JSON_ARRAY then
    return u32[0]
  end
end

-- The unescaped text of a string member, or nil.
function _M.json_string(name)
  if C.mg_json_string(name, #name, str) == 0 then
    return text(str[0])
  end
end

-- The number of a number member, or nil.
function _M.json_number(name)
  if C.mg_json_find(name, #name, str, u32) == C.MG_JSON_NUMBER then
    return tonumber(text(str[0]))
  end
end

-- Raw JSON text of a member of an object member, or nil.
function _M.json_member_raw(name, key)
  if C.mg_json_member(name, #name, key, #key, str) == 0 then
    return text(str[0])
  end
end

local function done(code)
  if code == 0 then
    return true
  end
  return nil, why[code]
end

-- Replaces or appends a member by raw JSON text.
function _M.json_set(name, raw)
  return done(C.mg_json_set(name, #name, raw, #raw))
end

function _M.json_remove(name)
  return done(C.mg_json_remove(name, #name))
end

-- ---- target ----

-- set_target(host, port[, https]): proxies there instead of to the service. true, or nil and why.
_M.set_target = native.set_target
_M.ask_on_retry = native.ask_on_retry -- the balancer chain runs before each attempt after the first
_M.set_scheme = native.set_scheme
_M.set_path = native.set_path   -- as it goes out, "/..." ; no strip_path, no service path
_M.set_query = native.set_query -- without "?"; nil or "": none
_M.set_host_header = native.set_host_header
_M.set_timeouts = native.set_timeouts -- connect, write, read in ms; nil: leave
_M.set_retries = native.set_retries
_M.set_upstream = native.set_upstream -- name of an Upstream. true, or nil and why
_M.set_tls_verify = native.set_tls_verify
_M.set_sni = native.set_sni
_M.enable_buffering = native.enable_buffering
_M.buffering = bool_of(C.MG_BUFFERING)

_M.path = str_of(C.MG_UP_PATH)
_M.query = str_of(C.MG_UP_QUERY)
_M.method = str_of(C.MG_UP_METHOD)
_M.host = str_of(C.MG_UP_HOST)
_M.port = num_of(C.MG_UP_PORT)
_M.https = bool_of(C.MG_UP_HTTPS)
_M.host_header = str_of(C.MG_UP_HOST_HEADER)

-- ---- response ----

_M.upstream_status = num_of(C.MG_UPSTREAM_STATUS) -- nil before it answered
_M.upstream_header = headers.getter(C.MG_UPSTREAM)
_M.upstream_headers = headers.lister(C.MG_UPSTREAM)

-- A header for the client, only if the upstream answers 200.
_M.on_success_header = headers.on_success
-- Takes a header of the upstream's response away.
_M.drop_response_header = headers.clearer(C.MG_RESPONSE)

-- Watches the response for usage. kind: "openai"; hide_usage: leave the usage event out.
_M.tap = native.tap
-- What the tap saw: prompt_tokens, completion_tokens, total_tokens, cached_tokens,
-- reasoning_tokens (nil: not seen), model, finish_reason, events, stream, terminal, failed,
-- overflow, first_event_ms (since the request began), content_bytes. nil without a tap.
_M.tap_result = native.tap_result

local gateway_ms, upstream_ms = num_of(C.MG_LATENCY_GATEWAY), num_of(C.MG_LATENCY_UPSTREAM)
local request_ms, receive_ms = num_of(C.MG_LATENCY_REQUEST), num_of(C.MG_LATENCY_RECEIVE)

-- Milliseconds spent by the gateway, by the upstream until its head came, by the whole request
-- until now; each nil while unknown.
function _M.latencies()
  return gateway_ms(), upstream_ms(), request_ms(), receive_ms()
end

-- Asks that the calling plugin's OPTIONAL phase ("header_filter", "body_filter", "response",
-- "log") runs for this request.
local PHASES = require "moongate.abi.phase"
local task = require "moongate.abi.task"

function _M.want(phase)
  local number = type(phase) == "number" and phase or PHASES.number(phase)
  if not number then
    error("no such phase: " .. tostring(phase), 2)
  end
  local code = C.mg_want(number)
  if code ~= 0 then
    error(why[code], 2)
  end
  task.want(number)
  return bit.tobit(number)
end

return _M

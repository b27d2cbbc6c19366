-- kong.response: what the client gets: its head, answers of the gateway's own, chunks in body_filter.
-- Not the service's response as it came: kong.service.response.
-- Invariant: exit and error do not return, but in header_filter, where they are the last word.

local response = require("moongate.abi.response")
local task = require("moongate.abi.task")
local checks = require("moongate.pdk.checks")
local fields = require("moongate.pdk.fields")
local json = require("moongate.pdk.json")
local phases = require("moongate.pdk.phases")
local log = require("moongate.pdk.log")

local check = phases.check
local AFTER_HEAD, BEFORE_HEAD, BODY_FILTER = phases.AFTER_HEAD, phases.BEFORE_HEAD, phases.BODY_FILTER
local JSON_TYPE = "application/json; charset=utf-8"
local SENT = "headers have already been sent"
local get_header, wire_name, set_field = response.header, fields.wire_name, fields.set
local concat, type, lower = table.concat, type, string.lower

local _M = {}

--- The status the client will see.
-- phases: response to log.
function _M.get_status()
  check(AFTER_HEAD)
  return response.status()
end

--- The first value of a header field of the response to the client, or nil.
-- phases: response to log.
function _M.get_header(name)
  check(AFTER_HEAD)
  if type(name) ~= "string" then
    error("header name must be a string", 2)
  end
  return get_header(wire_name(name))
end

--- All header fields of the response to the client. See kong.request.get_headers.
-- phases: response to log. max_headers: 1 to 1000, 100 when nil. Returns a table, and "truncated".
function _M.get_headers(max_headers)
  check(AFTER_HEAD)
  local max = checks.count(max_headers, "max_headers")
  local flat, more = response.headers(max)
  return fields.table(flat), more and "truncated" or nil
end

--- Who answered: "service", "exit" (a plugin) or "error" (the gateway failed).
-- phases: response to log.
function _M.get_source()
  check(AFTER_HEAD)
  return response.source() or "error"
end

--- Makes the status another one: 100 to 599.
-- phases: rewrite to header_filter. Raises when the head has been sent.
function _M.set_status(status)
  check(BEFORE_HEAD)
  checks.status(status, 100)
  local ok, err = response.set_status(status)
  if not ok then
    error(err, 2)
  end
end

--- Sets a header field ("X_Foo" is X-Foo); an array sets several lines. Before the service answers, it is recorded.
-- phases: rewrite to header_filter. value: string, number, boolean or array of these. Raises when the head has been sent.
function _M.set_header(name, value)
  check(BEFORE_HEAD)
  checks.header(name, value)
  set_field(response, wire_name(name), value, 2)
end

--- Adds a field line beside those of the same name.
-- phases: rewrite to header_filter. Parameters and errors as in set_header.
function _M.add_header(name, value)
  check(BEFORE_HEAD)
  checks.header(name, value)
  fields.add(response, wire_name(name), value, 2)
end

--- Takes all lines of a field away.
-- phases: rewrite to header_filter. Raises when the head has been sent.
function _M.clear_header(name)
  check(BEFORE_HEAD)
  checks.string(name, "header")
  local ok, err = response.clear_header(wire_name(name))
  if not ok then
    error(err, 2)
  end
end

--- Sets several header fields: {name = value}, values as in set_header.
-- phases: rewrite to header_filter.
function _M.set_headers(headers)
  check(BEFORE_HEAD)
  checks.headers(headers)
  for _, name in ipairs(fields.sorted_names(headers)) do
    set_field(response, wire_name(name), headers[name], 2)
  end
end

-- ---- body_filter ----

local BUFFER = {}

-- What this plugin has gathered of the body in this request.
local function gathered()
  local buffers = task.get_extra(BUFFER)
  local record = task.current()
  local key = record and record.handler or BUFFER
  local parts = buffers[key]
  if not parts then
    parts = {}
    buffers[key] = parts
  end
  return parts
end

--- The whole body, at its last chunk; nil before, while the chunks are held back. Then it goes on as one.
-- phases: body_filter. Content-Length must have been cleared when the body will change.
function _M.get_raw_body()
  check(BODY_FILTER)
  local chunk, last = response.chunk()
  local parts = gathered()
  if chunk and chunk ~= "" then
    parts[#parts + 1] = chunk
  end
  if not last then
    response.set_chunk("")
    return nil
  end
  local body = #parts > 1 and concat(parts) or parts[1] or ""
  for i = 1, #parts do
    parts[i] = nil
  end
  response.set_chunk(body)
  return body
end

--- Replaces the body: this chunk is all of it.
-- phases: body_filter. body: string.
function _M.set_raw_body(body)
  check(BODY_FILTER)
  checks.string(body, "body")
  response.set_chunk(body, true)
end

-- ---- answers ----

local FRAMING = { ["transfer-encoding"] = true, ["content-length"] = true }

-- Sets the headers of an answer; returns its Content-Type, which the answer carries.
local function set_headers(headers, level)
  local content_type
  for _, name in ipairs(fields.sorted_names(headers)) do
    local key = lower(name)
    if key == "content-type" then
      content_type = fields.single(headers[name])
    elseif not FRAMING[key] then
      set_field(response, wire_name(name), headers[name], level + 1)
    elseif key == "transfer-encoding" then
      log.warn("manually setting Transfer-Encoding: ignored")
    end
  end
  return content_type
end

--- Answers now; no later access plugin runs, the service is not asked; header_filter, body_filter and log do run.
-- phases: rewrite to header_filter. status: 100 to 599. body: string, or table (sent as JSON), or nil.
-- headers: as in set_headers. Does not return, but in header_filter. Raises when the head has been sent.
-- Example: return kong.response.exit(403, { message = "no" }, { ["X-Why"] = "policy" })
function _M.exit(status, body, headers)
  check(BEFORE_HEAD)
  checks.status(status, 100)
  if headers ~= nil then
    checks.headers(headers, "headers must be a nil or table")
  end
  if response.head_sent() then
    error(SENT, 2)
  end
  local kind = type(body)
  if body ~= nil and kind ~= "string" and kind ~= "table" then
    error("body must be a nil, string or table", 2)
  end
  local content_type = headers and set_headers(headers, 2)
  if kind == "table" then
    body = json.encode(body)
    content_type = content_type or JSON_TYPE
  end
  return response.exit(status, body, content_type)
end

--- Answers with the gateway's error body, in JSON, XML, HTML or text as the client accepts.
-- phases: rewrite to header_filter. status: 400 to 599. message: text; nil: the status's own. headers: as in set_headers.
-- Does not return, but in header_filter.
function _M.error(status, message, headers)
  check(BEFORE_HEAD)
  checks.status(status, 400)
  if headers ~= nil then
    checks.headers(headers, "headers must be a nil or table")
  end
  if response.head_sent() then
    error(SENT, 2)
  end
  if message ~= nil and type(message) ~= "string" and type(message) ~= "table" then
    error("message must be a nil, string or table", 2)
  end
  local content_type = headers and set_headers(headers, 2)
  if type(message) == "table" then
    return response.exit(status, json.encode(message), content_type or JSON_TYPE)
  end
  return response.error(status, message)
end

return _M

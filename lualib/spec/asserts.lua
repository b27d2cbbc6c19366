-- Assertions of specs, in the words that specs written for Kong use: assert.response(r).has.status(200),
-- .header(name), .jsonbody(); assert.request(r) of what the upstream was asked; assert.logged(pattern).
-- Not the comparisons of luassert themselves.

local assert = require "luassert"
local say = require "say"
local eventually = require "moongate.spec.eventually"
local logs = require "moongate.spec.logs"
local message = require "moongate.spec.message"
local reader = require("moongate.cjson").new()

local _M = {}

local WAIT_S = 2

local function show(value)
  local text = type(value) == "table" and assert:format({ value })[1] or tostring(value)
  return #text > 2000 and text:sub(1, 2000) .. " ..." or text
end

local function decode(text)
  local ok, value = pcall(reader.decode, text or "")
  if ok then
    return value
  end
  return nil, value
end

-- The request in what the spec gives: a recorded one, a unit result's, or the echo in a response's body.
local function request_of(value)
  if type(value) ~= "table" then
    return nil, "no request but a " .. type(value)
  elseif value.method and value.headers then
    return value
  elseif value.upstream_request then
    return value.upstream_request
  end
  local body = type(value.read_body) == "function" and value:read_body() or value.body
  local echoed, err = decode(body)
  if type(echoed) ~= "table" or not echoed.headers then
    return nil, "the body is no echo of a request: " .. tostring(err or body)
  end
  return { headers = message.headers(echoed.headers), args = echoed.uri_args, post_data = echoed.post_data,
    method = echoed.vars and echoed.vars.request_method, path = echoed.vars and echoed.vars.uri,
    body = echoed.post_data and echoed.post_data.text }
end

local function response_modifier(state, arguments)
  local value = arguments[1]
  if type(value) ~= "table" or not value.status then
    error("assert.response needs a response, got " .. show(value) .. (arguments[2] and ": " .. show(arguments[2]) or ""), 2)
  end
  rawset(state, "subject", value)
  rawset(state, "subject_kind", "response")
  return state
end

local function request_modifier(state, arguments)
  local value, err = request_of(arguments[1])
  if not value then
    error("assert.request: " .. err, 2)
  end
  rawset(state, "subject", value)
  rawset(state, "subject_kind", "request")
  return state
end

local function subject(state, what, kind)
  local value = rawget(state, "subject")
  if not value or kind and rawget(state, "subject_kind") ~= kind then
    error(("%s needs assert.%s(r) before it"):format(what, kind or "response"), 3)
  end
  return value
end

-- assert.response(r).has.status(200); assert.status(200, r)
local function status(state, arguments)
  local expected, given = arguments[1], arguments[2]
  local response = given or subject(state, "status", "response")
  arguments[1], arguments[2], arguments[3] = expected, response.status, show(response.body)
  arguments.n = 3
  return tonumber(expected) == response.status, { response.body }
end

-- assert.res_status(200, r): the body
local function res_status(_, arguments)
  local expected, response, err = arguments[1], arguments[2], arguments[3]
  if type(response) ~= "table" then
    error("no response: " .. tostring(err or response), 2)
  end
  local body = type(response.read_body) == "function" and response:read_body() or response.body
  arguments[1], arguments[2], arguments[3] = expected, response.status, show(body)
  arguments.n = 3
  return tonumber(expected) == response.status, { body }
end

-- has.header(name[, value]): the value
local function header(state, arguments)
  local name, wanted = arguments[1], arguments[2]
  local headers = message.headers(subject(state, "header").headers)
  local found = headers[name]
  local fits = found ~= nil and (wanted == nil or tostring(wanted) == tostring(found))
  arguments[1], arguments[2], arguments[3] = name, wanted == nil and "any value" or wanted, show(headers)
  arguments.n = 3
  return fits, { found }
end

-- has.jsonbody(): the table
local function jsonbody(state, arguments)
  local value = subject(state, "jsonbody")
  local text = value.body
  if value.post_data then
    text = value.post_data.text
  end
  local body, err = decode(text)
  arguments[1], arguments[2] = show(text), show(err)
  arguments.n = 2
  return body ~= nil and err == nil, { body }
end

-- has.queryparam(name), has.formparam(name): the value, of a request
local function queryparam(state, arguments)
  local request = subject(state, "queryparam", "request")
  local args = request.args or message.parse_form(request.query)
  local found = args[arguments[1]]
  arguments[2] = show(args)
  arguments.n = 2
  return found ~= nil, { found }
end

local function formparam(state, arguments)
  local request = subject(state, "formparam", "request")
  local found = message.parse_form(request.body)[arguments[1]]
  arguments[2] = show(request.body)
  arguments.n = 2
  return found ~= nil, { found }
end

local function find_line(entries, pattern, plain)
  for _, entry in ipairs(entries) do
    if entry.message:find(pattern, 1, plain) then
      return entry
    end
  end
end

local function lines_of(entries)
  local out = {}
  for i = math.max(1, #entries - 30), #entries do
    out[#out + 1] = "[" .. entries[i].level .. "] " .. entries[i].message
  end
  return table.concat(out, "\n")
end

local function source_of(value)
  if type(value) == "table" and type(value.logs) == "function" then
    return function()
      return value:logs()
    end, WAIT_S
  elseif type(value) == "table" and type(value.logs) == "table" then
    return function()
      return value.logs
    end, 0
  end
  local current = require("moongate.spec.gateway").current()
  return function()
    return current and current:logs() or logs.since(0)
  end, WAIT_S
end

-- Waits for the line as long as it is wanted; one that is not wanted is looked for once.
local function wait_line(state, entries_of, pattern, plain, timeout_s)
  local ends = ngx.now() + (state.mod and timeout_s or 0)
  while true do
    local entries = entries_of()
    local entry = find_line(entries, pattern, plain)
    if entry or ngx.now() >= ends then
      return entry, entries
    end
    ngx.sleep(0.01)
    ngx.update_time()
  end
end

-- assert.logged(pattern[, of]): of: a gateway (the one that runs when absent) or a unit result
local function logged(state, arguments)
  local pattern = arguments[1]
  local entries_of, timeout_s = source_of(arguments[2])
  local entry, entries = wait_line(state, entries_of, pattern, false, timeout_s)
  arguments[1], arguments[2] = pattern, lines_of(entries)
  arguments.n = 2
  return entry ~= nil, { entry }
end

-- assert.logfile().has.line(pattern[, plain[, timeout]])
local function logfile_modifier(state)
  rawset(state, "subject", true)
  rawset(state, "subject_kind", "logfile")
  return state
end

local function line(state, arguments)
  local pattern, plain, timeout_s = arguments[1], arguments[2], arguments[3]
  subject(state, "line", "logfile")
  local entry, entries = wait_line(state, (source_of(nil)), pattern, plain, timeout_s or WAIT_S)
  arguments[1], arguments[2] = pattern, lines_of(entries)
  arguments.n = 2
  return entry ~= nil, { entry and entry.message }
end

local function contains(_, arguments)
  local wanted, list = arguments[1], arguments[2]
  for i, value in ipairs(type(list) == "table" and list or {}) do
    if value == wanted then
      return true, { i }
    end
  end
  return false
end

local ASSERTIONS = {
  { "status", status, "Expected status\n%s\nbut the response has\n%s\nwith the body\n%s",
    "Expected another status than\n%s, got\n%s\nwith the body\n%s" },
  { "res_status", res_status, "Expected status\n%s\nbut the response has\n%s\nwith the body\n%s",
    "Expected another status than\n%s, got\n%s\nwith the body\n%s" },
  { "header", header, "Expected header\n%s\nwith\n%s\nin\n%s", "Expected no header\n%s\nwith\n%s\nin\n%s" },
  { "jsonbody", jsonbody, "Expected a JSON body, got\n%s\n%s", "Expected a body that is no JSON, got\n%s\n%s" },
  { "queryparam", queryparam, "Expected query argument\n%s\nin\n%s", "Expected no query argument\n%s\nin\n%s" },
  { "formparam", formparam, "Expected form argument\n%s\nin\n%s", "Expected no form argument\n%s\nin\n%s" },
  { "logged", logged, "Expected a log line that matches\n%s\nin\n%s", "Expected no log line that matches\n%s\nin\n%s" },
  { "line", line, "Expected a log line that matches\n%s\nin\n%s", "Expected no log line that matches\n%s\nin\n%s" },
  { "contains", contains, "Expected\n%s\nto be in\n%s", "Expected\n%s\nnot to be in\n%s" },
}

local MODIFIERS = { response = response_modifier, request = request_modifier, logfile = logfile_modifier }

-- Makes them known to luassert. Again after an insulated file has forgotten nothing: harmless.
function _M.register()
  for _, a in ipairs(ASSERTIONS) do
    local key = "moongate.assertion." .. a[1]
    say:set(key .. ".positive", a[3])
    say:set(key .. ".negative", a[4])
    assert:register("assertion", a[1], a[2], key .. ".positive", key .. ".negative")
  end
  for name, fn in pairs(MODIFIERS) do
    assert:register("modifier", name, fn)
  end
  eventually.register()
end

return _M

-- A whole chat completion in OpenAI's format, as Anthropic's message, and errors likewise.
-- It is NOT the streamed answer (front_stream.lua); response.lua goes the other way.
-- Invariant: arguments of a tool call become its input digit for digit.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"
local values = require "moongate.ai.anthropic.values"

local array, object, quote = json_text.array, json_text.object, json_text.quote

local _M = {}

local ERROR_TYPES = {
  [400] = "invalid_request_error", [401] = "authentication_error", [403] = "permission_error",
  [404] = "not_found_error", [413] = "request_too_large", [422] = "invalid_request_error",
  [429] = "rate_limit_error", [503] = "overloaded_error", [529] = "overloaded_error",
}

-- The raw object for raw (or decoded) arguments; text that is no object is kept, named as such.
function _M.input_of(raw)
  local text = (json_text.unquote(raw) or ""):match("^%s*(.-)%s*$")
  if text == "" then
    return "{}"
  end
  return span.object(text) and text or object({ "invalid_arguments", quote(text) })
end

local function is_text(raw)
  return span.type(raw) == "string" and raw ~= '""'
end

local function content_of(message)
  local out = {}
  local thought = message.reasoning_content or message.reasoning
  if is_text(thought) then
    out[1] = object({ "type", '"thinking"', "thinking", thought, "signature", '""' })
  end
  local text = is_text(message.content) and message.content
    or is_text(message.refusal) and message.refusal
  if text then
    out[#out + 1] = object({ "type", '"text"', "text", text })
  end
  local calls = span.type(message.tool_calls) == "array" and span.array(message.tool_calls) or {}
  for _, call in ipairs(calls) do
    out[#out + 1] = object({
      "type", '"tool_use"', "id", span.path(call, "id") or '""',
      "name", span.path(call, "function", "name") or '""',
      "input", _M.input_of(span.path(call, "function", "arguments")),
    })
  end
  return array(out), #calls > 0
end

-- The message. how = {model}. Returns text, details {usage, model, finish_reason}; or nil, error.
function _M.convert(text, how)
  local body, err = span.object(text)
  if not body then
    return nil, err
  end
  local choices = span.type(body.choices) == "array" and span.array(body.choices)
  local choice = choices and choices[1] and span.object(choices[1])
  local message = choice and span.type(choice.message) == "object" and span.object(choice.message)
  if not message then
    return nil, "'choices' not in llm/v1/chat response"
  end
  local usage = values.read_openai_usage(body.usage, {})
  local finish = json_text.unquote(choice.finish_reason)
  local content, has_calls = content_of(message)
  local stop = values.stop_reason(finish)
  if has_calls and stop == "end_turn" then
    stop = "tool_use"
  end
  return object({
    "id", span.type(body.id) == "string" and body.id or '""',
    "type", '"message"',
    "role", '"assistant"',
    "model", span.type(body.model) == "string" and body.model or quote(how.model),
    "content", content,
    "stop_reason", quote(stop),
    "stop_sequence", "null",
    "usage", values.anthropic_usage(usage),
  }), {
    usage = values.totals(usage),
    model = json_text.unquote(body.model),
    finish_reason = finish,
  }
end

-- An error object for the client.
function _M.error_object(status, message)
  return object({ "type", '"error"', "error", object({
    "type", quote(ERROR_TYPES[status] or "api_error"), "message", quote(message),
  }) })
end

-- A provider's error answer as an error object.
function _M.error(text, status)
  local body = span.object(text)
  local raw = body and (span.path(body.error, "message") or span.type(body.error) == "string"
    and body.error or body.message)
  return _M.error_object(status, json_text.unquote(raw) or "provider answered " .. status)
end

return _M

-- Collects a provider's stream into the whole answer it would have been, in the provider's format.
-- For providers that stream although a whole answer was asked for.
-- It is NOT a translation, and not for streams a client asked for (stream.lua).
-- Invariant: an error in the stream, or its early end, is an error here, never a short answer.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"
local sse = require "moongate.ai.sse"

local array, object, join = json_text.array, json_text.object, json_text.join_strings

local _M = {}

local TRUNCATED = "provider closed the stream before its end"

-- Calls take(state, event members, data) for each event. state, or nil, error.
local function each_event(text, state, take)
  local framer = sse.new()
  local ok, err = framer:feed(text)
  if not ok then
    return nil, err
  end
  framer:finish()
  while not state.complete do
    local _, data = framer:next()
    if not data then
      break
    end
    local event = data ~= "[DONE]" and span.object(data) or {}
    if event.error and event.error ~= "null" then
      return nil, json_text.unquote(span.path(event.error, "message"))
        or "the provider reported an error"
    end
    take(state, event, data)
  end
  return state
end

-- Does this body begin like a stream?
function _M.is_stream(text)
  local line = text:match("^[%s\239\187\191]*([^\r\n]*)")
  return line:find("^:") ~= nil or line:find("^data:") ~= nil or line:find("^event:") ~= nil
    or line:find("^id:") ~= nil or line:find("^retry:") ~= nil
end

-- Anthropic --------------------------------------------------------------------------------------

-- Where a delta's text belongs.
local PIECES = {
  text_delta = { "text", "text" },
  thinking_delta = { "thinking", "thinking" },
  signature_delta = { "signature", "signature" },
  input_json_delta = { "partial_json", "input" },
}

local function put(members, values)
  for name, raw in pairs(values) do
    members[name] = raw
  end
end

local function write(members)
  local list = {}
  for name, raw in pairs(members) do
    list[#list + 1] = name
    list[#list + 1] = raw
  end
  return object(list)
end

local on = {}

function on.message_start(state, event)
  state.message = span.object(event.message or "{}") or {}
  put(state.usage, span.object(state.message.usage or "{}") or {})
end

function on.content_block_start(state, event)
  local block = { members = span.object(event.content_block or "{}") or {}, pieces = {} }
  state.blocks[#state.blocks + 1] = block
  state.at[event.index or ""] = block
end

function on.content_block_delta(state, event)
  local block = state.at[event.index or ""]
  local delta = span.object(event.delta or "{}") or {}
  local names = PIECES[json_text.unquote(delta.type)]
  local raw = names and delta[names[1]]
  if block and span.type(raw) == "string" then
    local pieces = block.pieces[names[2]] or {}
    block.pieces[names[2]] = pieces
    pieces[#pieces + 1] = raw
  end
end

function on.message_delta(state, event)
  put(state.message, span.object(event.delta or "{}") or {})
  put(state.usage, span.object(event.usage or "{}") or {})
end

function on.message_stop(state)
  state.complete = true
end

local function take_anthropic(state, event)
  local handler = on[json_text.unquote(event.type)]
  if handler then
    handler(state, event)
  end
end

local function whole_block(block)
  for name, pieces in pairs(block.pieces) do
    local raw = join(pieces)
    if name == "input" then
      raw = json_text.unquote(raw)
      raw = raw and span.object(raw) and raw or "{}"
    end
    block.members[name] = raw
  end
  return write(block.members)
end

-- The text of a stream in Anthropic's format as a message, or nil, error.
function _M.anthropic(text)
  local state, err = each_event(text, { message = {}, usage = {}, blocks = {}, at = {} },
    take_anthropic)
  if not state then
    return nil, err
  elseif not state.complete then
    return nil, TRUNCATED
  end
  local blocks = {}
  for i, block in ipairs(state.blocks) do
    blocks[i] = whole_block(block)
  end
  state.message.content, state.message.usage = array(blocks), write(state.usage)
  return write(state.message)
end

-- OpenAI -----------------------------------------------------------------------------------------

local function add(list, raw)
  if span.type(raw) == "string" then
    list[#list + 1] = raw
  end
end

local function add_call(state, raw, position)
  local call = span.object(raw) or {}
  local key = call.index or json_text.number(position - 1)
  local known = state.call_at[key]
  if not known then
    known = { arguments = {} }
    state.call_at[key] = known
    state.calls[#state.calls + 1] = known
  end
  local definition = call["function"]
  known.id = known.id or span.type(call.id) == "string" and call.id or nil
  known.name = known.name or span.path(definition, "name")
  add(known.arguments, span.path(definition, "arguments"))
end

local function take_openai(state, event, data)
  if data == "[DONE]" then
    state.complete = true
    return
  end
  state.id, state.model = state.id or event.id, state.model or event.model
  if span.type(event.usage) == "object" then
    state.usage = event.usage
  end
  local choices = span.type(event.choices) == "array" and span.array(event.choices) or {}
  for _, raw in ipairs(choices) do
    local choice = span.object(raw) or {}
    if (choice.index or "0") == "0" then
      local delta = span.object(choice.delta or "{}") or {}
      add(state.texts, delta.content)
      add(state.thoughts, delta.reasoning_content or delta.reasoning)
      local calls = span.type(delta.tool_calls) == "array" and span.array(delta.tool_calls) or {}
      for i, call in ipairs(calls) do
        add_call(state, call, i)
      end
      state.finish = span.type(choice.finish_reason) == "string" and choice.finish_reason
        or state.finish
    end
  end
end

-- The text of a stream in OpenAI's format as a chat completion, or nil, error.
function _M.openai(text)
  local state, err = each_event(text,
    { texts = {}, thoughts = {}, calls = {}, call_at = {} }, take_openai)
  if not state then
    return nil, err
  elseif not state.complete and not state.finish then
    return nil, TRUNCATED
  end
  local calls = {}
  for i, call in ipairs(state.calls) do
    calls[i] = object({ "id", call.id or '""', "type", '"function"', "function", object({
      "name", call.name or '""', "arguments", join(call.arguments),
    }) })
  end
  local message = object({
    "role", '"assistant"', "content", #state.texts > 0 and join(state.texts) or "null",
    "reasoning_content", #state.thoughts > 0 and join(state.thoughts),
    "tool_calls", #calls > 0 and array(calls),
  })
  return object({
    "id", state.id or '""', "object", '"chat.completion"', "model", state.model or '""',
    "choices", array({ object({
      "index", "0", "message", message, "finish_reason", state.finish or '"stop"',
    }) }),
    "usage", state.usage or "null",
  })
end

return _M

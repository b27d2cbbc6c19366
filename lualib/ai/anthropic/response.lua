-- A whole answer from Anthropic's Messages format to OpenAI's chat completion.
-- It is NOT the streamed answer (stream.lua), whose deltas joined give the same message.
-- Invariant: tool input is forwarded digit for digit, as the text of `arguments`.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"
local values = require "moongate.ai.anthropic.values"

local array, object, quote = json_text.array, json_text.object, json_text.quote

local _M = {}

local function string_or_nil(raw)
  return span.type(raw) == "string" and raw or nil
end

-- Sorts the blocks into {texts, thoughts, thinking_blocks, calls}. Blocks without a counterpart
-- (server tools and their results) are left out.
local function sort_blocks(raw)
  local list = span.array(raw)
  if not list then
    return nil
  end
  local out = { texts = {}, thoughts = {}, thinking = {}, calls = {} }
  for i = 1, #list do
    local block = span.object(list[i]) or {}
    local kind = json_text.unquote(block.type)
    if kind == "text" then
      out.texts[#out.texts + 1] = string_or_nil(block.text)
    elseif kind == "thinking" then
      out.thoughts[#out.thoughts + 1] = string_or_nil(block.thinking)
      out.thinking[#out.thinking + 1] = list[i]
    elseif kind == "redacted_thinking" then
      out.thinking[#out.thinking + 1] = list[i]
    elseif kind == "tool_use" then
      out.calls[#out.calls + 1] = object({
        "id", block.id or '""', "type", '"function"', "function", object({
          "name", block.name or '""', "arguments", quote(block.input or "{}"),
        }),
      })
    end
  end
  return out
end

-- Is this body an error object of Anthropic's? Returns its raw `error` member.
function _M.error_of(text)
  local body = span.object(text)
  return body and json_text.unquote(body.type) == "error" and body.error or nil
end

-- The chat completion. how = {created = unix seconds, model = name}. Returns text, details
-- {usage, model, finish_reason}; or nil, error text.
function _M.convert(text, how)
  local body, err = span.object(text)
  if not body then
    return nil, err
  end
  local blocks = body.content and sort_blocks(body.content)
  if not blocks then
    return nil, "'content' not in anthropic://llm/v1/chat response"
  end
  local usage = values.read_usage(body.usage, {})
  local native = json_text.unquote(body.stop_reason)
  local finish = values.finish_reason(native)
  local message = object({
    "role", '"assistant"',
    "content", #blocks.texts > 0 and json_text.join_strings(blocks.texts) or "null",
    "reasoning_content", #blocks.thoughts > 0 and json_text.join_strings(blocks.thoughts),
    "thinking_blocks", #blocks.thinking > 0 and array(blocks.thinking),
    "tool_calls", #blocks.calls > 0 and array(blocks.calls),
    "refusal", "null",
  })
  local choice = object({
    "index", "0", "message", message, "logprobs", "null", "finish_reason", quote(finish),
    "native_finish_reason", native == "pause_turn" and quote(native),
  })
  return object({
    "id", body.id or '""',
    "object", '"chat.completion"',
    "created", json_text.number(how.created),
    "model", string_or_nil(body.model) or quote(how.model),
    "choices", array({ choice }),
    "usage", values.openai_usage(usage) or false,
  }), {
    usage = values.totals(usage),
    model = json_text.unquote(body.model),
    finish_reason = finish,
  }
end

return _M

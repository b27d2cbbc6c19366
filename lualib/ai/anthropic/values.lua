-- Values that mean the same in both formats under other names: stop reasons and token counters.
-- It is NOT about messages. Invariant: OpenAI's prompt_tokens include cached tokens, Anthropic's
-- input_tokens do not; converting there and back gives the same four numbers.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

local _M = {}

-- pause_turn: the model wants to go on after a server tool; for an OpenAI client the answer is
-- incomplete, which is what "length" says.
local FINISH = {
  end_turn = "stop",
  stop_sequence = "stop",
  max_tokens = "length",
  model_context_window_exceeded = "length",
  pause_turn = "length",
  tool_use = "tool_calls",
  refusal = "content_filter",
}

local STOP = {
  stop = "end_turn",
  length = "max_tokens",
  tool_calls = "tool_use",
  function_call = "tool_use",
  content_filter = "refusal",
}

-- OpenAI's finish_reason for Anthropic's stop_reason. An unknown reason ends the answer: "stop".
function _M.finish_reason(stop_reason)
  return FINISH[stop_reason] or "stop"
end

-- Anthropic's stop_reason for OpenAI's finish_reason.
function _M.stop_reason(finish_reason)
  return STOP[finish_reason] or "end_turn"
end

local function count(raw)
  return span.type(raw) == "number" and tonumber(raw) or nil
end

-- Takes Anthropic's raw usage object into `usage` {input, output, cache_read, cache_write,
-- cache_write_1h}; the last is the part of cache_write that is kept for an hour, not 5 minutes.
-- Counters are cumulative: a later one replaces an earlier one, a missing one changes nothing.
function _M.read_usage(raw, usage)
  if span.type(raw) ~= "object" then
    return usage
  end
  local at = span.object(raw)
  if not at then
    return usage
  end
  usage.input = count(at.input_tokens) or usage.input
  usage.output = count(at.output_tokens) or usage.output
  usage.cache_read = count(at.cache_read_input_tokens) or usage.cache_read
  usage.cache_write = count(at.cache_creation_input_tokens) or usage.cache_write
  usage.cache_write_1h = count(span.path(at.cache_creation, "ephemeral_1h_input_tokens"))
    or usage.cache_write_1h
  return usage
end

-- Token counts in OpenAI's meaning, or nil when the provider told nothing.
function _M.totals(usage)
  if not usage.input and not usage.output then
    return nil
  end
  local cached, written = usage.cache_read or 0, usage.cache_write or 0
  local prompt = (usage.input or 0) + cached + written
  local completion = usage.output or 0
  return {
    prompt_tokens = prompt,
    completion_tokens = completion,
    total_tokens = prompt + completion,
    cached_tokens = cached,
    cache_write_tokens = written,
    cache_write_1h_tokens = usage.cache_write_1h,
  }
end

-- The raw `usage` object for an OpenAI client, or nil.
function _M.openai_usage(usage)
  local totals = _M.totals(usage)
  if not totals then
    return nil
  end
  local number = json_text.number
  return json_text.object({
    "prompt_tokens", number(totals.prompt_tokens),
    "completion_tokens", number(totals.completion_tokens),
    "total_tokens", number(totals.total_tokens),
    "prompt_tokens_details", json_text.object({
      "cached_tokens", number(totals.cached_tokens),
      "cache_creation_tokens", totals.cache_write_tokens > 0 and number(totals.cache_write_tokens),
    }),
  })
end

-- Takes OpenAI's raw usage object into {input, output, cache_read, cache_write}: cached tokens are
-- taken out of the prompt.
function _M.read_openai_usage(raw, usage)
  local at = span.type(raw) == "object" and span.object(raw)
  if not at then
    return usage
  end
  local details = span.path(at.prompt_tokens_details)
  local cached = count(span.path(details, "cached_tokens")) or 0
  local written = count(span.path(details, "cache_creation_tokens")) or 0
  local prompt = count(at.prompt_tokens)
  usage.input = prompt and math.max(prompt - cached - written, 0) or usage.input
  usage.output = count(at.completion_tokens) or usage.output
  usage.cache_read, usage.cache_write = cached, written
  return usage
end

-- The raw `usage` object for an Anthropic client.
function _M.anthropic_usage(usage)
  local number = json_text.number
  return json_text.object({
    "input_tokens", number(usage.input or 0),
    "cache_creation_input_tokens", number(usage.cache_write or 0),
    "cache_read_input_tokens", number(usage.cache_read or 0),
    "output_tokens", number(usage.output or 0),
  })
end

return _M

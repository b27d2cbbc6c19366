-- A streamed answer from Anthropic's events to OpenAI's chunks, as they arrive.
-- It is NOT the framer (sse.lua) nor the glue to the client (../stream.lua).
-- Invariant: the joined deltas equal the message response.lua makes of the same answer; [DONE] is
-- written only after message_stop.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"
local values = require "moongate.ai.anthropic.values"

local array, object, quote = json_text.array, json_text.object, json_text.quote

local CONTENT, REASONING = '"content":', '"reasoning_content":'

local _M = {}
local methods = {}
local meta = { __index = methods }

-- how = {created = unix seconds, model = name, include_usage = bool}.
function _M.new(how)
  return setmetatable({
    id = '""',
    model = quote(how.model),
    created = json_text.number(how.created),
    include_usage = how.include_usage,
    usage = {},
    blocks = {}, -- index of the content block -> {tool = dense index | nil, kind, filled}
    tools = 0,
    finish_reason = nil,
    ended = false, -- message_stop or an error was seen: nothing may follow
    complete = false, -- it was message_stop
    chunks = 0,
    content_bytes = 0, -- of texts, thoughts and arguments, for estimates
    counted = false, -- message_delta told the final usage; message_start's is a placeholder
  }, meta)
end

local function chunk(self, choices, usage)
  self.chunks = self.chunks + 1
  return "data: " .. object({
    "id", self.id, "object", '"chat.completion.chunk"', "created", self.created,
    "model", self.model, "choices", choices,
    "usage", usage or self.include_usage and "null",
  }) .. "\n\n"
end

local function delta(self, members, finish, native)
  return chunk(self, array({ object({
    "index", "0", "delta", object(members), "logprobs", "null",
    "finish_reason", finish and quote(finish) or "null",
    "native_finish_reason", native or false,
  }) }))
end

local function tool_delta(self, index, members)
  members[#members + 1] = "index"
  members[#members + 1] = json_text.number(index)
  return delta(self, { "tool_calls", array({ object(members) }) })
end

-- The chunk nearly every event becomes: one text in the delta. Its constant parts are made once per
-- stream, after message_start told id and model: a chunk with a marker in it is cut in two.
local function text_delta(self, name, raw)
  local head, tail = self.head, self.tail
  if not head then
    local whole = delta(self, { "\1", "0" })
    local at = whole:find('"\\u0001":0', 1, true)
    self.head, self.tail = whole:sub(1, at - 1), whole:sub(at + 10)
    head, tail = self.head, self.tail
    self.chunks = self.chunks - 1
  end
  self.chunks = self.chunks + 1
  self.content_bytes = self.content_bytes + #raw - 2
  return head .. name .. raw .. tail
end

local function text_of(raw)
  return span.type(raw) == "string" and raw ~= '""' and raw
end

-- One handler per event type: (self, members of the event) -> text for the client.
local on = {}

function on.message_start(self, event)
  local message = span.type(event.message) == "object" and span.object(event.message) or {}
  self.id = span.type(message.id) == "string" and message.id or self.id
  self.model = span.type(message.model) == "string" and message.model or self.model
  self.head, self.tail = nil, nil
  values.read_usage(message.usage, self.usage)
  return delta(self, { "role", '"assistant"', "content", '""' })
end

function on.content_block_start(self, event)
  local raw = event.content_block
  local block = span.type(raw) == "object" and span.object(raw) or {}
  local kind = json_text.unquote(block.type)
  local state = { kind = kind }
  self.blocks[event.index or ""] = state
  if kind == "text" then
    return text_of(block.text) and text_delta(self, CONTENT, block.text)
  elseif kind == "thinking" then
    return text_of(block.thinking) and text_delta(self, REASONING, block.thinking)
  elseif kind == "tool_use" then
    state.tool = self.tools
    self.tools = self.tools + 1
    local input = block.input and not block.input:find("^{%s*}$") and block.input
    state.filled = input and true or false
    return tool_delta(self, state.tool, {
      "id", block.id or '""', "type", '"function"',
      "function", object({
        "name", block.name or '""', "arguments", input and quote(input) or '""',
      }),
    })
  end
end

function on.content_block_delta(self, event)
  local part = span.type(event.delta) == "object" and span.object(event.delta) or {}
  local kind = json_text.unquote(part.type)
  if kind == "text_delta" then
    return text_of(part.text) and text_delta(self, CONTENT, part.text)
  elseif kind == "thinking_delta" then
    return text_of(part.thinking) and text_delta(self, REASONING, part.thinking)
  elseif kind == "input_json_delta" then
    local state = self.blocks[event.index or ""]
    if state and state.tool and text_of(part.partial_json) then
      state.filled = true
      self.content_bytes = self.content_bytes + #part.partial_json - 2
      return tool_delta(self, state.tool, {
        "function", object({ "arguments", part.partial_json }),
      })
    end
  end -- signatures and citations have no place in a chunk
end

-- Empty input is {} for Anthropic; an OpenAI client parses the joined fragments, so it needs "{}".
function on.content_block_stop(self, event)
  local state = self.blocks[event.index or ""]
  if state and state.tool and not state.filled then
    state.filled = true
    return tool_delta(self, state.tool, { "function", object({ "arguments", '"{}"' }) })
  end
end

function on.message_delta(self, event)
  values.read_usage(event.usage, self.usage)
  self.counted = self.counted or span.type(event.usage) == "object"
  local native = span.path(event.delta, "stop_reason")
  if native and not self.finish_reason then
    self.finish_reason = values.finish_reason(json_text.unquote(native))
    return delta(self, {}, self.finish_reason, native == '"pause_turn"' and native)
  end
end

function on.message_stop(self)
  self.ended, self.complete = true, true
  local usage = self.include_usage and values.openai_usage(self.usage)
  return (usage and chunk(self, "[]", usage) or "") .. "data: [DONE]\n\n"
end

function on.ping()
  return ": ping\n\n"
end

function on.error(self, event)
  local kind = span.path(event.error, "type")
  local message = span.path(event.error, "message")
  return self:fail(message or '"the provider reported an error"', kind)
end

-- One event: its name, its data. Returns the text for the client, "" when there is none.
function methods.translate(self, name, data)
  if self.ended then
    return ""
  end
  local event, err = span.object(data)
  if not event then
    return self:fail(quote("provider sent an event that is no JSON object: " .. err))
  end
  local handler = on[json_text.unquote(event.type) or name]
  return handler and handler(self, event) or ""
end

-- Ends the stream with an error event (message and kind are raw JSON strings), without [DONE].
function methods.fail(self, message, kind)
  if self.ended then
    return ""
  end
  self.ended = true
  self.error = json_text.unquote(message)
  return "data: " .. object({ "error", object({
    "message", message, "type", kind or '"upstream_error"', "param", "null", "code", "null",
  }) }) .. "\n\n"
end

-- The provider closed the stream. An early end is an error, never a quiet success.
function methods.finish(self)
  return self:fail(quote("provider closed the stream before its end"), '"upstream_truncated"')
end

-- What was learned, in the shape of the exchange's tap_result.
function methods.result(self)
  local totals = values.totals(self.usage) or {}
  if not self.counted then
    totals.completion_tokens, totals.total_tokens = nil, nil
    totals.content_bytes = self.content_bytes
  end
  totals.model = json_text.unquote(self.model)
  totals.finish_reason = self.finish_reason
  totals.events = self.chunks
  totals.terminal = self.complete
  totals.stream = true
  return totals
end

return _M

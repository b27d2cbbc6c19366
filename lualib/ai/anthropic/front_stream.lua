-- A streamed chat completion in OpenAI's format, as Anthropic's events.
-- It is NOT the framer (sse.lua); stream.lua goes the other way.
-- Invariant: blocks are opened, filled and closed one after the other with rising indices. While a
-- tool's block is open (its fragments may come at any time) other content waits until the finish.

local front_response = require "moongate.ai.anthropic.front_response"
local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"
local values = require "moongate.ai.anthropic.values"

local object, quote, number = json_text.object, json_text.quote, json_text.number

local _M = {}
local methods = {}
local meta = { __index = methods }

local WAITING_MAX_BYTES = 4 * 1024 * 1024

-- how = {model = name, input_estimate = tokens}.
function _M.new(how)
  return setmetatable({
    model = quote(how.model),
    id = '"msg_0"',
    input_estimate = how.input_estimate or 0,
    usage = {},
    started = false,
    index = -1, -- of the newest block
    open = nil, -- the block that receives deltas now: {kind, key}
    waiting = {}, -- blocks that come after it: {kind, key, id, name, pieces}
    waiting_bytes = 0,
    finish_reason = nil,
    has_calls = false,
    ended = false, complete = false,
    events = 0,
    content_bytes = 0, -- of everything the blocks hold, for estimates
    out = nil, -- the texts of the events this call produces
  }, meta)
end

local function emit(self, kind, members)
  self.events = self.events + 1
  table.insert(members, 1, quote(kind))
  table.insert(members, 1, "type")
  self.out[#self.out + 1] = "event: " .. kind .. "\ndata: " .. object(members) .. "\n\n"
end

local function start(self, chunk)
  self.started = true
  if span.type(chunk.id) == "string" and chunk.id ~= '""' then
    self.id = chunk.id
  end
  if span.type(chunk.model) == "string" and chunk.model ~= '""' then
    self.model = chunk.model
  end
  emit(self, "message_start", { "message", object({
    "id", self.id, "type", '"message"', "role", '"assistant"', "model", self.model,
    "content", "[]", "stop_reason", "null", "stop_sequence", "null",
    "usage", values.anthropic_usage({ input = self.input_estimate, output = 1 }),
  }) })
end

-- Blocks -----------------------------------------------------------------------------------------

local EMPTY = {
  text = '{"type":"text","text":""}',
  thinking = '{"type":"thinking","thinking":"","signature":""}',
}
local DELTA = {
  text = { "text_delta", "text" },
  thinking = { "thinking_delta", "thinking" },
  tool_use = { "input_json_delta", "partial_json" },
}

local function close_block(self)
  if self.open then
    emit(self, "content_block_stop", { "index", number(self.index) })
    self.open = nil
  end
end

local function open_block(self, block)
  close_block(self)
  self.index = self.index + 1
  self.open = block
  emit(self, "content_block_start", {
    "index", number(self.index),
    "content_block", EMPTY[block.kind] or object({
      "type", '"tool_use"', "id", block.id, "name", block.name, "input", "{}",
    }),
  })
end

local function fill(self, kind, raw)
  local names = DELTA[kind]
  emit(self, "content_block_delta", {
    "index", number(self.index),
    "delta", object({ "type", quote(names[1]), names[2], raw }),
  })
end

local function is_text(raw)
  return span.type(raw) == "string" and raw ~= '""'
end

-- Finds or makes the waiting block of a kind and key; texts join the last one only.
local function waiting_block(self, block)
  local last = #self.waiting
  for i = block.kind == "tool_use" and 1 or math.max(last, 1), last do
    local other = self.waiting[i]
    if other.kind == block.kind and other.key == block.key then
      return other
    end
  end
  block.pieces = {}
  self.waiting[last + 1] = block
  return block
end

-- One fragment (raw string, may be empty) for a block {kind, key, id, name}.
local function add(self, block, raw)
  local open = self.open
  if is_text(raw) then
    self.content_bytes = self.content_bytes + #raw - 2
  end
  if open and open.kind == block.kind and open.key == block.key then
    return is_text(raw) and fill(self, block.kind, raw)
  elseif open and open.kind == "tool_use" then
    local wait = waiting_block(self, block)
    if is_text(raw) then
      self.waiting_bytes = self.waiting_bytes + #raw
      wait.pieces[#wait.pieces + 1] = raw
    end
    return
  end
  open_block(self, block)
  if is_text(raw) then
    fill(self, block.kind, raw)
  end
end

local function flush(self)
  for _, block in ipairs(self.waiting) do
    open_block(self, block)
    if #block.pieces > 0 then
      fill(self, block.kind, json_text.join_strings(block.pieces))
    end
  end
  self.waiting = {}
  close_block(self)
end

-- Chunks -----------------------------------------------------------------------------------------

local function add_calls(self, raw)
  for position, text in ipairs(span.type(raw) == "array" and span.array(raw) or {}) do
    local call = span.object(text) or {}
    local fn = span.type(call["function"]) == "object" and span.object(call["function"]) or {}
    self.has_calls = true
    add(self, {
      kind = "tool_use", key = call.index or number(position - 1),
      id = span.type(call.id) == "string" and call.id or quote("toolu_" .. position),
      name = span.type(fn.name) == "string" and fn.name or '""',
    }, fn.arguments)
  end
end

local function add_choice(self, choice)
  local delta = span.type(choice.delta) == "object" and span.object(choice.delta) or {}
  local thought = delta.reasoning_content or delta.reasoning
  if is_text(thought) then
    add(self, { kind = "thinking" }, thought)
  end
  if is_text(delta.content) then
    add(self, { kind = "text" }, delta.content)
  elseif is_text(delta.refusal) then
    add(self, { kind = "text" }, delta.refusal)
  end
  add_calls(self, delta.tool_calls)
  if span.type(choice.finish_reason) == "string" then
    self.finish_reason = json_text.unquote(choice.finish_reason)
    flush(self)
  end
end

local function stop(self)
  flush(self)
  local reason = values.stop_reason(self.finish_reason)
  if self.has_calls and reason == "end_turn" then
    reason = "tool_use"
  end
  emit(self, "message_delta", {
    "delta", object({ "stop_reason", quote(reason), "stop_sequence", "null" }),
    "usage", values.anthropic_usage(self.usage),
  })
  emit(self, "message_stop", {})
  self.ended, self.complete = true, true
end

local function take_chunk(self, chunk)
  values.read_openai_usage(chunk.usage, self.usage)
  local choices = span.type(chunk.choices) == "array" and span.array(chunk.choices) or {}
  for _, raw in ipairs(choices) do
    local choice = span.object(raw) or {}
    if (choice.index or "0") == "0" then
      if not self.started then
        start(self, chunk)
      end
      add_choice(self, choice)
    end
  end
end

-- One event: its name, its data. Returns the text for the client, "" when there is none.
function methods.translate(self, _, data)
  if self.ended then
    return ""
  end
  self.out = {}
  if data == "[DONE]" then
    if self.started then
      stop(self)
      return table.concat(self.out)
    end
    return self:finish()
  end
  local chunk, err = span.object(data)
  if not chunk then
    return self:fail(quote("provider sent an event that is no JSON object: " .. err))
  elseif chunk.error and chunk.error ~= "null" then
    return self:fail(span.path(chunk.error, "message")
      or span.type(chunk.error) == "string" and chunk.error
      or '"the provider reported an error"')
  end
  take_chunk(self, chunk)
  local out = table.concat(self.out)
  if self.waiting_bytes > WAITING_MAX_BYTES then
    return out .. self:fail(quote("parallel tool calls are too large to be put in order"))
  end
  return out
end

-- Ends the stream with an error event; message is a raw JSON string.
function methods.fail(self, message)
  if self.ended then
    return ""
  end
  self.ended = true
  self.error = json_text.unquote(message)
  return "event: error\ndata: " .. object({ "type", '"error"', "error", object({
    "type", '"api_error"', "message", message,
  }) }) .. "\n\n"
end

-- The provider closed the stream. With a finish_reason it was complete even without [DONE].
function methods.finish(self)
  if self.ended then
    return ""
  elseif self.started and self.finish_reason then
    self.out = {}
    stop(self)
    return table.concat(self.out)
  end
  return self:fail(quote("provider closed the stream before its end"))
end

-- What was learned, in the shape of the exchange's tap_result.
function methods.result(self)
  local totals = values.totals(self.usage) or {}
  totals.model = json_text.unquote(self.model)
  totals.finish_reason = self.finish_reason
  totals.events = self.events
  totals.content_bytes = self.content_bytes
  totals.terminal = self.complete
  totals.stream = true
  return totals
end

-- Replays a whole chat completion as a stream; see ../stream.lua.
function _M.replay(translator, text)
  local body = span.object(text)
  if body.error and body.error ~= "null" then
    return translator:translate("message", text)
  end
  local message, err = front_response.convert(text, { model = "" })
  if not message then
    return translator:fail(quote(err))
  end
  local choice = span.object(span.array(body.choices)[1])
  local chunk = object({
    "id", body.id or '""', "model", body.model or '""', "usage", body.usage or "null",
    "choices", json_text.array({ object({
      "index", "0", "delta", choice.message,
      "finish_reason", span.type(choice.finish_reason) == "string" and choice.finish_reason
        or '"stop"',
    }) }),
  })
  return translator:translate("message", chunk) .. translator:translate("message", "[DONE]")
end

return _M

-- The mock provider in Anthropic's Messages format, whole or streamed.
-- It is NOT where words come from (reply.lua), and writes to no socket (plugins/ai-mock).
-- Invariant: the joined deltas of a stream are the content of the whole answer.

local json = require "moongate.util.json_encode"
local reply = require "moongate.ai.mock.reply"

local array, null = json.array, json.null

local _M = {}

local function plan(request, conf)
  local tool = reply.forced_tool(request)
  local pieces, cut
  if tool then
    pieces, cut = {}, false
  else
    pieces, cut = reply.words(request, conf.reply)
  end
  return {
    tool = tool, pieces = pieces,
    stop = tool and "tool_use" or cut and "max_tokens" or "end_turn",
    usage = {
      input_tokens = reply.count_prompt(request), output_tokens = tool and 1 or #pieces,
      cache_creation_input_tokens = 0, cache_read_input_tokens = 0,
    },
  }
end

local function message(request, how, content, stop, usage)
  return {
    id = how.id, type = "message", role = "assistant", content = array(content),
    model = type(request.model) == "string" and request.model or how.model,
    stop_reason = stop or null, stop_sequence = null, usage = usage,
  }
end

local function tool_block(name)
  return { type = "tool_use", id = "toolu_mock_0", name = name, input = {} }
end

-- The whole answer. conf = {reply}; how = {id, created, model}.
function _M.whole(request, conf, how)
  local parts = plan(request, conf)
  local block = parts.tool and tool_block(parts.tool)
    or { type = "text", text = table.concat(parts.pieces) }
  return json.encode(message(request, how, { block }, parts.stop, parts.usage))
end

-- The events of a streamed answer as a list of texts.
function _M.events(request, conf, how)
  local parts = plan(request, conf)
  local out = {}
  local function event(data)
    out[#out + 1] = "event: " .. data.type .. "\ndata: " .. json.encode(data) .. "\n\n"
  end
  event({ type = "message_start", message = message(request, how, {}, nil, {
    input_tokens = parts.usage.input_tokens, output_tokens = 1,
  }) })
  local block = parts.tool and tool_block(parts.tool) or { type = "text", text = "" }
  event({ type = "content_block_start", index = 0, content_block = block })
  event({ type = "ping" })
  for _, piece in ipairs(parts.pieces) do
    event({ type = "content_block_delta", index = 0,
      delta = { type = "text_delta", text = piece } })
  end
  event({ type = "content_block_stop", index = 0 })
  event({ type = "message_delta", usage = parts.usage,
    delta = { stop_reason = parts.stop, stop_sequence = null } })
  event({ type = "message_stop" })
  return out
end

-- An error object; `kind` is its type.
function _M.error(text, kind)
  return json.encode({ type = "error", error = { type = kind, message = text } })
end

return _M

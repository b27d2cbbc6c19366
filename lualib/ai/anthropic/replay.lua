-- Replays a whole Anthropic message as the events of a stream, for a provider that answered a
-- stream request with one JSON document.
-- It is NOT a translation: both sides are Anthropic's format.
-- Invariant: an error object becomes an error event, never a finished answer.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

local object = json_text.object

local _M = {}

-- Feeds the translator with the events the message would have been; returns the client's text.
function _M.message(translator, text)
  local body = span.object(text)
  local out = {}
  local function event(members)
    out[#out + 1] = translator:translate("message", object(members))
  end
  if json_text.unquote(body.type) == "error" then
    return translator:translate("error", text)
  end
  local blocks = body.content and span.array(body.content)
  if not blocks then
    return translator:fail(json_text.quote("'content' not in anthropic://llm/v1/chat response"))
  end
  event({ "type", '"message_start"', "message", text })
  for i, block in ipairs(blocks) do
    local index = json_text.number(i - 1)
    event({ "type", '"content_block_start"', "index", index, "content_block", block })
    event({ "type", '"content_block_stop"', "index", index })
  end
  event({
    "type", '"message_delta"', "usage", body.usage or "null",
    "delta", object({ "stop_reason", body.stop_reason or "null" }),
  })
  event({ "type", '"message_stop"' })
  return table.concat(out)
end

return _M

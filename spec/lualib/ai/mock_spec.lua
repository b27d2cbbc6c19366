local anthropic_response = require "moongate.ai.anthropic.response"
local anthropic_stream = require "moongate.ai.anthropic.stream"
local cjson = require "cjson"
local mock = require "moongate.ai.mock.anthropic"
local replay = require "moongate.ai.anthropic.replay"
local stream = require "moongate.ai.stream"

local HOW = { id = "msg_1", created = 1700000000, model = "m" }

local function translate(events)
  local subject = stream.new(anthropic_stream.new({ created = 1, model = "m",
    include_usage = true }), replay.message)
  local out = {}
  for i, event in ipairs(events) do
    out[i] = subject:feed(event)
  end
  out[#out + 1] = subject:finish()
  return table.concat(out), subject:result()
end

describe("ai.mock in Anthropic's format", function()
  it("is understood by our translator, whole and streamed alike", function()
    local request = { messages = { { role = "user", content = "a b" } } }
    local conf = { reply = "one two three" }
    local text, result = translate(mock.events(request, conf, HOW))
    local whole = cjson.decode((anthropic_response.convert(mock.whole(request, conf, HOW), HOW)))
    local said = ""
    for piece in text:gmatch('"content":"([^"]*)"') do
      said = said .. piece
    end
    assert.equal("one two three", said)
    assert.equal(said, whole.choices[1].message.content)
    assert.same({ 2, 3, "stop", true }, { result.prompt_tokens, result.completion_tokens,
      result.finish_reason, result.terminal })
    assert.equal(5, whole.usage.total_tokens)
  end)

  it("calls a forced tool in a way our translator understands", function()
    local request = { messages = {}, tools = { { name = "f" } }, tool_choice = { type = "any" } }
    local text, result = translate(mock.events(request, {}, HOW))
    assert.matches('"name":"f"', text)
    assert.equal("tool_calls", result.finish_reason)
  end)
end)

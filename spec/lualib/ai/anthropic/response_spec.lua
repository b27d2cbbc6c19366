local cjson = require "cjson"
local convert = require("moongate.ai.anthropic.response").convert
local values = require "moongate.ai.anthropic.values"

local HOW = { created = 1700000000, model = "asked" }

local function message(content, more)
  return '{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":'
    .. content .. (more or ',"stop_reason":"end_turn"') .. "}"
end

describe("anthropic response", function()
  it("matches the golden pair of a text answer byte for byte", function()
    local text, details = convert(message('[{"type":"text","text":"Hi \\u00e9"},'
      .. '{"type":"text","text":"!"}]', ',"stop_reason":"end_turn","usage":{"input_tokens":10,'
      .. '"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":7}'), HOW)
    assert.equal('{"id":"msg_1","object":"chat.completion","created":1700000000,'
      .. '"model":"claude-x","choices":[{"index":0,"message":{"role":"assistant",'
      .. '"content":"Hi \\u00e9!","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
      .. '"usage":{"prompt_tokens":18,"completion_tokens":7,"total_tokens":25,'
      .. '"prompt_tokens_details":{"cached_tokens":5,"cache_creation_tokens":3}}}', text)
    assert.equal(18, details.usage.prompt_tokens)
    assert.equal("claude-x", details.model)
  end)

  it("turns tool use into tool calls whose arguments keep their digits", function()
    local out = cjson.decode((convert(message('[{"type":"tool_use","id":"t1","name":"f",'
      .. '"input":{"n":10000000000000001,"e":[]}},{"type":"tool_use","id":"t2","name":"g",'
      .. '"input":{}}]', ',"stop_reason":"tool_use"'), HOW)))
    local choice = out.choices[1]
    assert.equal("tool_calls", choice.finish_reason)
    assert.equal(cjson.null, choice.message.content)
    assert.equal('{"n":10000000000000001,"e":[]}',
      choice.message.tool_calls[1]["function"].arguments)
    assert.equal("{}", choice.message.tool_calls[2]["function"].arguments)
    assert.equal("t2", choice.message.tool_calls[2].id)
  end)

  it("shows thinking as reasoning_content and ignores unknown blocks", function()
    local out = cjson.decode((convert(message('['
      .. '{"type":"thinking","thinking":"hm","signature":"S"},'
      .. '{"type":"redacted_thinking","data":"R"},{"type":"server_tool_use","id":"x"},'
      .. '{"type":"text","text":"ok"}]'), HOW)))
    local answer = out.choices[1].message
    assert.equal("hm", answer.reasoning_content)
    assert.equal("ok", answer.content)
    assert.same({ "thinking", "redacted_thinking" },
      { answer.thinking_blocks[1].type, answer.thinking_blocks[2].type })
  end)

  it("maps every stop reason", function()
    for native, expected in pairs({
      end_turn = "stop", stop_sequence = "stop", max_tokens = "length", tool_use = "tool_calls",
      refusal = "content_filter", model_context_window_exceeded = "length", pause_turn = "length",
      something_new = "stop",
    }) do
      local text = convert(message("[]", ',"stop_reason":"' .. native .. '"'), HOW)
      assert.equal(expected, cjson.decode(text).choices[1].finish_reason, native)
    end
  end)

  it("leaves usage out when there is none", function()
    assert.is_nil(cjson.decode((convert(message("[]"), HOW))).usage)
  end)

  it("refuses an answer without content", function()
    local text, err = convert('{"type":"message"}', HOW)
    assert.is_nil(text)
    assert.equal("'content' not in anthropic://llm/v1/chat response", err)
  end)

  it("refuses every cut of an answer", function()
    local text = message('[{"type":"text","text":"Hi"}]')
    for i = 0, #text - 1 do
      assert.is_nil((convert(text:sub(1, i), HOW)))
    end
  end)
end)

describe("anthropic usage", function()
  it("survives the way to OpenAI's inclusive counters and back", function()
    local raw = '{"input_tokens":10,"output_tokens":7,"cache_read_input_tokens":5,'
      .. '"cache_creation_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":3}}'
    local there = values.read_usage(raw, {})
    local back = values.read_openai_usage(values.openai_usage(there), {})
    assert.same({ input = 10, output = 7, cache_read = 5, cache_write = 3 }, back)
    assert.equal('{"input_tokens":10,"cache_creation_input_tokens":3,'
      .. '"cache_read_input_tokens":5,"output_tokens":7}', values.anthropic_usage(back))
  end)

  it("knows which cache writes are kept for an hour", function()
    local usage = values.read_usage('{"input_tokens":1,"cache_creation_input_tokens":9,'
      .. '"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":6}}', {})
    assert.equal(6, values.totals(usage).cache_write_1h_tokens)
    assert.equal(10, values.totals(usage).prompt_tokens)
  end)

  it("takes the last value of a counter instead of adding", function()
    local usage = values.read_usage('{"input_tokens":10,"output_tokens":1}', {})
    values.read_usage('{"output_tokens":7}', usage)
    values.read_usage('{"output_tokens":12,"input_tokens":null}', usage)
    assert.same({ input = 10, output = 12 }, usage)
  end)
end)

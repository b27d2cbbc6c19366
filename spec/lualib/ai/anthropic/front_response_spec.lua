local front = require "moongate.ai.anthropic.front_response"

local HOW = { model = "asked" }

local function completion(message, more)
  return '{"id":"c1","object":"chat.completion","model":"gpt-x","choices":[{"index":0,"message":'
    .. message .. (more or ',"finish_reason":"stop"') .. "}]"
end

describe("anthropic front door response", function()
  it("matches the golden pair of a text answer byte for byte", function()
    local text, details = front.convert(completion('{"role":"assistant","content":"Hi \\u00e9",'
      .. '"reasoning_content":"hm"}') .. ',"usage":{"prompt_tokens":18,"completion_tokens":7,'
      .. '"total_tokens":25,"prompt_tokens_details":{"cached_tokens":5}}}', HOW)
    assert.equal('{"id":"c1","type":"message","role":"assistant","model":"gpt-x","content":['
      .. '{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"Hi \\u00e9"}],'
      .. '"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":13,'
      .. '"cache_creation_input_tokens":0,"cache_read_input_tokens":5,"output_tokens":7}}', text)
    assert.equal(18, details.usage.prompt_tokens)
  end)

  it("turns tool calls into blocks whose input keeps its digits", function()
    local text = front.convert(completion('{"content":null,"tool_calls":['
      .. '{"id":"a","function":{"name":"f","arguments":"{\\"n\\":10000000000000001,\\"e\\":[]}"}},'
      .. '{"id":"b","function":{"name":"g","arguments":""}},'
      .. '{"id":"c","function":{"name":"h","arguments":"oops"}}]}') .. "}", HOW)
    assert.truthy(text:find('"content":[{"type":"tool_use","id":"a","name":"f",'
      .. '"input":{"n":10000000000000001,"e":[]}},{"type":"tool_use","id":"b","name":"g",'
      .. '"input":{}},{"type":"tool_use","id":"c","name":"h",'
      .. '"input":{"invalid_arguments":"oops"}}],"stop_reason":"tool_use"', 1, true))
  end)

  it("maps every finish reason", function()
    for finish, expected in pairs({ stop = "end_turn", length = "max_tokens",
      tool_calls = "tool_use", content_filter = "refusal", other = "end_turn" }) do
      local text = front.convert(completion('{"content":"x"}', ',"finish_reason":"' .. finish
        .. '"') .. "}", HOW)
      assert.truthy(text:find('"stop_reason":"' .. expected .. '"', 1, true), finish)
    end
  end)

  it("refuses an answer without choices", function()
    for _, text in ipairs({ "{}", '{"choices":null}', '{"choices":[]}', '{"choices":[{}]}' }) do
      local out, err = front.convert(text, HOW)
      assert.is_nil(out)
      assert.equal("'choices' not in llm/v1/chat response", err)
    end
  end)

  it("gives errors Anthropic's shape, whatever the provider wrote", function()
    for _, case in ipairs({
      { '{"error":{"message":"slow","type":"x"}}', 429, "rate_limit_error", "slow" },
      { '{"error":"plain"}', 404, "not_found_error", "plain" },
      { '{"message":"m"}', 500, "api_error", "m" },
      { "<html>", 503, "overloaded_error", "provider answered 503" },
    }) do
      assert.equal('{"type":"error","error":{"type":"' .. case[3] .. '","message":"' .. case[4]
        .. '"}}', front.error(case[1], case[2]))
    end
  end)
end)

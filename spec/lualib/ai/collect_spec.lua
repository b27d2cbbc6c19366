local anthropic_fixtures = require "lualib.ai.fixtures"
local cjson = require "cjson"
local collect = require "moongate.ai.collect"
local openai_fixtures = require "lualib.ai.openai_fixtures"
local response = require "moongate.ai.anthropic.response"

describe("ai.collect", function()
  it("tells a stream from a document", function()
    for _, text in ipairs({ "data: {}", "event: x\ndata: {}", ": ok\n\ndata: 1", "\n\ndata:{}",
      "\239\187\191data: 1", "id: 1\n" }) do
      assert.is_true(collect.is_stream(text), text)
    end
    for _, text in ipairs({ "", "{}", ' {"data":1}', "[]", "<html>", "no data: here" }) do
      assert.is_false(collect.is_stream(text), text)
    end
  end)

  it("makes Anthropic's message out of its events", function()
    local message = cjson.decode((collect.anthropic(anthropic_fixtures.tools)))
    assert.same({ "msg_1", "claude-x", "tool_use", 20, 1 }, { message.id, message.model,
      message.stop_reason, message.usage.output_tokens, message.usage.input_tokens })
    assert.equal("Let me see", message.content[1].text)
    assert.equal("Z\195\188rich", message.content[2].input.city)
    assert.same({}, message.content[3].input)
  end)

  it("keeps the digits of tool input, and signatures", function()
    local text = response.convert((collect.anthropic(anthropic_fixtures.tools)),
      { created = 1, model = "m" })
    assert.truthy(text:find('\\"n\\":10000000000000001}', 1, true))
    local thinking = cjson.decode((collect.anthropic(anthropic_fixtures.thinking))).content[1]
    assert.same({ "Hmm, well", "EqQB" }, { thinking.thinking, thinking.signature })
  end)

  it("makes OpenAI's completion out of its chunks, interleaved calls too", function()
    local out = cjson.decode((collect.openai(openai_fixtures.mixed)))
    local message = out.choices[1].message
    assert.same({ "seelate", "hm", '{"a":1}', '{"b":2}', "tool_calls" }, { message.content,
      message.reasoning_content, message.tool_calls[1]["function"].arguments,
      message.tool_calls[2]["function"].arguments, out.choices[1].finish_reason })
    assert.equal(25, cjson.decode((collect.openai(openai_fixtures.text))).usage.total_tokens)
  end)

  it("calls an error or an early end an error", function()
    assert.same({ nil, "Overloaded" }, { collect.anthropic(anthropic_fixtures.error) })
    assert.same({ nil, "overloaded" }, { collect.openai(openai_fixtures.error) })
    local early = "provider closed the stream before its end"
    for i = 0, #anthropic_fixtures.text - 40, 11 do
      local _, err = collect.anthropic(anthropic_fixtures.text:sub(1, i))
      assert.equal(early, err)
    end
    local _, err = collect.openai(openai_fixtures.text:sub(1, 200))
    assert.equal(early, err)
  end)
end)

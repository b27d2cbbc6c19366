local anthropic_response = require "moongate.ai.anthropic.response"
local anthropic_stream = require "moongate.ai.anthropic.stream"
local cjson = require "cjson"
local fixtures = require "lualib.ai.fixtures"
local replay = require "moongate.ai.anthropic.replay"
local stream = require "moongate.ai.stream"

local function new(include_usage, max_bytes)
  local translator = anthropic_stream.new({
    created = 1700000000, model = "asked", include_usage = include_usage,
  })
  return stream.new(translator, replay.message, max_bytes), translator
end

local function run(pieces, include_usage)
  local subject = new(include_usage)
  local out = {}
  for i, piece in ipairs(pieces) do
    out[i] = subject:feed(piece)
  end
  out[#out + 1] = subject:finish()
  return table.concat(out), subject:result()
end

-- The message an OpenAI client puts together from the chunks.
local function assemble(text)
  local out = { tool_calls = {} }
  for data in text:gmatch("data: ([^\n]*)\n\n") do
    if data == "[DONE]" then
      out.done = true
    else
      local chunk = cjson.decode((data:gsub("\\u[dD][89a-fA-F]%x%x", "\\ufffd"))) -- lone halves
      out.error = chunk.error or out.error
      out.usage = type(chunk.usage) == "table" and chunk.usage or out.usage
      local choice = chunk.choices and chunk.choices[1]
      local delta = choice and choice.delta or {}
      if delta.role then
        out.roles = (out.roles or 0) + 1
      end
      if delta.content then
        out.content = (out.content or "") .. delta.content
      end
      if delta.reasoning_content then
        out.reasoning = (out.reasoning or "") .. delta.reasoning_content
      end
      for _, call in ipairs(delta.tool_calls or {}) do
        local known = out.tool_calls[call.index + 1]
        if not known then
          assert.equal(#out.tool_calls, call.index)
          known = { id = call.id, name = call["function"].name, arguments = "" }
          out.tool_calls[call.index + 1] = known
        else
          assert.is_nil(call.id)
        end
        known.arguments = known.arguments .. (call["function"].arguments or "")
      end
      if choice and choice.finish_reason ~= cjson.null then
        out.finish_reason = choice.finish_reason
      end
    end
  end
  return out
end

describe("anthropic stream", function()
  it("matches the golden pair of a text answer byte for byte", function()
    local head = 'data: {"id":"msg_1","object":"chat.completion.chunk","created":1700000000,'
      .. '"model":"claude-x","choices":[{"index":0,"delta":'
    local open = ',"logprobs":null,"finish_reason":null}]}\n\n'
    assert.equal(head .. '{"role":"assistant","content":""}' .. open .. ": ping\n\n"
      .. head .. '{"content":"Hel"}' .. open .. head .. '{"content":"lo \\ud83d"}' .. open
      .. head .. '{"content":"\\ude00 \195\169"}' .. open
      .. head .. '{},"logprobs":null,"finish_reason":"stop"}]}\n\n' .. "data: [DONE]\n\n",
      (run({ fixtures.text })))
  end)

  for name, text in pairs(fixtures) do
    it("gives the same bytes for '" .. name .. "' cut at every byte", function()
      local whole = run({ text }, true)
      for i = 1, #text - 1 do
        assert.equal(whole, (run({ text:sub(1, i), text:sub(i + 1) }, true)), "cut at " .. i)
      end
      local bytes = {}
      for i = 1, #text do
        bytes[i] = text:sub(i, i)
      end
      assert.equal(whole, (run(bytes, true)))
    end)

    it("never ends '" .. name .. "' with [DONE] when it was cut short", function()
      local stop = text:find("event: message_stop", 1, true) or #text
      for i = 1, stop - 1, 7 do
        local out = assemble((run({ text:sub(1, i) })))
        assert.is_nil(out.done)
        assert.is_table(out.error)
      end
    end)
  end

  it("puts usage in one last chunk, and only when it was asked for", function()
    local out, result = run({ fixtures.text }, true)
    assert.same({ prompt_tokens = 18, completion_tokens = 7, total_tokens = 25,
      prompt_tokens_details = { cached_tokens = 5, cache_creation_tokens = 3 } },
      assemble(out).usage)
    assert.matches('"choices":%[%],"usage":{[^\n]+\n\ndata: %[DONE%]\n\n$', out)
    assert.matches('"finish_reason":null}%],"usage":null}', out)
    assert.is_nil(assemble((run({ fixtures.text }))).usage)
    assert.same({ 18, 7, 25, "stop", true }, { result.prompt_tokens, result.completion_tokens,
      result.total_tokens, result.finish_reason, result.terminal })
  end)

  it("numbers tool calls from 0 without counting other blocks", function()
    local out = assemble((run({ fixtures.tools })))
    assert.equal("Let me see", out.content)
    assert.same({
      { id = "t1", name = "weather", arguments = '{"city":"Z\\u00fcrich","n":10000000000000001}' },
      { id = "t2", name = "now", arguments = "{}" },
    }, out.tool_calls)
    assert.equal("tool_calls", out.finish_reason)
    assert.equal(1, out.roles)
  end)

  it("shows thinking and skips signatures, citations and unknown kinds", function()
    local out = assemble((run({ fixtures.thinking })))
    assert.equal("Hmm, well", out.reasoning)
    assert.equal("Yes", out.content)
    assert.is_true(out.done)
  end)

  it("turns an error in the stream into an error event without [DONE]", function()
    local out = run({ fixtures.error })
    assert.matches('data: {"error":{"message":"Overloaded","type":"overloaded_error",'
      .. '"param":null,"code":null}}\n\n$', out)
    assert.is_nil(out:find("[DONE]", 1, true))
  end)

  it("accepts a stream that names its events only in the data", function()
    local bare = fixtures.text:gsub("event: [^\n]*\n", "")
    assert.equal((run({ fixtures.text })), (run({ bare })))
  end)

  it("takes a terminal event without its blank line", function()
    assert.is_true(assemble((run({ (fixtures.text:gsub("\n\n$", "")) }))).done)
  end)

  it("writes nothing after the end", function()
    local once = run({ fixtures.text })
    assert.equal(once, (run({ fixtures.text .. fixtures.text })))
  end)

  it("fails on an event beyond the limit", function()
    local subject = new(false, 100)
    local out = subject:feed("data: " .. ("x"):rep(200) .. "\n\n")
    assert.matches("event exceeds 100 bytes", out)
    assert.equal("", subject:feed(fixtures.text))
    assert.equal("", subject:finish())
  end)

  it("fails on an event that is no JSON", function()
    local out = run({ "data: {oops\n\n" })
    assert.matches("no JSON object: invalid json at byte 2", out)
  end)

  it("calls an empty answer an error", function()
    assert.is_table(assemble((run({ "" }))).error)
  end)

  it("replays a JSON answer as a stream with the same message", function()
    local out = assemble((run({ " ", fixtures.document:sub(1, 20), fixtures.document:sub(21) },
      true)))
    local whole = cjson.decode((anthropic_response.convert(fixtures.document,
      { created = 1, model = "m" })))
    assert.equal(whole.choices[1].message.content, out.content)
    assert.equal(whole.choices[1].message.tool_calls[1]["function"].arguments,
      out.tool_calls[1].arguments)
    assert.same(whole.usage, out.usage)
    assert.is_true(out.done)
  end)

  it("turns a JSON error object with status 200 into an error event", function()
    local out = assemble((run({ '{"type":"error","error":{"type":"api_error","message":"no"}}' })))
    assert.equal("no", out.error.message)
    assert.is_nil(out.done)
  end)
end)

local cjson = require "cjson"
local fixtures = require "lualib.ai.openai_fixtures"
local front_response = require "moongate.ai.anthropic.front_response"
local front_stream = require "moongate.ai.anthropic.front_stream"
local stream = require "moongate.ai.stream"

local function run(pieces)
  local subject = stream.new(front_stream.new({ model = "asked", input_estimate = 4 }),
    front_stream.replay)
  local out = {}
  for i, piece in ipairs(pieces) do
    out[i] = subject:feed(piece)
  end
  out[#out + 1] = subject:finish()
  return table.concat(out), subject:result()
end

-- The message a client puts together. Fails when blocks are not opened, filled and closed in order.
local function assemble(text)
  local out = { blocks = {} }
  local open
  for name, data in text:gmatch("event: ([^\n]+)\ndata: ([^\n]*)\n\n") do
    local event = cjson.decode(data)
    assert.equal(name, event.type)
    if name == "content_block_start" then
      assert.is_nil(open)
      assert.equal(#out.blocks, event.index)
      open = event.content_block
      open.said = ""
      out.blocks[event.index + 1] = open
    elseif name == "content_block_delta" then
      assert.equal(#out.blocks - 1, event.index)
      local delta = event.delta
      open.said = open.said .. (delta.text or delta.thinking or delta.partial_json)
    elseif name == "content_block_stop" then
      assert.is_table(open)
      open = nil
    elseif name == "message_delta" then
      assert.is_nil(open)
      out.stop_reason, out.usage = event.delta.stop_reason, event.usage
    else
      out[name] = event
    end
  end
  return out
end

describe("anthropic front door stream", function()
  it("matches the golden pair of a text answer byte for byte", function()
    assert.equal('event: message_start\ndata: {"type":"message_start","message":{"id":"c1",'
      .. '"type":"message","role":"assistant","model":"gpt-x","content":[],"stop_reason":null,'
      .. '"stop_sequence":null,"usage":{"input_tokens":4,"cache_creation_input_tokens":0,'
      .. '"cache_read_input_tokens":0,"output_tokens":1}}}\n\n'
      .. 'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
      .. '"content_block":{"type":"text","text":""}}\n\n'
      .. 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
      .. '"delta":{"type":"text_delta","text":"Hel"}}\n\n'
      .. 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
      .. '"delta":{"type":"text_delta","text":"lo \195\169"}}\n\n'
      .. 'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
      .. 'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
      .. '"stop_sequence":null},"usage":{"input_tokens":13,"cache_creation_input_tokens":0,'
      .. '"cache_read_input_tokens":5,"output_tokens":7}}\n\n'
      .. 'event: message_stop\ndata: {"type":"message_stop"}\n\n', (run({ fixtures.text })))
  end)

  for name, text in pairs(fixtures) do
    it("gives the same bytes for '" .. name .. "' cut at every byte", function()
      local whole = run({ text })
      for i = 1, #text - 1 do
        assert.equal(whole, (run({ text:sub(1, i), text:sub(i + 1) })), "cut at " .. i)
      end
    end)

    it("ends '" .. name .. "' with message_stop or error, never both", function()
      for i = 0, #text do
        local out = run({ text:sub(1, i) })
        local stopped = out:find("event: message_stop", 1, true) ~= nil
        local failed = out:find("event: error", 1, true) ~= nil
        assert.is_true(stopped ~= failed, "cut at " .. i)
      end
    end)
  end

  it("puts thinking, text and tools in blocks of their own", function()
    local out = assemble((run({ fixtures.mixed })))
    local kinds = {}
    for i, block in ipairs(out.blocks) do
      kinds[i] = block.type .. ":" .. block.said
    end
    assert.same({ "thinking:hm", "text:see", 'tool_use:{"a":1}', 'tool_use:{"b":2}', "text:late" },
      kinds)
    assert.same({ "t1", "f" }, { out.blocks[3].id, out.blocks[3].name })
    assert.equal("tool_use", out.stop_reason)
  end)

  it("takes a finish_reason for an end when [DONE] is missing", function()
    local out, result = run({ (fixtures.text:gsub("data: %[DONE%]\n\n", "")) })
    assert.is_table(assemble(out).message_stop)
    assert.is_true(result.terminal)
  end)

  it("knows [DONE] without its space", function()
    assert.equal((run({ fixtures.text })), (run({ (fixtures.text:gsub("data: %[", "data:[")) })))
  end)

  it("takes the last usage of cumulative ones, and reports it", function()
    local out, result = run({ fixtures.cumulative })
    assert.equal(9, assemble(out).usage.output_tokens)
    assert.same({ 18, 9 }, { result.prompt_tokens, result.completion_tokens })
  end)

  it("ignores chunks without choices and further choices", function()
    local out = assemble((run({ fixtures.azure })))
    assert.equal("Hi", out.blocks[1].said)
    assert.equal(1, #out.blocks)
  end)

  it("turns an error in the stream into an error event", function()
    local out = run({ fixtures.error })
    assert.matches('event: error\ndata: {"type":"error","error":{"type":"api_error",'
      .. '"message":"overloaded"}}\n\n$', out)
    assert.is_nil(out:find("message_stop", 1, true))
  end)

  it("replays a JSON answer as a stream with the same content", function()
    local out = assemble((run({ fixtures.document })))
    local whole = cjson.decode((front_response.convert(fixtures.document, { model = "m" })))
    assert.equal(whole.content[1].text, out.blocks[1].said)
    assert.equal('{"n":10000000000000001}', out.blocks[2].said)
    assert.equal(whole.stop_reason, out.stop_reason)
    assert.same(whole.usage, out.usage)
  end)
end)

local cjson = require "cjson"
local convert = require("moongate.ai.anthropic.request").convert
local span = require "moongate.ai.span"

local HOW = { model = "claude-sonnet-4-5", stream = false }

local function raw(body, how)
  local text, err = convert(body, how or HOW)
  assert(text, err)
  return text
end

local function decoded(body, how)
  return cjson.decode(raw(body, how))
end

local function chat(messages, more)
  return '{"model":"x","messages":' .. messages .. (more or "") .. "}"
end

local HI = '[{"role":"user","content":"hi"}]'

describe("anthropic request", function()
  it("matches the golden pair of a plain chat byte for byte", function()
    assert.equal('{"model":"claude-sonnet-4-5","max_tokens":4096,"system":"Be brief.",'
      .. '"messages":[{"role":"user","content":"caf\\u00e9 / \195\169"}],"stream":false}',
      raw(chat('[{"role":"system","content":"Be brief."},'
        .. '{"role":"user","content":"caf\\u00e9 / \195\169"}]')))
  end)

  it("joins system and developer messages wherever they stand", function()
    local out = decoded(chat('[{"role":"system","content":"A"},{"role":"user","content":"hi"},'
      .. '{"role":"developer","content":[{"type":"text","text":"B"},{"type":"text","text":"C"}]}]'))
    assert.equal("A\n\nB\n\nC", out.system)
    assert.equal(1, #out.messages)
  end)

  it("keeps cache_control of system parts, which needs the array form", function()
    local out = raw(chat('[{"role":"system","content":[{"type":"text","text":"A",'
      .. '"cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"hi"}]'))
    assert.equal('[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}}]',
      span.path(out, "system"))
  end)

  it("passes sampling parameters and stop, and lets the configuration win", function()
    local body = chat(HI, ',"temperature":0.5,"top_p":0.9,"top_k":5,"stop":"END","max_tokens":10')
    local out = decoded(body)
    assert.equal(0.5, out.temperature)
    assert.equal(0.9, out.top_p)
    assert.equal(5, out.top_k)
    assert.equal(10, out.max_tokens)
    assert.same({ "END" }, out.stop_sequences)
    out = decoded(body, { model = "m", stream = true, options = { max_tokens = 7, top_k = 1 } })
    assert.equal(7, out.max_tokens)
    assert.equal(1, out.top_k)
    assert.is_true(out.stream)
  end)

  it("prefers max_completion_tokens and treats null as absent", function()
    assert.equal(9, decoded(chat(HI, ',"max_completion_tokens":9,"max_tokens":3')).max_tokens)
    local out = raw(chat(HI, ',"max_tokens":null,"temperature":null,"stop":null,"tools":null'))
    assert.equal(4096, cjson.decode(out).max_tokens)
    assert.is_nil(out:find("null", 1, true))
  end)

  it("matches the golden pair of tools, schemas byte for byte", function()
    local schema = '{"type":"object","properties":{},"required":[],"maximum":12345678901234567890}'
    local out = raw(chat(HI, ',"tools":[{"type":"function","function":{"name":"f",'
      .. '"description":"d","parameters":' .. schema .. ',"strict":true}},'
      .. '{"type":"function","function":{"name":"g"}},'
      .. '{"type":"web_search_20250305","name":"web_search"}],"tool_choice":"required",'
      .. '"parallel_tool_calls":false'))
    assert.equal('[{"name":"f","description":"d","input_schema":' .. schema .. "},"
      .. '{"name":"g","input_schema":{"type":"object","properties":{}}},'
      .. '{"type":"web_search_20250305","name":"web_search"}]', span.path(out, "tools"))
    assert.equal('{"type":"any","disable_parallel_tool_use":true}', span.path(out, "tool_choice"))
  end)

  it("maps every tool_choice", function()
    local tools = ',"tools":[{"type":"function","function":{"name":"f"}}],'
    for choice, expected in pairs({
      ['"auto"'] = '{"type":"auto"}',
      ['"none"'] = '{"type":"none"}',
      ['"required"'] = '{"type":"any"}',
      ['{"type":"function","function":{"name":"f"}}'] = '{"type":"tool","name":"f"}',
    }) do
      local out = raw(chat(HI, tools .. '"tool_choice":' .. choice))
      assert.equal(expected, span.path(out, "tool_choice"))
    end
    local out = raw(chat(HI, tools .. '"parallel_tool_calls":false'))
    assert.equal('{"type":"auto","disable_parallel_tool_use":true}', span.path(out, "tool_choice"))
    assert.is_nil(span.path(raw(chat(HI, ',"tool_choice":"auto"')), "tool_choice"))
  end)

  it("matches the golden pair of a tool round trip with parallel calls", function()
    local out = raw(chat('[{"role":"user","content":"w?"},'
      .. '{"role":"assistant","content":null,"tool_calls":['
      .. '{"id":"a","type":"function","function":{"name":"f",'
      .. '"arguments":"{\\"n\\":10000000000000001}"}},'
      .. '{"id":"b","type":"function","function":{"name":"g","arguments":""}}]},'
      .. '{"role":"tool","tool_call_id":"a","content":"20"},'
      .. '{"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"x"}]},'
      .. '{"role":"user","content":"and?"}]'))
    assert.equal('[{"role":"user","content":"w?"},{"role":"assistant","content":['
      .. '{"type":"tool_use","id":"a","name":"f","input":{"n":10000000000000001}},'
      .. '{"type":"tool_use","id":"b","name":"g","input":{}}]},'
      .. '{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"20"},'
      .. '{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"x"}]},'
      .. '{"type":"text","text":"and?"}]}]', span.path(out, "messages"))
  end)

  it("matches the golden pair of images", function()
    local out = raw(chat('[{"role":"user","content":[{"type":"text","text":"what?"},'
      .. '{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0/+="}},'
      .. '{"type":"image_url","image_url":{"url":"https://x.test/a.png","detail":"low"}}]}]'))
    assert.equal('[{"role":"user","content":[{"type":"text","text":"what?"},'
      .. '{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0/+="}},'
      .. '{"type":"image","source":{"type":"url","url":"https://x.test/a.png"}}]}]',
      span.path(out, "messages"))
  end)

  it("turns a PDF part into a document block", function()
    local out = raw(chat('[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf",'
      .. '"file_data":"data:application/pdf;base64,JVBE"}}]}]'))
    assert.equal('[{"role":"user","content":[{"type":"document","source":{"type":"base64",'
      .. '"media_type":"application/pdf","data":"JVBE"},"title":"a.pdf"}]}]',
      span.path(out, "messages"))
  end)

  it("sends thinking blocks back in front, signature untouched", function()
    local out = raw(chat('[{"role":"user","content":"q"},{"role":"assistant","content":"a",'
      .. '"thinking_blocks":[{"type":"thinking","thinking":"t","signature":"S=="}]},'
      .. '{"role":"user","content":"r"}]', ',"thinking":{"type":"enabled","budget_tokens":1024}'))
    assert.equal('[{"type":"thinking","thinking":"t","signature":"S=="},'
      .. '{"type":"text","text":"a"}]',
      span.path(span.array(span.path(out, "messages"))[2], "content"))
    assert.equal('{"type":"enabled","budget_tokens":1024}', span.path(out, "thinking"))
  end)

  it("adds extra_body without letting it replace what is set", function()
    local out = decoded(chat(HI, ',"extra_body":{"model":"evil","service_tier":"auto"}'))
    assert.equal("claude-sonnet-4-5", out.model)
    assert.equal("auto", out.service_tier)
  end)

  it("names the members it dropped", function()
    local _, dropped = convert(chat(HI, ',"seed":1,"logprobs":true'), HOW)
    assert.same({ "logprobs", "seed" }, dropped)
  end)

  it("says where a bad request is bad", function()
    local cases = {
      { chat('[{"role":"system","content":"a"}]'),
        "at least one user message is needed beside system messages" },
      { chat('[{"role":"robot","content":"a"}]'), "messages[0]: role 'robot' is not supported" },
      { chat('[{"role":"user","content":[{"type":"text"}]}]'),
        "messages[0]: message part type is 'text' but is missing .text block" },
      { chat('[{"role":"user","content":[{"type":"image_url"}]}]'),
        "messages[0]: message part type is 'image_url' but is missing .image_url.url block" },
      { chat('[{"role":"user","content":[{"type":"input_audio"}]}]'),
        "messages[0]: cannot transform part of type 'input_audio' to Anthropic format" },
      { chat('[{"role":"user","content":[{"type":"image_url",'
        .. '"image_url":{"url":"file:///etc"}}]}]'),
        "messages[0]: URL of an image must begin with data:, http:// or https://" },
      { chat('[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a",'
        .. '"function":{"name":"f","arguments":"[1]"}}]}]'),
        "messages[1]: tool_calls[0].function.arguments is no JSON object" },
      { chat('[{"role":"tool","content":"x"}]'), "messages[0]: a tool message needs tool_call_id" },
      { chat('[1]'), "messages[0]: not an object" },
      { chat('[{"role":"user","content":7}]'),
        "messages[0]: message content must be a string or an array" },
      { chat(HI, ',"n":2'), "n must be 1: Anthropic answers with one choice" },
      { chat(HI, ',"tools":[{"type":"function"}]'), "tools[0].function is missing" },
      { chat(HI, ',"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"maybe"'),
        'tool_choice "maybe" is not supported' },
    }
    for _, case in ipairs(cases) do
      local text, err = convert(case[1], HOW)
      assert.is_nil(text)
      assert.equal(case[2], err)
    end
  end)
end)

local cjson = require "cjson"
local back = require("moongate.ai.anthropic.request").convert
local convert = require("moongate.ai.anthropic.front_request").convert
local span = require "moongate.ai.span"

local HOW = { model = "gpt-4o", stream = false, drop_top_k = true, newer_cap = true,
  ask_usage = true }

local function body(messages, more)
  return '{"model":"x","max_tokens":10,"messages":' .. messages .. (more or "") .. "}"
end

local function raw(text, how)
  local out, err = convert(text, how or HOW)
  assert(out, err)
  return out
end

local HI = '[{"role":"user","content":"hi"}]'

describe("anthropic front door request", function()
  it("matches the golden pair of a plain chat byte for byte", function()
    assert.equal('{"model":"gpt-4o","messages":[{"role":"system","content":"A\\n\\nB"},'
      .. '{"role":"user","content":"caf\\u00e9"}],"max_completion_tokens":10,"temperature":0.5,'
      .. '"stop":["x"],"user":"u","stream":true,"stream_options":{"include_usage":true}}',
      raw(body('[{"role":"user","content":"caf\\u00e9"}]', ',"temperature":0.5,"top_k":3,'
        .. '"system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}},'
        .. '{"type":"text","text":"B"}],"stop_sequences":["x"],"metadata":{"user_id":"u"}'),
        { model = "gpt-4o", stream = true, drop_top_k = true, newer_cap = true,
          ask_usage = true }))
  end)

  it("matches the golden pair of a tool round trip", function()
    local out = raw(body('[{"role":"user","content":"w?"},'
      .. '{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},'
      .. '{"type":"text","text":"see"},{"type":"tool_use","id":"a","name":"f",'
      .. '"input":{"n":10000000000000001,"e":[]}}]},'
      .. '{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":'
      .. '[{"type":"text","text":"20"},{"type":"text","text":"C"}]},'
      .. '{"type":"text","text":"and?"}]}]'))
    assert.equal('[{"role":"user","content":"w?"},{"role":"assistant","content":"see",'
      .. '"tool_calls":[{"id":"a","type":"function","function":{"name":"f",'
      .. '"arguments":"{\\"n\\":10000000000000001,\\"e\\":[]}"}}]},'
      .. '{"role":"tool","tool_call_id":"a","content":"20\\nC"},'
      .. '{"role":"user","content":[{"type":"text","text":"and?"}]}]', span.path(out, "messages"))
  end)

  it("matches the golden pair of images and documents", function()
    local out = raw(body('[{"role":"user","content":[{"type":"image","source":{"type":"base64",'
      .. '"media_type":"image/png","data":"iVBO/+="}},{"type":"image","source":{"type":"url",'
      .. '"url":"https://x.test/a.png"}},{"type":"document","title":"a.pdf","source":'
      .. '{"type":"base64","media_type":"application/pdf","data":"JVBE"}}]}]'))
    assert.equal('[{"role":"user","content":['
      .. '{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO/+="}},'
      .. '{"type":"image_url","image_url":{"url":"https://x.test/a.png"}},'
      .. '{"type":"file","file":{"filename":"a.pdf",'
      .. '"file_data":"data:application/pdf;base64,JVBE"}}]}]', span.path(out, "messages"))
  end)

  it("translates tools, schemas byte for byte, and every tool_choice", function()
    local schema = '{"type":"object","properties":{},"required":[],"maximum":12345678901234567890}'
    local tools = ',"tools":[{"name":"f","description":"d","input_schema":' .. schema
      .. '}],"tool_choice":'
    for choice, expected in pairs({
      ['{"type":"auto"}'] = '"auto"', ['{"type":"any"}'] = '"required"',
      ['{"type":"none"}'] = '"none"',
      ['{"type":"tool","name":"f"}'] = '{"type":"function","function":{"name":"f"}}',
    }) do
      local out = raw(body(HI, tools .. choice))
      assert.equal('[{"type":"function","function":{"name":"f","description":"d","parameters":'
        .. schema .. "}}]", span.path(out, "tools"))
      assert.equal(expected, span.path(out, "tool_choice"))
      assert.is_nil(span.path(out, "parallel_tool_calls"))
    end
    local out = raw(body(HI, tools .. '{"type":"auto","disable_parallel_tool_use":true}'))
    assert.equal("false", span.path(out, "parallel_tool_calls"))
  end)

  it("comes back the same through the other translator", function()
    local messages = '[{"role":"user","content":"w?"},{"role":"assistant","content":['
      .. '{"type":"text","text":"see"},{"type":"tool_use","id":"a","name":"f",'
      .. '"input":{"n":10000000000000001}}]},{"role":"user","content":['
      .. '{"type":"tool_result","tool_use_id":"a","content":"20"}]}]'
    local there = raw(body(messages, ',"system":"S"'))
    local out = assert(back(there, { model = "x" }))
    assert.equal(messages, span.path(out, "messages"))
    assert.equal('"S"', span.path(out, "system"))
    assert.equal("10", span.path(out, "max_tokens"))
  end)

  it("lets the configuration win and keeps top_k where it is known", function()
    local out = cjson.decode(raw(body(HI, ',"top_k":3'),
      { model = "m", stream = false, options = { max_tokens = 7 } }))
    assert.equal(7, out.max_tokens)
    assert.equal(3, out.top_k)
    assert.is_nil(out.stream_options)
  end)

  it("says what cannot be sent", function()
    for _, case in ipairs({
      { body('[{"role":"robot","content":"x"}]'), "messages.0: role 'robot' is not supported" },
      { body('[{"role":"user","content":[{"type":"video"}]}]'),
        "messages.0: blocks of type 'video' cannot be sent to this provider" },
      { body('[{"role":"user","content":[{"type":"image"}]}]'),
        "messages.0: an image needs a source of type base64 or url" },
      { body(HI, ',"tools":[{"type":"web_search_20250305","name":"w"}]'),
        "tools.0: tools of type 'web_search_20250305' need Anthropic" },
      { body(HI, ',"system":[{"type":"image"}]'), "system: only text blocks are supported here" },
      { body('[{"role":"user"}]'),
        "messages.0: content must be a string or an array of blocks" },
      { body('[{"role":"assistant","content":7}]'),
        "messages.0: content must be a string or an array of blocks" },
      { "[]", "not an object" },
    }) do
      local out, err = convert(case[1], HOW)
      assert.is_nil(out)
      assert.equal(case[2], err)
    end
  end)
end)

-- Odd types everywhere: values of good requests and answers are replaced at random (fixed seed).
-- Nothing may raise, and whatever comes out must be JSON.

local anthropic_fixtures = require "lualib.ai.fixtures"
local bridges = require "moongate.ai.bridges"
local openai_fixtures = require "lualib.ai.openai_fixtures"
local span = require "moongate.ai.span"
local stream = require "moongate.ai.stream"

local ROUNDS = 40
local VALUES = {
  "null", "true", "1", "-0.5e3", '""', '"x"', '"\\ud83d"', "[]", "{}", "[null]",
  '{"type":"text"}', "[1,[2]]", '{"index":{}}',
}

local REQUESTS = {
  openai = '{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"a"}]},'
    .. '{"role":"user","content":[{"type":"image_url",'
    .. '"image_url":{"url":"data:image/png;base64,a"}},'
    .. '{"type":"file","file":{"file_data":"data:application/pdf;base64,x"}}]},'
    .. '{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",'
    .. '"function":{"name":"f","arguments":"{}"}}],"thinking_blocks":[{"type":"thinking"}]},'
    .. '{"role":"tool","tool_call_id":"a","content":"x"}],"tools":[{"type":"function",'
    .. '"function":{"name":"f","parameters":{}}}],"tool_choice":{"type":"function",'
    .. '"function":{"name":"f"}},"stop":["a"],"user":"u","extra_body":{"a":1},"n":1}',
  anthropic = '{"model":"m","max_tokens":4,"system":[{"type":"text","text":"a"}],"messages":['
    .. '{"role":"user","content":[{"type":"image","source":{"type":"base64",'
    .. '"media_type":"image/png","data":"a"}},{"type":"tool_result","tool_use_id":"x",'
    .. '"content":[{"type":"text","text":"y"}]},{"type":"document",'
    .. '"source":{"type":"text","data":"d"}}]},{"role":"assistant","content":[{"type":"tool_use",'
    .. '"id":"x","name":"f","input":{}}]}],"tools":[{"name":"f","input_schema":{}}],'
    .. '"tool_choice":{"type":"tool","name":"f"},"metadata":{"user_id":"u"},'
    .. '"stop_sequences":["x"]}',
}

-- A value after a colon, comma or bracket replaced by another.
local function mutate(text)
  for _ = 1, math.random(1, 3) do
    local _, at = text:find("[:%[,]", math.random(1, #text))
    local after = at and (text:match('^"[^"]*"()', at + 1) or text:match("^[%d.]+()", at + 1)
      or text:match("^%b{}()", at + 1) or text:match("^%b[]()", at + 1)
      or text:match("^%a+()", at + 1))
    if after then
      text = text:sub(1, at) .. VALUES[math.random(#VALUES)] .. text:sub(after)
    end
  end
  return text
end

local function check_json(out, from)
  if out then
    assert.is_table((span.object(out)), "not JSON: " .. out .. " from " .. from)
  end
end

local function check_answer(bridge, text)
  local subject = stream.new(bridge.stream({ created = 1, model = "m", include_usage = true }),
    bridge.replay)
  local out = subject:feed(text) .. subject:finish()
  for data in out:gmatch("data: ([^\n]*)\n\n") do
    if data ~= "[DONE]" then
      check_json(data, text)
    end
  end
  assert.is_table(subject:result())
  check_json((bridge.collect(text)), text)
  check_json((bridge.response(text, { created = 1, model = "m" })), text)
end

for _, pair in ipairs({
  { "openai", "anthropic", anthropic_fixtures }, { "anthropic", "openai", openai_fixtures },
}) do
  describe("bridge from " .. pair[1] .. " to " .. pair[2], function()
    local bridge = bridges.between(pair[1], pair[2])

    it("survives odd requests", function()
      math.randomseed(7)
      for _ = 1, ROUNDS * 10 do
        local text = mutate(REQUESTS[pair[1]])
        check_json((bridge.request(text, { model = "m", stream = true, options = {} })), text)
      end
    end)

    it("survives odd answers", function()
      math.randomseed(7)
      for _ = 1, ROUNDS do
        for _, text in pairs(pair[3]) do
          check_answer(bridge, mutate(text))
        end
      end
    end)
  end)
end

-- Streams of chat completions in OpenAI's format, as they come over the wire, and one whole answer.
-- Not specs: front_stream_spec runs each of them cut at every byte.
-- Invariant: each value is the complete answer of one request.

local function chunk(choices, usage)
  return 'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-x","choices":'
    .. choices .. ',"usage":' .. (usage or "null") .. "}\n\n"
end

local function delta(members, finish, usage)
  return chunk('[{"index":0,"delta":{' .. members .. '},"finish_reason":'
    .. (finish and '"' .. finish .. '"' or "null") .. "}]", usage)
end

local function call(index, members)
  return delta('"tool_calls":[{"index":' .. index .. "," .. members .. "}]")
end

local DONE = "data: [DONE]\n\n"
local ROLE = delta('"role":"assistant","content":""')

local function usage(output)
  return '{"prompt_tokens":18,"completion_tokens":' .. output .. ',"total_tokens":'
    .. 18 + output .. ',"prompt_tokens_details":{"cached_tokens":5}}'
end

return {
  text = ROLE .. delta('"content":"Hel"') .. ": keep-alive\n\n" .. delta('"content":"lo \195\169"')
    .. delta("", "stop") .. chunk("[]", usage(7)) .. DONE,

  -- two parallel calls whose fragments alternate, and a text after them
  mixed = ROLE .. delta('"reasoning_content":"hm"') .. delta('"content":"see"')
    .. call(0, '"id":"t1","type":"function","function":{"name":"f","arguments":""}')
    .. call(1, '"id":"t2","type":"function","function":{"name":"g","arguments":"{\\"b\\""}')
    .. call(0, '"function":{"arguments":"{\\"a\\":"}') .. delta('"content":"la"')
    .. call(1, '"function":{"arguments":":2}"}') .. call(0, '"function":{"arguments":"1}"}')
    .. delta('"content":"te"') .. delta("", "tool_calls") .. DONE,

  cumulative = ROLE .. delta('"content":"a"', nil, usage(1))
    .. delta('"content":"b"', nil, usage(5)) .. delta("", "stop", usage(9)) .. DONE,

  azure = chunk("[]") .. ROLE
    .. chunk('[{"index":1,"delta":{"content":"no"},"finish_reason":"stop"}]')
    .. delta('"content":"Hi"') .. delta("", "stop") .. DONE,

  error = ROLE .. delta('"content":"a"') .. 'data: {"error":{"message":"overloaded"}}\n\n',

  document = '{"id":"c1","object":"chat.completion","model":"gpt-x","choices":[{"index":0,'
    .. '"message":{"role":"assistant","content":"Hello","tool_calls":[{"id":"t1",'
    .. '"type":"function","function":{"name":"f","arguments":"{\\"n\\":10000000000000001}"}}]},'
    .. '"finish_reason":"tool_calls"}],"usage":' .. usage(7) .. "}",
}

local cjson = require "cjson"
local Schema = require "moongate.schema"

local schema = assert(Schema.new(require "kong.plugins.ai-mock.schema"))

-- One request against a mock configured with `config`; spec = {method, path, body}.
local function call(config, spec)
  local out = { printed = {}, slept = {} }
  local entity = assert(schema:process({ protocols = { "http" }, config = config }))
  local conf = entity.config
  for name, value in pairs(conf) do
    if value == cjson.null then
      conf[name] = nil
    end
  end
  for name, value in pairs(conf.error or {}) do
    if value == cjson.null then
      conf.error[name] = nil
    end
  end
  _G.kong = {
    request = {
      get_method = function() return spec.method or "POST" end,
      get_path = function() return spec.path or "/v1/chat/completions" end,
      get_raw_body = function() return spec.body end,
    },
    response = {
      exit = function(status, body, headers)
        out.status, out.body, out.headers = status, body, headers
      end,
    },
  }
  _G.ngx = {
    now = function() return 1700000000.5 end,
    sleep = function(seconds) out.slept[#out.slept + 1] = seconds end,
    print = function(text) out.printed[#out.printed + 1] = text return 1 end,
    flush = function()
      if spec.gone then
        return nil, "client gone"
      end
      return 1
    end,
    exit = function(status) out.exited = status end,
    header = {},
  }
  package.loaded["kong.plugins.ai-mock.handler"] = nil
  require("kong.plugins.ai-mock.handler"):access(conf)
  out.stream = table.concat(out.printed)
  out.header = _G.ngx.header
  return out
end

local function chat(more)
  return '{"model":"m","messages":[{"role":"system","content":"be kind"},'
    .. '{"role":"user","content":"hi there"}]' .. (more or "") .. "}"
end

local function chunks_of(text)
  local out = {}
  for data in text:gmatch("data: ([^\n]+)\n\n") do
    out[#out + 1] = data == "[DONE]" and data or cjson.decode(data)
  end
  return out
end

describe("ai-mock", function()
  it("answers a chat and counts words", function()
    local out = call({}, { body = chat() })
    assert.equal(200, out.status)
    local body = cjson.decode(out.body)
    assert.equal("Hello from Moongate's mock model. You said: \"hi there\"",
      body.choices[1].message.content)
    assert.same({ "chat.completion", "m", "stop", "assistant" }, { body.object, body.model,
      body.choices[1].finish_reason, body.choices[1].message.role })
    assert.same({ 4, 9, 13 }, { body.usage.prompt_tokens, body.usage.completion_tokens,
      body.usage.total_tokens })
  end)

  it("says what it was told to say, as often as asked, and no longer", function()
    local body = cjson.decode(call({ reply = "one two three" },
      { body = chat(',"n":2,"max_tokens":2') }).body)
    assert.equal(2, #body.choices)
    assert.equal("one two", body.choices[2].message.content)
    assert.equal("length", body.choices[1].finish_reason)
    assert.equal(4, body.usage.completion_tokens)
  end)

  it("streams the same text and ends with [DONE]", function()
    local out = call({ reply = "one two" }, { body = chat(',"stream":true') })
    assert.equal("text/event-stream; charset=utf-8", out.header["Content-Type"])
    assert.equal(200, out.exited)
    local chunks = chunks_of(out.stream)
    assert.equal("assistant", chunks[1].choices[1].delta.role)
    assert.equal("one two", chunks[2].choices[1].delta.content
      .. chunks[3].choices[1].delta.content)
    assert.equal("stop", chunks[4].choices[1].finish_reason)
    assert.equal("[DONE]", chunks[5])
    assert.is_nil(out.stream:find("usage", 1, true))
    assert.matches('"delta":{}', out.stream)
  end)

  it("adds usage to a stream when asked", function()
    local out = call({ reply = "one two" },
      { body = chat(',"stream":true,"stream_options":{"include_usage":true}') })
    local chunks = chunks_of(out.stream)
    assert.same({}, chunks[5].choices)
    assert.equal(6, chunks[5].usage.total_tokens)
    assert.equal(cjson.null, chunks[1].usage)
    assert.equal("[DONE]", chunks[6])
  end)

  it("interleaves the choices of a stream", function()
    local chunks = chunks_of(call({ reply = "a" }, { body = chat(',"stream":true,"n":2') }).stream)
    assert.same({ 0, 1, 0, 1 }, { chunks[1].choices[1].index, chunks[2].choices[1].index,
      chunks[3].choices[1].index, chunks[4].choices[1].index })
  end)

  it("calls the tool it is forced to call", function()
    local tools = ',"tools":[{"type":"function","function":{"name":"f"}},'
      .. '{"type":"function","function":{"name":"g"}}],"tool_choice":'
    local body = cjson.decode(call({}, { body = chat(tools .. '"required"') }).body)
    assert.equal("f", body.choices[1].message.tool_calls[1]["function"].name)
    assert.equal("tool_calls", body.choices[1].finish_reason)
    local named = tools .. '{"type":"function","function":{"name":"g"}}'
    local chunks = chunks_of(call({}, { body = chat(named .. ',"stream":true') }).stream)
    assert.equal("g", chunks[2].choices[1].delta.tool_calls[1]["function"].name)
    assert.equal("{}", chunks[3].choices[1].delta.tool_calls[1]["function"].arguments)
    body = cjson.decode(call({}, { body = chat(tools .. '"auto"') }).body)
    assert.is_nil(body.choices[1].message.tool_calls)
  end)

  it("answers completions", function()
    local body = cjson.decode(call({ reply = "x y" }, { path = "/v1/completions",
      body = '{"prompt":["a b","c"]}' }).body)
    assert.same({ "text_completion", "x y", 3 },
      { body.object, body.choices[1].text, body.usage.prompt_tokens })
    local chunks = chunks_of(call({ reply = "x y" },
      { body = '{"prompt":"a","stream":true}' }).stream)
    assert.equal("x", chunks[1].choices[1].text)
    assert.equal("stop", chunks[3].choices[1].finish_reason)
  end)

  it("answers embeddings with unit vectors that depend on the text", function()
    local body = cjson.decode(call({}, { path = "/v1/embeddings",
      body = '{"input":["a b","c","a b"],"dimensions":4}' }).body)
    assert.equal(3, #body.data)
    assert.same(body.data[1].embedding, body.data[3].embedding)
    assert.not_same(body.data[1].embedding, body.data[2].embedding)
    local square = 0
    for _, value in ipairs(body.data[2].embedding) do
      square = square + value * value
    end
    assert.equal(4, #body.data[2].embedding)
    assert.near(1, square, 1e-6)
    assert.equal(5, body.usage.prompt_tokens)
    assert.equal(400, call({}, { path = "/v1/embeddings", body = '{"input":[]}' }).status)
  end)

  it("lists its models", function()
    local out = call({ models = { "a", "b" } }, { method = "GET", path = "/mock/v1/models" })
    assert.equal("b", cjson.decode(out.body).data[2].id)
  end)

  it("speaks Anthropic's format on /messages", function()
    local body = cjson.decode(call({ reply = "one two" },
      { path = "/v1/messages", body = chat() }).body)
    assert.same({ "message", "one two", "end_turn", 4, 2 }, { body.type, body.content[1].text,
      body.stop_reason, body.usage.input_tokens, body.usage.output_tokens })
    local out = call({ reply = "one two" },
      { path = "/v1/messages", body = chat(',"stream":true') })
    assert.matches("^event: message_start\n", out.stream)
    assert.matches("event: message_stop\ndata: [^\n]+\n\n$", out.stream)
  end)

  it("waits before the answer and between the events", function()
    assert.same({ 0.25 }, call({ delay_ms = 250 }, { body = chat() }).slept)
    local out = call({ reply = "a", delay_ms = 100, chunk_delay_ms = 20 },
      { body = chat(',"stream":true') })
    assert.same({ 0.1, 0.02, 0.02, 0.02 }, out.slept)
    assert.equal(4, #out.printed)
  end)

  it("stops writing when the client is gone", function()
    local out = call({ chunk_delay_ms = 20 }, { body = chat(',"stream":true'), gone = true })
    assert.equal(1, #out.printed)
    assert.equal(200, out.exited)
  end)

  it("fails as it is told", function()
    local out = call({ error = { status = 429, message = "slow down", type = "rate_limit" } },
      { body = chat() })
    assert.equal(429, out.status)
    assert.same({ message = "slow down", type = "rate_limit", param = cjson.null,
      code = cjson.null }, cjson.decode(out.body).error)
  end)

  it("fails in the middle of a stream, or just ends it", function()
    local out = call({ error = { after = 2 } }, { body = chat(',"stream":true') })
    local chunks = chunks_of(out.stream)
    assert.equal(3, #chunks)
    assert.equal("the mock provider was told to fail", chunks[3].error.message)
    out = call({ truncate_after = 2 }, { body = chat(',"stream":true') })
    assert.equal(2, #chunks_of(out.stream))
  end)

  it("refuses a body beyond its limit", function()
    local out = call({ max_request_body_size = 20 }, { body = chat() })
    assert.equal(413, out.status)
    assert.equal("the request body exceeds 20 bytes", cjson.decode(out.body).error.message)
  end)

  it("says what is wrong with a request, and survives odd types", function()
    for _, case in ipairs({
      { nil, "the request has no body" }, { "", "the request has no body" },
      { "{", "the request body is not JSON" }, { "7", "the request body is no JSON object" },
      { "{}", "the request needs messages, prompt or input" },
      { '{"messages":7}', "the request needs messages, prompt or input" },
    }) do
      local out = call({}, { body = case[1] })
      assert.equal(400, out.status)
      local err = cjson.decode(out.body).error
      assert.equal(case[2], err.message:sub(1, #case[2]))
      assert.equal("invalid_request_error", err.type)
    end
    for _, body in ipairs({
      '{"messages":[1,null,{"content":[1,{"text":2}]},{"role":"user","content":{}}],"n":"x"}',
      '{"messages":[],"tools":7,"tool_choice":"required","max_tokens":"a","model":[]}',
      '{"messages":{},"tools":[null],"tool_choice":{"type":"function"}}',
      '{"prompt":7,"stream_options":3}', '{"input":[null,{"a":[]}]}', '{"input":[[1,2],["x"]]}',
      '{"messages":[],"n":-5}', '{"input":"x","dimensions":-1}',
    }) do
      assert.equal(200, call({}, { body = body }).status, body)
    end
  end)
end)

-- llm_format anthropic: clients of Anthropic's Messages API before Anthropic itself and before an OpenAI-shaped provider.
-- What is translated how in detail is in spec/lualib/ai/anthropic.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local anthropic = require("lualib.ai.fixtures")
local openai = require("lualib.ai.openai_fixtures")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local cjson = require("cjson")

local ASK = '{"model":"MODEL","max_tokens":64,"messages":[{"role":"user","content":"hi"}]}'
local CLIENT = {
  Authorization = false,
  ["X-Api-Key"] = "client-key",
  ["Anthropic-Version"] = "2023-06-01",
  ["Anthropic-Beta"] = "b1",
}

local function ask(model, stream)
  return (ASK:gsub("MODEL", model):gsub("}$", stream and ',"stream":true}' or "}"))
end

-- Events of a stream as {name, data table}.
local function events(bytes)
  local list = {}
  for name, data in bytes:gmatch("event: ([^\n]*)\ndata: ([^\n]*)\n\n") do
    list[#list + 1] = { name = name, data = cjson.decode(data) }
  end
  return list
end

local function names(list)
  local out = {}
  for i, event in ipairs(list) do
    out[i] = event.name:gsub("content_block", "block")
  end
  return table.concat(out, " ")
end

describe("an Anthropic client before Anthropic", function()
  local gw, up

  setup(function()
    gw, up = ai.start({ claude = { llm_format = "anthropic", model = { provider = "anthropic" } } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("has its request passed byte for byte, with the provider's key", function()
    up:answer(ai.json(anthropic.document, 200, { ["Request-Id"] = "req_1" }))
    local response = ai.post(gw, "claude", ask("claude-test"), CLIENT)
    assert.status(200, response)
    assert.same(anthropic.document, response.body)
    assert.header("req_1", response, "request-id")
    assert.header("anthropic/claude-test", response, "x-kong-llm-model")
    local request = up:last()
    assert.same(ask("claude-test"), request.body)
    assert.same({ "/v1/messages", "provider-key", "2023-06-01", "b1" }, { request.target, request:header("x-api-key"),
      request:header("anthropic-version"), request:header("anthropic-beta") })
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ 10, 7, 17 }, { log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.total_tokens })
    assert.same({ "claude-x", "oneshot" }, { log.meta.response_model, log.meta.request_mode })
  end)

  it("has its stream passed byte for byte, and counted", function()
    for _, stream in ipairs({ anthropic.text, anthropic.thinking, anthropic.error }) do
      ai.stream(up, { stream:sub(1, 100), stream:sub(101, 400), stream:sub(401) }, { pause = 0.003 })
      local bytes, ending, response = ai.read_stream(gw, "claude", ask("claude-test", true), CLIENT)
      assert.same({ stream, "end" }, { bytes, ending })
      if stream == anthropic.text then
        local log = ai.logged(gw, response).ai.proxy
        assert.same({ 18, 7, "stream" }, { log.usage.prompt_tokens, log.usage.completion_tokens, log.meta.request_mode })
      end
    end
  end)

  it("has its stream broken off where the provider's is, nothing added", function()
    ai.stream(up, { anthropic.text:sub(1, 300) }, { ending = "close" })
    local bytes, ending = ai.read_stream(gw, "claude", ask("claude-test", true), CLIENT)
    assert.same(anthropic.text:sub(1, 300), bytes)
    assert.truthy(ending:find("^connection closed inside a message"), ending)
  end)

  it("gets errors in its own format, the gateway's too", function()
    local text = '{"type":"error","error":{"type":"rate_limit_error","message":"slow"},"request_id":"r"}'
    up:answer(ai.json(text, 429))
    local response = ai.post(gw, "claude", ask("claude-test"), CLIENT)
    assert.status(429, response)
    assert.same(text, response.body)
    response = ai.post(gw, "claude", ask("other"), CLIENT)
    assert.status(400, response)
    local failure = { type = "invalid_request_error", message = "cannot use own model - must be: claude-test" }
    assert.same({ type = "error", error = failure }, response:json())
  end)
end)

describe("an Anthropic client before an OpenAI-shaped provider", function()
  local gw, up

  setup(function()
    gw, up = ai.start({ gpt = { llm_format = "anthropic" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("has its request translated, its own key taken away", function()
    local body = '{"model":"gpt-4o","max_tokens":64,"system":"Be kind.",'
      .. '"messages":[{"role":"user","content":[{"type":"text","text":"h\\u00e9"}]}],'
      .. '"tools":[{"name":"f","input_schema":{"type":"object","required":[]}}]}'
    local response = ai.post(gw, "gpt", body, CLIENT)
    assert.status(200, response)
    local request = up:last()
    assert.same("/v1/chat/completions", request.target)
    assert.same(ai.KEY, request:header("authorization"))
    for _, name in ipairs({ "x-api-key", "anthropic-version", "anthropic-beta" }) do
      assert.is_nil(request:header(name))
    end
    local got = cjson.decode(request.body)
    assert.same({ role = "system", content = "Be kind." }, got.messages[1])
    assert.same({ role = "user", content = { { type = "text", text = "hé" } } }, got.messages[2])
    assert.same({ "gpt-4o", 64 }, { got.model, got.max_tokens or got.max_completion_tokens })
    assert.truthy(request.body:find('"parameters":{"type":"object","required":[]}', 1, true))
  end)

  it("gets a message, counted in the log", function()
    up:answer(ai.json(openai.document))
    local response = ai.post(gw, "gpt", ask("gpt-4o"), CLIENT)
    assert.status(200, response)
    local message = response:json()
    assert.same({ "message", "assistant", "tool_use" }, { message.type, message.role, message.stop_reason })
    assert.same("Hello", message.content[1].text)
    assert.same({ "tool_use", "f" }, { message.content[2].type, message.content[2].name })
    assert.truthy(response.body:find('"input":{"n":10000000000000001}', 1, true))
    assert.same({ 13, 5, 7 }, { message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens })
    assert.same(25, ai.logged(gw, response).ai.proxy.usage.total_tokens)
  end)

  it("gets the provider's errors in its own format", function()
    up:answer(ai.json('{"error":{"message":"Rate limit reached","type":"requests"}}', 429, { ["Retry-After"] = "7" }))
    for _, stream in ipairs({ false, true }) do
      local response = ai.post(gw, "gpt", ask("gpt-4o", stream), CLIENT)
      assert.status(429, response)
      assert.same({ type = "error", error = { type = "rate_limit_error", message = "Rate limit reached" } }, response:json())
      assert.header("7", response, "retry-after")
      assert.header(nil, response, "x-kong-llm-model")
    end
  end)

  it("gets a stream of events in their order", function()
    ai.stream(up, { openai.text })
    local bytes, ending, response = ai.read_stream(gw, "gpt", ask("gpt-4o", true), CLIENT)
    assert.same("end", ending)
    assert.same({ include_usage = true }, cjson.decode(up:last().body).stream_options)
    local list = events(bytes)
    assert.same("message_start block_start block_delta block_delta block_stop message_delta message_stop", names(list))
    assert.same("gpt-x", list[1].data.message.model)
    assert.same("Hello é", list[3].data.delta.text .. list[4].data.delta.text)
    local last = list[6].data
    assert.same({ "end_turn", 7, 13 }, { last.delta.stop_reason, last.usage.output_tokens, last.usage.input_tokens })
    assert.header("text/event-stream", response, "content-type")
    assert.same(25, ai.logged(gw, response).ai.proxy.usage.total_tokens)
  end)

  it("gets parallel tool calls one after the other", function()
    ai.stream(up, { openai.mixed })
    local list = events((ai.read_stream(gw, "gpt", ask("gpt-4o", true), CLIENT)))
    local inputs = {}
    for _, event in ipairs(list) do
      local delta = event.data.delta
      if delta and delta.type == "input_json_delta" then
        inputs[event.data.index] = (inputs[event.data.index] or "") .. delta.partial_json
      end
    end
    local found = {}
    for _, text in pairs(inputs) do
      found[#found + 1] = text
    end
    table.sort(found)
    assert.same({ '{"a":1}', '{"b":2}' }, found)
    assert.same("message_stop", list[#list].name)
  end)

  it("gets the same bytes wherever the stream is cut", function()
    local stream, n, expected = openai.text, 0, nil
    up:on(function(c)
      while n < #stream and c:read_request() do
        c:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        c:send(("%x\r\n"):format(#stream) .. stream:sub(1, n))
        sched.sleep(0.0005)
        c:send(stream:sub(n + 1) .. "\r\n0\r\n\r\n")
        n = n + 1
      end
    end)
    local c = client.connect(gw)
    for cut = 0, #stream - 1 do
      local body = c:request({ path = "/gpt", method = "POST", body = ask("gpt-4o", true) }).body
      expected = expected or body
      if body ~= expected then
        assert.same({ cut = cut, body = expected }, { cut = cut, body = body })
      end
    end
    c:close()
  end)

  it("gets an error event when the stream reports one or ends early", function()
    for _, case in ipairs({ { openai.error, "end", "overloaded" }, { openai.text:sub(1, 300), "close", "before its end" } }) do
      ai.stream(up, { case[1] }, { ending = case[2] })
      local bytes, ending = ai.read_stream(gw, "gpt", ask("gpt-4o", true), CLIENT)
      local list = events(bytes)
      assert.same({ "error", "api_error" }, { list[#list].name, list[#list].data.error.type })
      assert.truthy(list[#list].data.error.message:find(case[3], 1, true), bytes)
      assert.same(case[2] == "end", ending == "end")
      assert.is_nil(bytes:find("message_stop", 1, true))
    end
  end)
end)

-- OpenAI's clients before Anthropic: requests, answers and streams translated on their way through.
-- What is translated how in detail is in spec/lualib/ai/anthropic.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local fixtures = require("lualib.ai.fixtures")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local cjson = require("cjson")

local SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
local ASKED = '{"messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}'
local MESSAGE = '{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"Hel"},'
  .. '{"type":"text","text":"lo \\u00e9"}],"stop_reason":"end_turn","stop_sequence":null,'
  .. '"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":7}}'

-- What an OpenAI client puts together from a stream.
local function assemble(bytes)
  local out = { content = "", calls = {}, done = false }
  for data in bytes:gmatch("data: ([^\n]*)\n\n") do
    local chunk = data ~= "[DONE]" and cjson.decode((data:gsub("\\u[dD][89a-fA-F]%x%x", "?"))) or {}
    out.done = out.done or data == "[DONE]"
    out.error = chunk.error or out.error
    out.usage = type(chunk.usage) == "table" and chunk.usage or out.usage
    local choice = chunk.choices and chunk.choices[1] or { delta = {} }
    out.content = out.content .. (choice.delta.content or "")
    for _, call in ipairs(choice.delta.tool_calls or {}) do
      local known = out.calls[call.index + 1] or { id = call.id, name = call["function"].name, arguments = "" }
      known.arguments = known.arguments .. (call["function"].arguments or "")
      out.calls[call.index + 1] = known
    end
    out.finish = choice.finish_reason and choice.finish_reason ~= cjson.null and choice.finish_reason or out.finish
  end
  return out
end

describe("an OpenAI client before Anthropic", function()
  local gw, up

  setup(function()
    gw, up = ai.start({
      claude = { model = { provider = "anthropic", options = { max_tokens = 512 } } },
      payloads = { model = { provider = "anthropic" }, logging = { log_payloads = true } },
      query = { model = { provider = "anthropic" },
        auth = { header_name = false, param_name = "key", param_value = "k", param_location = "body" } },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(ai.json(MESSAGE))
  end)

  it("has its request translated, its own key taken away", function()
    local body = '{"model":"claude-test","messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"w\\u00e9?"},'
      .. '{"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function",'
      .. '"function":{"name":"f","arguments":"{\\"n\\":10000000000000001}"}}]},'
      .. '{"role":"tool","tool_call_id":"t1","content":"ok"}],"max_tokens":9999,"temperature":0.5,"stop":"x","seed":1,'
      .. '"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{},"required":[]}}}],'
      .. '"tool_choice":"required"}'
    local response = ai.post(gw, "claude", body, { ["Content-Type"] = "text/plain" })
    assert.status(200, response)
    local request = up:last()
    assert.same("/v1/messages", request.target)
    assert.same({ "provider-key", "2023-06-01", "application/json", "identity" }, { request:header("x-api-key"),
      request:header("anthropic-version"), request:header("content-type"), request:header("accept-encoding") })
    assert.is_nil(request:header("authorization"))
    assert.same(
      '{"model":"claude-test","max_tokens":512,"system":"Be kind.","messages":[{"role":"user","content":"w\\u00e9?"},'
        .. '{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"n":10000000000000001}}]},'
        .. '{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"}]}],"temperature":0.5,'
        .. '"stop_sequences":["x"],"tools":[{"name":"f","input_schema":{"type":"object","properties":{},"required":[]}}],'
        .. '"tool_choice":{"type":"any"},"stream":false}',
      request.body
    )
    gw:wait_log("dropped: seed")
  end)

  it("is refused what cannot be translated, and told where", function()
    ai.assert_refused(400, "messages[0]: role 'robot' is not supported",
      ai.post(gw, "claude", '{"messages":[{"role":"robot","content":"hi"}]}'))
    ai.assert_refused(400, "cannot use own model - must be: claude-test",
      ai.post(gw, "claude", '{"model":"claude-2","messages":[{"role":"user","content":"hi"}]}'))
  end)

  it("gets a chat completion, counted in the log", function()
    local response = ai.post(gw, "claude", ai.ASK)
    assert.status(200, response)
    local answer = response:json()
    assert.same("chat.completion", answer.object)
    assert.same({ "Hello é", "stop", "claude-x" },
      { answer.choices[1].message.content, answer.choices[1].finish_reason, answer.model })
    assert.same({ 18, 7, 25 }, { answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens })
    assert.header("anthropic/claude-test", response, "x-kong-llm-model")
    assert.header("application/json; charset=utf-8", response, "content-type")
    assert.header(tostring(#response.body), response, "content-length")
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ "anthropic", "claude-test", "claude-x", "oneshot" },
      { log.meta.provider_name, log.meta.request_model, log.meta.response_model, log.meta.request_mode })
    assert.same({ 18, 7, 25 }, { log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.total_tokens })
  end)

  it("gets tool calls", function()
    up:answer(ai.json(fixtures.document))
    local choice = ai.post(gw, "claude", ai.ASK):json().choices[1]
    assert.same("tool_calls", choice.finish_reason)
    assert.same({ name = "f", arguments = '{"a":[],"n":10000000000000001}' }, choice.message.tool_calls[1]["function"])
  end)

  it("gets the provider's error as it is, also to a stream request", function()
    local text = '{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    up:answer(ai.json(text, 429, { ["Retry-After"] = "7" }))
    for _, ask in ipairs({ ai.ASK, ai.ASK_STREAM }) do
      local response = ai.post(gw, "claude", ask)
      assert.status(429, response)
      assert.same(text, response.body)
      assert.header("7", response, "retry-after")
      assert.header("application/json", response, "content-type")
      assert.header(nil, response, "x-kong-llm-model")
    end
  end)

  it("gets an error when the provider's 200 is none", function()
    up:answer(ai.json('{"type":"odd"}'))
    local why = "transformation failed from type anthropic://llm/v1/chat: 'content' not in anthropic://llm/v1/chat response"
    ai.assert_refused(500, why, ai.post(gw, "claude", ai.ASK))
    up:answer(ai.json("\31\139", 200, { ["Content-Encoding"] = "gzip" }))
    ai.assert_refused(502, "provider compressed its answer although identity was asked for", ai.post(gw, "claude", ai.ASK))
  end)

  it("gets an error when the provider breaks off its whole answer", function()
    gw:expect_error("upstream 127.0.0.1")
    up:send_raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" .. MESSAGE, "close")
    assert.gateway_error(502, ai.post(gw, "claude", ai.ASK))
  end)

  it("gets a whole answer when the provider streams unasked", function()
    up:answer({ headers = { ["Content-Type"] = "text/event-stream" }, body = fixtures.tools })
    local message = ai.post(gw, "claude", ai.ASK):json().choices[1].message
    assert.same("Let me see", message.content)
    assert.same({ "weather", "now" }, { message.tool_calls[1]["function"].name, message.tool_calls[2]["function"].name })
  end)

  it("gets a stream of chunks, with usage only when asked", function()
    ai.stream(up, { fixtures.text })
    local bytes, ending, response = ai.read_stream(gw, "claude", ASKED)
    assert.same("end", ending)
    assert.header("text/event-stream", response, "content-type")
    assert.header("anthropic/claude-test", response, "x-kong-llm-model")
    assert.header(nil, response, "content-length")
    local got = assemble(bytes)
    assert.same({ "Hello ?? é", "stop", true }, { got.content, got.finish, got.done })
    assert.same({ 18, 7, 25 }, { got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens })
    assert.truthy(bytes:find('"delta":{"role":"assistant","content":""}', 1, true))
    assert.truthy(bytes:find(": ping\n\n", 1, true))
    assert.same("data: [DONE]\n\n", bytes:sub(-14))
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ 18, 7, 25 }, { log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.total_tokens })
    assert.same({ "stream", "claude-x" }, { log.meta.request_mode, log.meta.response_model })
    assert.is_nil(assemble((ai.read_stream(gw, "claude"))).usage)
  end)

  it("gets tool calls in a stream", function()
    ai.stream(up, { fixtures.tools })
    local got = assemble((ai.read_stream(gw, "claude")))
    assert.same("Let me see", got.content)
    assert.same({
      { id = "t1", name = "weather", arguments = '{"city":"Z\\u00fcrich","n":10000000000000001}' },
      { id = "t2", name = "now", arguments = "{}" },
    }, got.calls)
    assert.same({ "tool_calls", true }, { got.finish, got.done })
  end)

  it("gets the same bytes wherever the stream is cut", function()
    local stream = fixtures.text:gsub("\n", "\r\n", 9)
    local expected, n = nil, 0
    up:on(function(c)
      while n < #stream and c:read_request() do
        c:send(SSE .. "Transfer-Encoding: chunked\r\n\r\n" .. ("%x\r\n"):format(#stream) .. stream:sub(1, n))
        sched.sleep(0.0005)
        c:send(stream:sub(n + 1) .. "\r\n0\r\n\r\n")
        n = n + 1
      end
    end)
    local c = client.connect(gw)
    for cut = 0, #stream - 1 do
      local body = c:request({ path = "/claude", method = "POST", body = ASKED }).body:gsub('"created":%d+', '"created":1')
      expected = expected or body
      if body ~= expected then
        assert.same({ cut = cut, body = expected }, { cut = cut, body = body })
      end
    end
    assert.same("Hello ?? é", assemble(expected).content)
    c:close()
  end)

  it("gets each chunk as soon as its event came", function()
    local events, sent_at = {}, {}
    for event in fixtures.text:gmatch(".-\n\n") do
      events[#events + 1] = event
    end
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
      for i, event in ipairs(events) do
        sched.sleep(0.02)
        sent_at[i] = sched.now()
        c:send(("%x\r\n%s\r\n"):format(#event, event))
      end
      c:send("0\r\n\r\n")
    end)
    local _, ending, response = ai.read_stream(gw, "claude")
    assert.same("end", ending)
    local found = 0
    for _, piece in ipairs(response.pieces) do
      local at = piece.data:find('"Hel"', 1, true) and 4 or piece.data:find("lo ", 1, true) and 5
      if at then
        found = found + 1
        assert.truthy(piece.at - sent_at[at] < 0.015 * sched.slow, ("%.1f ms late"):format((piece.at - sent_at[at]) * 1000))
      end
    end
    assert.same(2, found)
  end)

  it("gets an error event without [DONE] when the provider's stream reports one", function()
    ai.stream(up, { fixtures.error })
    local bytes, ending, response = ai.read_stream(gw, "claude")
    local got = assemble(bytes)
    assert.same("end", ending)
    assert.same({ "Hel", "Overloaded", "overloaded_error" }, { got.content, got.error.message, got.error.type })
    assert.is_false(got.done)
    assert.same(1, ai.logged(gw, response).ai.proxy.usage.prompt_tokens)
  end)

  for _, how in ipairs({ "close", "reset", "end" }) do
    it("gets an error event without [DONE] when the provider's stream ends early by " .. how, function()
      local cut = fixtures.text:find("event: content_block_stop", 1, true)
      ai.stream(up, { fixtures.text:sub(1, cut - 1) }, { ending = how })
      local bytes, ending, response = ai.read_stream(gw, "claude")
      local got = assemble(bytes)
      assert.same({ "Hello ?? é", "upstream_truncated" }, { got.content, got.error.type })
      assert.same("provider closed the stream before its end", got.error.message)
      assert.is_false(got.done)
      if how == "end" then
        assert.same("end", ending)
      else
        assert.truthy(ending:find("^connection closed inside a message"), ending)
      end
      local used = ai.logged(gw, response).ai.proxy.usage
      assert.same(18, used.prompt_tokens)
    end)
  end

  it("gets an error event when the provider's stream is no JSON, or compressed", function()
    ai.stream(up, { "event: message_start\ndata: {oops\n\n" .. fixtures.text })
    local got = assemble((ai.read_stream(gw, "claude")))
    assert.truthy(got.error.message:find("no JSON object", 1, true))
    assert.same({ "", false }, { got.content, got.done })
    gw:expect_error("compressed its stream")
    ai.stream(up, { "\31\139\8" }, { headers = "Content-Encoding: gzip\r\n" })
    local bytes, _, response = ai.read_stream(gw, "claude")
    assert.truthy(assemble(bytes).error)
    assert.header(nil, response, "content-encoding")
  end)

  it("gets a stream when the provider answers whole", function()
    up:answer(ai.json(fixtures.document))
    local got = assemble((ai.read_stream(gw, "claude")))
    assert.same({ "Hello", "tool_calls", true }, { got.content, got.finish, got.done })
    assert.same('{"a":[],"n":10000000000000001}', got.calls[1].arguments)
  end)

  it("has its own words in the log where payloads are wanted", function()
    local response = ai.post(gw, "payloads", ai.ASK)
    assert.same({ request = ai.ASK, response = response.body }, ai.logged(gw, response).ai.proxy.payload)
    ai.stream(up, { fixtures.text })
    local bytes, _, stream = ai.read_stream(gw, "payloads")
    assert.same(bytes, ai.logged(gw, stream).ai.proxy.payload.response)
  end)

  it("never sees the key in the body", function()
    ai.post(gw, "query", ai.ASK)
    assert.same("k", cjson.decode(up:last().body).key)
  end)
end)

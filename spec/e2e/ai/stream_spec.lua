-- Streams of an OpenAI-shaped provider: what the client gets of them, byte for byte, and when.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local cjson = require("cjson")

local ASKED = '{"messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}'
local SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

local function with_crlf(text)
  return (text:gsub("\n", "\r\n"))
end

-- name, the provider's stream, what a client gets that did not ask for usage (nil: all of it)
local STREAMS = {
  { "a plain stream", ai.HELLO .. ai.USAGE_EVENT .. ai.DONE, ai.HELLO .. ai.DONE },
  { "CRLF line ends", with_crlf(ai.HELLO .. ai.USAGE_EVENT .. ai.DONE), with_crlf(ai.HELLO .. ai.DONE) },
  { "CR line ends", (ai.HELLO .. ai.USAGE_EVENT .. ai.DONE):gsub("\n", "\r"), (ai.HELLO .. ai.DONE):gsub("\n", "\r") },
  { "comments, names and ids", ": OPENROUTER PROCESSING\n\n" .. "id: 7\nevent: x\nretry: 9\n" .. ai.HELLO .. ":\n\n" .. ai.DONE },
  { "no [DONE]", ai.HELLO .. ai.USAGE_EVENT, ai.HELLO },
  { "a [DONE] without space", ai.HELLO .. "data:[DONE]\n\n" },
  { "an end without blank line", ai.HELLO .. "data: [DONE]" },
  { "usage on the finish chunk", ai.ROLE .. ai.chunk('[{"index":0,"delta":{},"finish_reason":"stop"}]', ai.USAGE) .. ai.DONE },
  { "usage null in every chunk", ai.chunk('[{"index":0,"delta":{"content":"a"}}]', "null") .. ai.USAGE_EVENT .. ai.DONE,
    ai.chunk('[{"index":0,"delta":{"content":"a"}}]', "null") .. ai.DONE },
  { "an error event", ai.ROLE .. ai.event('{"error":{"message":"overloaded","code":529}}') },
  { "a byte order mark and NUL, tabs, DEL", "\239\187\191" .. ai.ROLE .. "data: \0\t\127\255\n\n" .. ai.DONE },
  { "data on two lines", "data: {\"choices\":[],\ndata: \"x\":1}\n\n" .. ai.DONE },
  { "empty choices without usage", ai.chunk("[]") .. ai.HELLO .. ai.DONE },
}

describe("a stream of an OpenAI-shaped provider", function()
  local gw, up

  setup(function()
    gw, up = ai.start({ chat = {}, bare = { logging = { log_statistics = false } }, always = { response_streaming = "always" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  for _, case in ipairs(STREAMS) do
    it("passes byte for byte: " .. case[1], function()
      ai.stream(up, { case[2] })
      local hidden = case[3] or case[2]
      for _, ask in ipairs({ { "bare", ai.ASK_STREAM, case[2] }, { "chat", ASKED, case[2] }, { "chat", ai.ASK_STREAM, hidden } }) do
        local bytes, ending, response = ai.read_stream(gw, ask[1], ask[2])
        assert.same(ask[3], bytes)
        assert.same("end", ending)
        assert.header("openai/gpt-4o", response, "x-kong-llm-model")
        assert.header("text/event-stream", response, "content-type")
      end
    end)
  end

  -- Cuts anywhere: the provider's n-th answer comes in two segments, the first n bytes long.
  local function cut_everywhere(stream, expected, framed)
    local cuts = 0
    up:on(function(c)
      while c:read_request() do
        cuts = cuts + 1
        c:send(SSE .. "Transfer-Encoding: chunked\r\n\r\n" .. ("%x\r\n"):format(framed and cuts or #stream) .. stream:sub(1, cuts))
        sched.sleep(0.0005)
        local middle = framed and ("\r\n%x\r\n"):format(#stream - cuts) or ""
        c:send(middle .. stream:sub(cuts + 1) .. "\r\n0\r\n\r\n")
        if cuts == #stream - 1 then
          return
        end
      end
    end)
    local c = client.connect(gw)
    local request = { path = "/chat", method = "POST", body = ai.ASK_STREAM }
    for n = 1, #stream - 1 do
      local response = c:request(request)
      if response.body ~= expected then
        assert.same({ cut = n, body = expected }, { cut = n, body = response.body })
      end
    end
    c:close()
    assert.same(#stream - 1, cuts)
  end

  local SHORT = ai.event('{"choices":[{"delta":{"content":"é"}}]}') .. ": c\r\n\r\n"

  it("hides the usage it asked for itself wherever the stream is cut", function()
    cut_everywhere(SHORT .. ai.event('{"choices":[],"usage":{"prompt_tokens":1}}') .. ai.DONE, SHORT .. ai.DONE, false)
    cut_everywhere(SHORT .. 'data: {"choices":[],"usage":{}}\r\n\r\n' .. ai.DONE, SHORT .. ai.DONE, true)
  end)

  it("tells its usage only to the log when the client did not ask", function()
    ai.stream(up, { ai.HELLO, ai.USAGE_EVENT .. ai.DONE })
    local bytes, _, response = ai.read_stream(gw, "chat")
    assert.same(ai.HELLO .. ai.DONE, bytes)
    assert.same({ include_usage = true }, cjson.decode(up:last().body).stream_options)
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ 7, 6, 13 }, { log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.total_tokens })
    assert.same({ "stream", "gpt-4o-2024-08-06" }, { log.meta.request_mode, log.meta.response_model })
    assert.is_nil(log.usage.estimated)
    assert.truthy(log.usage.time_to_first_token >= 0)
  end)

  it("is forwarded event by event, as it comes", function()
    local pieces = {}
    for i = 1, 8 do
      pieces[i] = ai.delta('"content":"' .. i .. '"')
    end
    pieces[9] = ai.USAGE_EVENT .. ai.DONE
    local sent_at = {}
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
      for i, piece in ipairs(pieces) do
        sched.sleep(0.02)
        sent_at[i] = sched.now()
        c:send(("%x\r\n%s\r\n"):format(#piece, piece))
      end
      c:send("0\r\n\r\n")
    end)
    for _, ask in ipairs({ ai.ASK_STREAM, ASKED }) do
      local c, response = ai.open_stream(gw, "chat", ask)
      for i = 1, 8 do
        local event = response:next_event()
        assert.same(pieces[i], ai.event(event.data))
        local late = event.at - sent_at[i]
        assert.truthy(late < 0.015 * sched.slow, ("event %d came %.1f ms late"):format(i, late * 1000))
      end
      if ask == ASKED then
        assert.same(ai.USAGE_EVENT, ai.event(response:next_event().data))
      end
      assert.same("[DONE]", response:next_event().data)
      assert.is_nil(response:next_event())
      c:close()
    end
  end)

  it("sends its head before the first event", function()
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "Connection: close\r\n\r\n")
      c:wait_closed()
    end)
    local c, response = ai.open_stream(gw, "chat")
    assert.status(200, response)
    c:close()
  end)

  it("says how long its first token took", function()
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "Connection: close\r\n\r\n" .. ai.ROLE)
      sched.sleep(0.1)
      c:send(ai.HELLO .. ai.USAGE_EVENT .. ai.DONE)
    end)
    local _, ending, response = ai.read_stream(gw, "chat")
    assert.same("end", ending)
    local used = ai.logged(gw, response).ai.proxy.usage
    assert.truthy(used.time_to_first_token >= 95 and used.time_to_first_token < 100 + 200 * sched.slow, used.time_to_first_token)
  end)

  -- "closed": the connection ended inside the body, which is what tells a client from an end.
  for _, how in ipairs({ "close", "reset" }) do
    it("that breaks off by " .. how .. " is broken off for the client", function()
      ai.stream(up, { ai.ROLE .. ai.delta('"content":"Hel"'), 'data: {"choi' }, { ending = how, pause = 0.01 })
      for _, ask in ipairs({ ai.ASK_STREAM, ASKED }) do
        local bytes, ending, response = ai.read_stream(gw, "chat", ask)
        assert.truthy(ending:find("^connection closed inside a message") or ending:find("^connection reset"), ending)
        assert.same(ai.ROLE .. ai.delta('"content":"Hel"'), bytes:sub(1, #ai.ROLE + #ai.delta('"content":"Hel"')))
        assert.is_nil(bytes:find("[DONE]", 1, true))
        local used = ai.logged(gw, response).ai.proxy.usage
        assert.is_true(used.estimated)
        assert.same(1, used.completion_tokens) -- "Hel"
      end
    end)
  end

  it("that ends with its connection ends well", function()
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "\r\n" .. ai.HELLO)
      sched.sleep(0.01)
      c:send(ai.USAGE_EVENT .. ai.DONE)
    end)
    local bytes, ending = ai.read_stream(gw, "chat")
    assert.same({ ai.HELLO .. ai.DONE, "end" }, { bytes, ending })
  end)

  it("passes nothing that comes behind its end", function()
    up:on(function(c)
      c:read_request()
      local text = ai.HELLO .. ai.DONE
      local whole = ("%x\r\n"):format(#text) .. text .. "\r\n0\r\n\r\n"
      c:send(SSE .. "Transfer-Encoding: chunked\r\n\r\n" .. whole .. "HTTP/1.1 200 OK\r\n\r\nevil")
      pcall(c.wait_closed, c)
    end)
    local c, response = ai.open_stream(gw, "chat")
    assert.same(ai.HELLO .. ai.DONE, response:finish().body)
    up:answer(ai.json('{"choices":[]}'))
    assert.same('{"choices":[]}', c:request({ path = "/chat", method = "POST", body = ai.ASK }).body)
    c:close()
  end)

  it("may be a JSON document after all, which passes as it is", function()
    for _, text in ipairs({ '{"error":{"message":"no"}}', ai.ANSWER, "" }) do
      up:answer(ai.json(text))
      local response = ai.post(gw, "chat", ai.ASK_STREAM)
      assert.status(200, response)
      assert.same(text, response.body)
      assert.header("application/json", response, "content-type")
    end
    up:answer(ai.json(ai.ANSWER))
    local response = ai.post(gw, "chat", ai.ASK_STREAM)
    assert.same(13, ai.logged(gw, response).ai.proxy.usage.total_tokens)
  end)

  it("that is compressed passes as it is, and is estimated", function()
    local bytes = "\31\139\8\0data: " .. ("\1"):rep(500)
    ai.stream(up, { bytes:sub(1, 9), bytes:sub(10) }, { headers = "Content-Encoding: gzip\r\n", pause = 0.01 })
    local got, ending, response = ai.read_stream(gw, "chat")
    assert.same({ bytes, "end" }, { got, ending })
    assert.header("gzip", response, "content-encoding")
    assert.is_true(ai.logged(gw, response).ai.proxy.usage.estimated)
  end)

  it("that nobody asked for but the configuration is a stream", function()
    ai.stream(up, { ai.HELLO, ai.USAGE_EVENT .. ai.DONE })
    local bytes = ai.read_stream(gw, "always", ai.ASK)
    assert.same(ai.HELLO .. ai.DONE, bytes)
  end)

  it("with an event of megabytes passes all the same", function()
    local huge = ai.delta('"content":"' .. ("x"):rep(3 * 1024 * 1024) .. '"')
    ai.stream(up, { huge .. ai.USAGE_EVENT .. ai.DONE })
    local bytes, ending = ai.read_stream(gw, "chat")
    assert.same("end", ending)
    assert.truthy(bytes == huge .. ai.DONE or bytes == huge .. ai.USAGE_EVENT .. ai.DONE, #bytes)
  end)

  it("needs no header of the client's to be a stream beside others", function()
    ai.stream(up, { ai.HELLO, ai.USAGE_EVENT, ai.DONE }, { pause = 0.005 })
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = sched.spawn(function()
        return (ai.read_stream(gw, "chat"))
      end)
    end
    for _, task in ipairs(tasks) do
      assert.same(ai.HELLO .. ai.DONE, task:join())
    end
  end)
end)

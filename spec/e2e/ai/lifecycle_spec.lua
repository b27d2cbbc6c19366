-- ai-proxy's streams while the world around them changes: reloads, silent providers, kept connections, old clients, TLS.

local ai = require("e2e.ai.support")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local message = require("e2e.support.message")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

describe("a stream through ai-proxy", function()
  local gw, up

  setup(function()
    gw, up = ai.start({ chat = {}, claude = { model = { provider = "anthropic" } } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("outlives a reload, and ends as it began", function()
    local go
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "Connection: close\r\n\r\n" .. ai.HELLO)
      sched.wait_until(function()
        return go
      end, 10 * sched.slow)
      c:send(ai.USAGE_EVENT .. ai.DONE)
    end)
    local c, response = ai.open_stream(gw, "chat")
    local first = response:next()
    gw:reload({ ["kong.yaml"] = ai.yaml(up.url, { chat = { model = { name = "gpt-5" }, logging = { log_statistics = false } } }) })
    go = true
    assert.same(ai.HELLO .. ai.DONE, first .. response:finish().body:sub(#first + 1))
    c:close()
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ "gpt-4o", 13 }, { log.meta.request_model, log.usage.total_tokens })
    up:answer(ai.json(ai.ANSWER))
    sched.wait_until(function()
      return ai.post(gw, "chat", ai.ASK):header("x-kong-llm-model") == "openai/gpt-5"
    end)
    gw:reload({ ["kong.yaml"] = ai.yaml(up.url, { chat = {}, claude = { model = { provider = "anthropic" } } }) })
    sched.wait_until(function()
      return ai.post(gw, "chat", ai.ASK):header("x-kong-llm-model") == "openai/gpt-4o"
    end)
  end)

  it("leaves the provider's connection for the next request", function()
    local text = ai.HELLO .. ai.USAGE_EVENT .. ai.DONE
    up:answer({ headers = { ["Content-Type"] = "text/event-stream" }, chunks = { text } })
    local c = client.connect(gw)
    local request = { path = "/chat", method = "POST", body = ai.ASK_STREAM }
    assert.same(ai.HELLO .. ai.DONE, c:request(request).body)
    local before = #up.connections
    for _ = 1, 3 do
      assert.same(ai.HELLO .. ai.DONE, c:request(request).body)
    end
    assert.same(before, #up.connections)
    c:close()
  end)

  it("reaches a client of HTTP/1.0, and its breaking off shows", function()
    ai.stream(up, { ai.HELLO, ai.USAGE_EVENT .. ai.DONE })
    local request = { path = "/chat", method = "POST", body = ai.ASK_STREAM, version = "1.0" }
    local c = client.connect(gw)
    c:write(request)
    local response = c:answer()
    assert.header("close", response, "connection")
    assert.header(nil, response, "transfer-encoding")
    assert.same(ai.HELLO .. ai.DONE, response.body)
    c:close()
    ai.stream(up, { ai.HELLO }, { ending = "close" })
    c = client.connect(gw)
    c:write(request)
    response = c:answer({ head_only = true })
    local ok, err = pcall(response.finish, response)
    assert.same({ false, true }, { ok, err and err:find("^connection reset") ~= nil }, err)
    c:close()
  end)

  it("asks a client that expects it to go on, however large its body", function()
    up:answer(ai.json(ai.ANSWER))
    local body = '{"messages":[{"role":"user","content":"' .. ("x"):rep(200000) .. '"}],"model":"gpt-4o"}'
    local c = client.connect(gw)
    local head = message.write_request({ path = "/chat", method = "POST",
      headers = { Expect = "100-continue", ["Content-Length"] = #body, ["Content-Type"] = "application/json" } })
    c:send(head)
    assert.same(100, c:read_head().status)
    c:send(body)
    assert.status(200, c:read_response())
    assert.truthy(body == up:last().body)
    c:close()
  end)
end)

describe("a provider that falls silent", function()
  local gw, up

  setup(function()
    up = upstream.start()
    local text = ai.yaml(up.url, { chat = {}, claude = { model = { provider = "anthropic" } } })
    gw = gateway.start({ config = (text:gsub('"retries":0', '"retries":0,"read_timeout":300')) })
    gw:expect_error("upstream")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("before its head gives 504", function()
    up:on(function(c)
      c:read_request()
      pcall(c.wait_closed, c)
    end)
    for _, route in ipairs({ "chat", "claude" }) do
      assert.gateway_error(504, ai.post(gw, route, ai.ASK_STREAM))
    end
  end)

  it("within its stream breaks it off; what comes in time keeps it", function()
    ai.stream(up, { ai.ROLE, ai.delta('"content":"a"'), ai.delta('"content":"b"') }, { pause = 0.2, ending = "open" })
    local from = sched.now()
    local bytes, ending = ai.read_stream(gw, "chat")
    assert.same(ai.ROLE .. ai.delta('"content":"a"') .. ai.delta('"content":"b"'), bytes)
    assert.truthy(ending:find("^connection closed inside a message"), ending)
    assert.truthy(sched.now() - from > 0.65)
  end)

  it("tells the client of a translated stream why it ends", function()
    local text = require("lualib.ai.fixtures").text
    ai.stream(up, { text:sub(1, (text:find("event: content_block_stop", 1, true)) - 1) }, { ending = "open" })
    local bytes = ai.read_stream(gw, "claude")
    assert.truthy(bytes:find('data: {"error":{"message":"provider closed the stream before its end"', 1, true), bytes)
    assert.is_nil(bytes:find("[DONE]", 1, true))
  end)
end)

describe("TLS on both sides of ai-proxy", function()
  it("changes no byte of a stream, nor its ends", function()
    local pair = certs.pair("127.0.0.1")
    local up = upstream.start({ tls = { key = pair.key, certificate = pair.certificate } })
    local gw = gateway.start({ config = ai.yaml(up.url, { chat = {} }), settings = { ca_file = certs.ca() }, tls = true })
    local to = { host = "127.0.0.1", port = gw.tls_port, client_tls = { server_name = "a.test" } }
    ai.stream(up, { ai.ROLE, ai.HELLO, ai.USAGE_EVENT .. ai.DONE }, { pause = 0.01 })
    assert.same(ai.ROLE .. ai.HELLO .. ai.DONE, (ai.read_stream(to, "chat")))
    local gone_at
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "\r\n" .. ai.HELLO)
      gone_at = select(2, c:wait_closed(20))
    end)
    local c, response = ai.open_stream(to, "chat")
    assert.truthy(response:next_event())
    local left_at = sched.now()
    c:close()
    sched.wait_until(function()
      return gone_at
    end)
    assert.truthy(gone_at - left_at < 0.1 * sched.slow, gone_at - left_at)
    site.stop(gw, up)
  end)
end)

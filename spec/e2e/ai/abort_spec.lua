-- Clients of ai-proxy that leave or do not read: what becomes of the provider's connection, of the gateway's memory, and of the
-- tokens used so far.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
-- The beginning of a stream, what its last text holds, and what of it is used: prompt tokens and bytes of text / 4.
local PARTS = {
  openai = { ai.ROLE .. ai.delta('"content":"Hell"') .. ai.delta('"content":"o wo"'), "o wo", { 29, 2 } },
  anthropic = { require("lualib.ai.fixtures").text:match("^(.-)event: content_block_stop"), "\\ude00", { 18, 6 } },
}

local function memory_kib(pid)
  local total = 0
  for line in io.lines("/proc/" .. pid .. "/status") do
    total = tonumber(line:match("^VmRSS:%s+(%d+)")) or total
  end
  return total
end

describe("a client of ai-proxy that goes away", function()
  local gw, up
  local gone_at

  setup(function()
    gw, up = ai.start({
      openai = {},
      anthropic = { model = { provider = "anthropic", name = "gpt-4o" } },
      front = { llm_format = "anthropic" },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- The provider reads a request, sends these bytes, and notes when its connection ended.
  local function watch(bytes)
    gone_at = nil
    up:on(function(c)
      c:read_request({ head_only = true })
      if bytes then
        c:send(bytes)
      end
      gone_at = select(2, c:wait_closed(20))
    end)
  end

  local function leaves(c, how)
    local left_at = sched.now()
    c[how](c)
    sched.wait_until(function()
      return gone_at
    end, nil, "the provider's connection is still open")
    assert.truthy(gone_at - left_at < 0.1 * sched.slow, ("took %.0f ms"):format((gone_at - left_at) * 1000))
  end

  local function entry(path)
    return gw:wait_access(function(e)
      return e.request.uri == path and e
    end)
  end

  for _, how in ipairs({ "close", "reset" }) do
    for _, route in ipairs({ "openai", "anthropic" }) do
      it(("within its body, by %s, never reaches the provider (%s)"):format(how, route), function()
        watch()
        local before, path = #up.connections, ("/%s/body-%s"):format(route, how)
        local c = client.connect(gw)
        c:send("POST " .. path .. " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n")
        c:send('{"messages"')
        sched.sleep(0.02)
        c[how](c)
        assert.same(499, entry(path).response.status)
        assert.same(before, #up.connections)
      end)

      it(("before the first byte, by %s, takes the provider's connection with it (%s)"):format(how, route), function()
        watch()
        local before, path = #up.requests, ("/%s/waiting-%s"):format(route, how)
        local c = client.connect(gw)
        c:write({ path = path, method = "POST", body = ai.ASK_STREAM })
        up:wait_requests(before + 1)
        leaves(c, how)
        local e = entry(path)
        assert.same(499, e.response.status)
        assert.is_nil(e.ai.proxy.usage)
        assert.same("stream", e.ai.proxy.meta.request_mode)
      end)

      it(("between head and first event, by %s, takes the provider's connection with it (%s)"):format(how, route), function()
        watch(SSE .. "\r\n")
        local path = ("/%s/head-%s"):format(route, how)
        local c = client.connect(gw)
        c:write({ path = path, method = "POST", body = ai.ASK_STREAM })
        assert.status(200, c:answer({ head_only = true }))
        leaves(c, how)
        assert.same(499, entry(path).response.status)
      end)

      it(("within the stream, by %s, takes it too, and what was used is logged (%s)"):format(how, route), function()
        watch(SSE .. "\r\n" .. PARTS[route][1])
        local path = ("/%s/streaming-%s"):format(route, how)
        local c = client.connect(gw)
        c:write({ path = path, method = "POST", body = ai.ASK_STREAM })
        local response = c:answer({ head_only = true })
        repeat
          local event = response:next_event()
        until event.data and event.data:find(PARTS[route][2], 1, true)
        leaves(c, how)
        local e = entry(path)
        assert.same(499, e.response.status)
        local used = e.ai.proxy.usage
        assert.is_true(used.estimated)
        assert.same(PARTS[route][3], { used.prompt_tokens, used.completion_tokens })
        assert.same(used.prompt_tokens + used.completion_tokens, used.total_tokens)
      end)
    end
  end

  it("while the provider's whole answer is gathered takes its connection with it", function()
    watch("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
    local before = #up.requests
    local c = client.connect(gw)
    c:write({ path = "/anthropic/gathering", method = "POST", body = ai.ASK })
    up:wait_requests(before + 1)
    sched.sleep(0.02)
    leaves(c, "close")
    assert.same(499, entry("/anthropic/gathering").response.status)
  end)

  it("in the tail, after the answer's last event, takes the provider's connection with it", function()
    watch(SSE .. "\r\n" .. ai.HELLO .. ai.USAGE_EVENT .. ai.DONE)
    local c = client.connect(gw)
    c:write({ path = "/openai/tail", method = "POST", body = ai.ASK_STREAM })
    local response = c:answer({ head_only = true })
    repeat
      local event = response:next_event()
    until event.data == "[DONE]"
    leaves(c, "close")
    local used = entry("/openai/tail").ai.proxy.usage
    assert.same({ 7, 6, 13 }, { used.prompt_tokens, used.completion_tokens, used.total_tokens })
  end)
end)

describe("a client of ai-proxy that reads slowly", function()
  local gw, up

  setup(function()
    gw, up = ai.start({
      openai = {},
      payloads = { logging = { log_payloads = true } },
      anthropic = { model = { provider = "anthropic", name = "gpt-4o" } },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local TOTAL = 24 * 1024 * 1024

  -- Sends events until TOTAL bytes have gone or the gateway takes no more for a while.
  local function pour(head, event, tail)
    local state = { sent = 0 }
    local block = event:rep(math.ceil(65536 / #event))
    up:on(function(c)
      c:read_request()
      c:send(SSE .. "\r\n" .. head)
      while state.sent < TOTAL do
        if not c:send(block, 30 * sched.slow) then
          return
        end
        state.sent = state.sent + #block
      end
      c:send(tail)
    end)
    return state
  end

  local STREAMS = {
    openai = { ai.ROLE, ai.delta('"content":"' .. ("x"):rep(900) .. '"'), ai.USAGE_EVENT .. ai.DONE },
    anthropic = {
      'data: {"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":1,"output_tokens":1}}}\n\n',
      'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"' .. ("x"):rep(900) .. '"}}\n\n',
      'data: {"type":"message_stop"}\n\n',
    },
  }
  STREAMS.payloads = STREAMS.openai

  for _, route in ipairs({ "openai", "payloads", "anthropic" }) do
    it("holds the provider back and gets everything in the end (" .. route .. ")", function()
      local state = pour(unpack(STREAMS[route]))
      local worker = gw.process:children()[1] or gw.process.pid
      local c = client.connect(gw)
      c:write({ path = "/" .. route, method = "POST", body = ai.ASK_STREAM })
      local response = c:answer({ head_only = true })
      local memory = memory_kib(worker)
      local before
      repeat -- until the provider stands still
        before = state.sent
        sched.sleep(0.15 * sched.slow)
      until state.sent == before and before > 0
      assert.truthy(state.sent < 16 * 1024 * 1024, "the gateway took " .. state.sent .. " bytes for a client that does not read")
      assert.truthy(memory_kib(worker) - memory < 6 * 1024, ("%d KiB more"):format(memory_kib(worker) - memory))
      local got, tail = 0, ""
      local data = response:next(10 * sched.slow)
      while data do
        got, tail = got + #data, (tail .. data):sub(-14)
        data = response:next(10 * sched.slow)
      end
      assert.truthy(got >= TOTAL * 0.9, got)
      assert.same("data: [DONE]\n\n", tail)
      c:close()
    end)
  end
end)

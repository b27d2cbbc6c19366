-- Event streams that stay open: comments while they are quiet, greatest ages, silent upstreams, and clean ends.

require("e2e.support.expect")
local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local SSE = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
local CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"

local function chunk(text)
  return ("%x\r\n%s\r\n"):format(#text, text)
end

-- Sends pieces with pauses (numbers, seconds), then does not end until the peer does.
local function script(head, pieces)
  return function(c)
    if not c:read_request() then
      return
    end
    c:send(head .. CHUNKED)
    for _, piece in ipairs(pieces) do
      if type(piece) == "number" then
        sched.sleep(piece * sched.slow)
      else
        c:send(chunk(piece))
      end
    end
    pcall(c.wait_closed, c, 2 * sched.limit)
  end
end

local function ms(n)
  return math.floor(n * sched.slow) .. "ms"
end

-- The whole body, and whether it ended as a body should.
local function read_body(gw, path)
  local c = client.connect(gw)
  c:write({ path = path or "/" })
  local response = c:answer({ head_only = true })
  local ok = pcall(response.finish, response)
  local parts = {}
  for i, piece in ipairs(response.pieces) do
    parts[i] = piece.data
  end
  c:close()
  return table.concat(parts), ok, response
end

local function last_event(code)
  return '\n\ndata: {"error":{"type":"gateway_limit","code":"' .. code .. '"'
end

describe("a quiet event stream", function()
  local gw, up

  setup(function()
    gw, up = site.start({ settings = { stream_ping = ms(200) } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("gets comments between its events, never within one, never after the last", function()
    up:on(function(c)
      if not c:read_request() then
        return
      end
      c:send(SSE .. CHUNKED)
      for _, piece in ipairs({ "data: a\n\n", 0.7, "data: b", 0.5, "1\r\n", 0.5, "\r\n", 0.5, "data: [DONE]\n\n", 0.5 }) do
        if type(piece) == "number" then
          sched.sleep(piece * sched.slow)
        else
          c:send(chunk(piece))
        end
      end
      c:send("0\r\n\r\n")
    end)
    local body, whole = read_body(gw)
    local first, second = body:match("^data: a\n\n(.*)data: b1\r\n\r\n(.*)data: %[DONE%]\n\n$")
    assert.is_true(whole)
    assert.truthy(first, body)
    assert.truthy(first:find("^: ping\n\n: ping\n\n"), first)
    assert.truthy(second:find("^: ping\n\n"), second)
    assert.same("", (first .. second):gsub(": ping\n\n", ""))
  end)

  it("gets its first comment before its first event", function()
    up:on(function(c)
      c:read_request()
      c:send(SSE .. CHUNKED)
      sched.sleep(0.6 * sched.slow)
      c:send(chunk("data: a\n\n") .. "0\r\n\r\n")
    end)
    assert.truthy(read_body(gw):find("^: ping\n\n.*data: a\n\n$"))
  end)

  for name, lines in pairs({
    ["no event stream"] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n",
    ["a compressed one"] = SSE .. "Content-Encoding: gzip\r\n",
  }) do
    it("gets none when it is " .. name, function()
      up:on(function(c)
        c:read_request()
        c:send(lines .. CHUNKED .. chunk("{}\n\n"))
        sched.sleep(0.6 * sched.slow)
        c:send(chunk("{}\n\n") .. "0\r\n\r\n")
      end)
      assert.same("{}\n\n{}\n\n", (read_body(gw)))
    end)
  end

  it("gets none while its client does not read, and the client's leaving ends it", function()
    local gone
    up:on(function(c)
      c:read_request()
      c:send(SSE .. CHUNKED .. chunk("data: a\n\n"))
      gone = select(2, c:wait_closed(20))
    end)
    local c = client.connect(gw)
    c:write({ path = "/" })
    c:answer({ head_only = true })
    sched.sleep(0.4 * sched.slow)
    c:close()
    sched.wait_until(function()
      return gone
    end)
  end)
end)

describe("an event stream with limits", function()
  local gw, up

  setup(function()
    gw, up = site.start({ settings = { max_stream_age = ms(500), stream_idle_timeout = ms(250) } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("ends cleanly at its greatest age, and its upstream with it", function()
    local closed
    up:on(function(c)
      c:read_request()
      c:send(SSE .. CHUNKED)
      while not closed do
        closed = not c:send(chunk("data: a\n\n")) or pcall(c.wait_closed, c, 0.05)
      end
    end)
    local from = sched.now()
    local body, whole = read_body(gw)
    assert.is_true(whole)
    assert.truthy(body:find(last_event("max_stream_age"), 1, true), body)
    assert.truthy(body:find('"retryable":true}}\n\n$'))
    assert.truthy(sched.now() - from > 0.4 * sched.slow)
    sched.wait_until(function()
      return closed
    end)
    assert.truthy(gw:wait_log("the stream has reached its greatest age"))
  end)

  it("closes an event that is under way before the last one", function()
    up:on(script(SSE, { "data: a\n\n", 0.1, "data: b", 0.1, "c", 0.1, "d", 0.1, "e", 0.1, "f", 0.1, "g" }))
    local body, whole = read_body(gw)
    assert.is_true(whole)
    assert.truthy(body:find("^data: a\n\ndata: bc?d?e?f?g?" .. last_event("max_stream_age")), body)
  end)

  it("ends when its upstream is silent for too long", function()
    up:on(script(SSE, { "data: a\n\n", 0.1, "data: b\n\n" }))
    local body, whole = read_body(gw)
    assert.is_true(whole)
    assert.truthy(body:find("^data: a\n\ndata: b" .. last_event("stream_idle_timeout")), body)
  end)

  it("limits no other response", function()
    up:on(function(c)
      c:read_request()
      sched.sleep(0.4 * sched.slow)
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
      sched.sleep(0.5 * sched.slow)
      c:send("ok")
    end)
    assert.same("ok", client.get(gw, "/").body)
  end)
end)

describe("an AI stream that is cut", function()
  it("tells the client in its own terms, and its usage is booked", function()
    local gw, up = ai.start({ chat = {}, claude = { model = { provider = "anthropic" } } },
      { settings = { max_stream_age = ms(300) } })
    up:on(script("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", { ai.ROLE .. ai.chunk("[]", ai.USAGE), 1 }))
    local bytes, how, response = ai.read_stream(gw, "chat")
    assert.same("end", how)
    assert.truthy(bytes:find(last_event("max_stream_age"), 1, true), bytes)
    assert.is_nil(bytes:find("[DONE]", 1, true))
    local log = ai.logged(gw, response)
    assert.same({ 200, 13 }, { log.response.status, log.ai.proxy.usage.total_tokens })
    local text = require("lualib.ai.fixtures").text
    up:on(script("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n",
      { text:sub(1, (text:find("event: content_block_stop", 1, true)) - 1), 1 }))
    bytes, how = ai.read_stream(gw, "claude")
    assert.same("end", how)
    assert.truthy(bytes:find('data: {"error":{"message":', 1, true), bytes)
    assert.is_nil(bytes:find("[DONE]", 1, true))
    site.stop(gw, up)
  end)
end)

describe("a client's connection", function()
  it("is told to close when it has reached its greatest age, and closed when idle then", function()
    local gw, up = site.start({ settings = { max_connection_age = ms(400), max_connection_age_jitter = "50" } })
    local idle, busy, from = client.connect(gw), client.connect(gw), sched.now()
    assert.is_nil(idle:request({ path = "/" }):header("connection"))
    local answers = 0
    repeat
      local response = busy:request({ path = "/" })
      answers = answers + 1
      sched.sleep(0.02)
    until response:header("connection") == "close"
    local age = (sched.now() - from) / sched.slow
    assert.truthy(answers > 3 and age >= 0.4 and age < 0.9, age)
    assert.same("closed", (select(2, busy:read_all())))
    assert.same("closed", (select(2, idle:read_all())))
    assert.truthy((sched.now() - from) / sched.slow < 2)
    busy:close()
    idle:close()
    site.stop(gw, up)
  end)
end)

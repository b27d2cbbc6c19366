-- The end-to-end tools against themselves: client to fake upstream, without a gateway between.

require("e2e.support.expect")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

describe("the end-to-end tools", function()
  local up

  before_each(function()
    up = upstream.start()
  end)

  after_each(function()
    up:stop()
  end)

  it("echo what a client sent, on a connection kept alive", function()
    local c = client.connect(up)
    local first = c:request({ path = "/a?b=c", headers = { ["X-One"] = "1" } })
    assert.status(200, first)
    assert.same("/a?b=c", first:json().target)
    assert.same("1", first:json().headers["x-one"])
    local second = c:request({ chunks = { "hello ", "world" } })
    assert.same("hello world", second:json().body)
    assert.same("POST", second:json().method)
    assert.same(1, #up.connections)
    assert.same(2, #up.requests)
    assert.truthy(up.requests[1].raw_head:find("^GET /a%?b=c HTTP/1.1\r\nHost: gateway.test\r\n"))
    c:close()
  end)

  it("read chunks as they come, with their times and trailers", function()
    up:on(function(c)
      c:read_request()
      c:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
      c:sleep(0.05)
      c:send("3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n")
    end)
    local response = client.get(up, "/")
    assert.same("onetwo", response.body)
    assert.same(2, #response.pieces)
    assert.truthy(response.pieces[2].at - response.pieces[1].at >= 0.04)
    assert.same({ { name = "X-Sum", value = "6" } }, response.trailers)
  end)

  it("read server-sent events", function()
    up:send_raw(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: a\ndata: 1\ndata: 2\n\n: ping\n\ndata: [DONE]\n\n"
    )
    local c = client.connect(up)
    c:write({})
    local response = c:answer({ head_only = true })
    local event = response:next_event()
    assert.same("a", event.event)
    assert.same("1\n2", event.data)
    assert.same(" ping", response:next_event().comment)
    assert.same("[DONE]", response:next_event().data)
    assert.is_nil(response:next_event())
    c:close()
  end)

  for name, bytes in pairs({
    ["two lengths"] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ["a length and chunks"] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ["a bare line feed"] = "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
    ["a cut body"] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
    ["a chunk extension"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n",
    ["a bad status line"] = "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    ["a space before the colon"] = "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
  }) do
    it("refuse a response with " .. name, function()
      up:send_raw(bytes)
      assert.has_error(function()
        client.get(up, "/")
      end)
    end)
  end

  it("tell a reset from a close", function()
    up:send_raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "reset")
    local c = client.connect(up)
    c:write({})
    assert.same("reset", (c:wait_closed()))
    up:send_raw("", "close")
    local other = client.connect(up)
    other:write({})
    assert.same("closed", (other:wait_closed()))
  end)

  it("see within milliseconds that a client has gone", function()
    local gone_at
    up:on(function(c)
      c:read_request()
      gone_at = select(2, c:wait_closed())
    end)
    for _, how in ipairs({ "reset", "close" }) do
      gone_at = nil
      local c = client.connect(up)
      local before = #up.requests
      c:write({})
      up:wait_requests(before + 1)
      local at = sched.now()
      c[how](c)
      sched.wait_until(function()
        return gone_at
      end)
      assert.truthy(gone_at - at < 0.1 * sched.slow)
    end
  end)

  it("pipeline, answered in order, and report how raw exchanges end", function()
    local get = "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    local result = client.raw(up, get:format(1) .. get:format(2), { count = 2 })
    assert.same("/1", result.responses[1]:json().target)
    assert.same("/2", result.responses[2]:json().target)
    assert.same("open", result.ended)
    result = client.raw(up, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert.same("closed", result.ended)
    assert.same(1, #result.responses)
  end)

  it("do not take body bytes for the answer to HEAD", function()
    up:answer({ status = 200, body = "body" })
    local response = client.request({ to = up, method = "HEAD" })
    assert.same("", response.body)
    assert.header("4", response, "content-length")
  end)

  it("speak TLS both ways", function()
    local secure = upstream.start({ tls = true })
    local to = { "127.0.0.1", secure.port }
    local response = client.request({ to = to, tls = { cafile = certs.ca(), verify = "peer", server_name = "upstream.test" } })
    assert.status(200, response)
    secure:stop()
  end)

  it("hold a sender back while the reader does not read", function()
    local sent = 0
    up:on(function(c)
      c:read_request()
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n")
      for _ = 1, 200 do
        if not c:send(("x"):rep(100000), 10) then
          return
        end
        sent = sent + 100000
      end
    end)
    local c = client.connect(up)
    c:write({})
    sched.sleep(0.2)
    assert.truthy(sent < 12000000)
    c:answer({ method = "GET" })
    assert.same(20000000, sent)
    c:close()
  end)

  it("name ports that refuse and ports that never answer", function()
    assert.has_error(function()
      client.connect(upstream.refused_port())
    end)
    local hole = upstream.blackhole()
    assert.has_error(function()
      client.connect(hole.port, { limit = 0.2 })
    end)
    hole:stop()
  end)

  it("raise a task's error in the spec's body", function()
    sched.spawn(function()
      sched.sleep(0.01)
      error("boom")
    end)
    local ok, err = pcall(sched.sleep, 0.1)
    assert.is_false(ok)
    assert.truthy(err:find("boom"))
  end)

  it("say what did not happen in time", function()
    local ok, err = pcall(sched.wait_until, function() end, 0.02, "nothing came")
    assert.is_false(ok)
    assert.truthy(err:find("nothing came"))
  end)

  it("start, signal and reap a process", function()
    local dir = certs.dir()
    local child = process.start({
      program = "sh",
      args = { "-c", "echo $GREETING; trap 'exit 3' TERM; while :; do sleep 0.01; done" },
      env = { GREETING = "hello" },
      stdout = dir .. "/out",
      stderr = dir .. "/err",
    })
    sched.wait_until(function()
      local handle = io.open(dir .. "/out")
      local text = handle and handle:read("*a")
      if handle then
        handle:close()
      end
      return text == "hello\n"
    end)
    assert.is_true(child:alive())
    child:signal("TERM")
    assert.same({ "exited", 3 }, { child:wait() })
  end)
end)

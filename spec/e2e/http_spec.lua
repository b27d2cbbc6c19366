-- HTTP/1.1 between a client and the gateway: connections, bodies, expectations, limits, time limits.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local GET = "GET %s HTTP/1.1\r\nHost: gateway.test\r\n%s\r\n"

describe("a connection", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(nil)
  end)

  it("is kept alive and reused, towards both sides", function()
    local c = client.connect(gw)
    local before = #up.connections
    for i = 1, 5 do
      local response = c:request({ path = "/" .. i })
      assert.status(200, response)
      assert.same("/" .. i, response:json().target)
    end
    c:close()
    assert.truthy(#up.connections - before <= 1)
  end)

  it("is closed after Connection: close", function()
    local result = client.raw(gw, GET:format("/", "Connection: close\r\n"))
    assert.status(200, result.first)
    assert.header("close", result.first, "connection")
    assert.same("closed", result.ended)
  end)

  it("of HTTP/1.0 is closed after the answer, which has no chunks", function()
    up:answer({ chunks = { "a", "b" } })
    local result = client.raw(gw, "GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
    assert.status(200, result.first)
    assert.header(nil, result.first, "transfer-encoding")
    assert.same("ab", result.first.body)
    assert.same("closed", result.ended)
  end)

  it("of HTTP/1.0 may ask to be kept alive", function()
    local c = client.connect(gw)
    local response = c:request({ version = "1.0", headers = { Connection = "keep-alive" } })
    assert.header("keep-alive", response, "connection")
    assert.status(200, c:request({ version = "1.0" }))
    c:close()
  end)

  it("of HTTP/1.0 needs no Host", function()
    local result = client.raw(gw, "GET /old HTTP/1.0\r\n\r\n")
    assert.status(200, result.first)
    assert.same("/old", result.first:json().target)
  end)

  it("may pipeline, and is answered in order", function()
    up:answer(function(request, c)
      c:sleep(request.target == "/1" and 0.05 or 0)
      return { body = request.target }
    end)
    local bytes = ""
    for i = 1, 6 do
      bytes = bytes .. GET:format("/" .. i, "")
    end
    local result = client.raw(gw, bytes, { count = 6 })
    for i = 1, 6 do
      assert.same("/" .. i, result.responses[i].body)
    end
  end)

  it("answers what was pipelined before a bad request, then closes", function()
    local result = client.raw(gw, GET:format("/1", "") .. "BAD\r\n\r\n" .. GET:format("/3", ""), { quiet = 3 })
    assert.same(2, #result.responses)
    assert.status(200, result.responses[1])
    assert.gateway_error(400, result.responses[2])
    assert.not_same("open", result.ended)
  end)

  it("may deliver a request byte by byte", function()
    local c = client.connect(gw)
    c:send_slowly("POST /slow HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    local response = c:read_response()
    assert.status(200, response)
    assert.same("abc", response:json().body)
    c:close()
  end)

  it("that only connects and closes is nobody's error", function()
    client.connect(gw):close()
    client.connect(gw):reset()
    assert.status(200, client.get(gw, "/"))
  end)
end)

describe("a body", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(nil)
  end)

  for _, size in ipairs({ 0, 1, 1000, 65536, 300000 }) do
    it(("of %d bytes arrives whole, with a length and in chunks"):format(size), function()
      local body = ("0123456789abcdef"):rep(math.ceil(size / 16)):sub(1, size)
      up:answer(function(request)
        return { body = request.body }
      end)
      assert.same(body, client.request({ to = gw, method = "PUT", body = body }).body)
      local chunks = {}
      for from = 1, size, 7777 do
        chunks[#chunks + 1] = body:sub(from, from + 7776)
      end
      assert.same(body, client.request({ to = gw, method = "PUT", chunks = chunks }).body)
    end)
  end

  it("in chunks from the upstream comes as it was sent, and in time", function()
    local gates = {}
    up:on(function(c)
      c:read_request()
      c:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      for i = 1, 3 do
        c:send(("5\r\npart%d\r\n"):format(i))
        sched.wait_until(function()
          return gates[i]
        end)
      end
      c:send("0\r\n\r\n")
    end)
    local c = client.connect(gw)
    c:write({})
    local response = c:answer({ head_only = true })
    for i = 1, 3 do
      assert.same("part" .. i, response:next()) -- before the upstream sends the next one
      gates[i] = true
    end
    assert.is_nil(response:next())
    c:close()
  end)

  it("that ends with the upstream's connection is framed for the client", function()
    up:send_raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")
    local c = client.connect(gw)
    local response = c:request({})
    assert.same("all of it", response.body)
    assert.same("chunked", response.framing)
    assert.status(200, (function()
      up:answer(nil)
      return c:request({})
    end)())
    c:close()
  end)

  it("of HEAD, 204 and 304 is empty and the connection lives on", function()
    local c = client.connect(gw)
    up:answer({ headers = { ["Content-Length"] = "5" }, body = "hello" })
    local head = c:request({ method = "HEAD" })
    assert.status(200, head)
    assert.header("5", head, "content-length")
    for _, status in ipairs({ 204, 304 }) do
      up:answer({ status = status })
      local response = c:request({})
      assert.status(status, response)
      assert.same("", response.body)
      assert.header(nil, response, "transfer-encoding")
    end
    up:answer(nil)
    assert.status(200, c:request({}))
    c:close()
  end)

  it("is awaited with 100 Continue when the client asks", function()
    local c = client.connect(gw)
    c:send("POST / HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    local interim = c:read_head()
    assert.status(100, interim)
    c:send("hello")
    local response = c:read_response()
    assert.status(200, response)
    assert.same("hello", response:json().body)
    c:close()
  end)

  it("is not awaited when the answer is known before it", function()
    local other = site.start({ route = 'hosts: ["only.test"]' })
    local c = client.connect(other)
    c:send("POST / HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    local response = c:read_response()
    assert.gateway_error(404, response)
    assert.same(0, #response.interim)
    c:close()
    other:stop()
  end)
end)

describe("limits:", function()
  local gw, up

  setup(function()
    gw, up = site.start({
      settings = {
        body_max_bytes = 100000,
        header_timeout = 300,
        body_timeout = 300,
        keepalive_timeout = 300,
      },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local POST = "POST / HTTP/1.1\r\nHost: gateway.test\r\n"

  it("a declared body that is too long is refused before it comes", function()
    local before = #up.requests
    local result = client.raw(gw, POST .. "Content-Length: 100001\r\n\r\n")
    assert.gateway_error(413, result.first)
    assert.same(before, #up.requests)
  end)

  it("the refusal is read even by a client that sends on", function()
    local c = client.connect(gw)
    c:send(POST .. "Content-Length: 3000000\r\n\r\n")
    sched.spawn(function()
      c:send(("x"):rep(3000000))
    end)
    assert.gateway_error(413, c:read_response())
    c:close()
  end)

  it("a chunked body that grows too long is refused", function()
    local chunk = ("2000\r\n%s\r\n"):format(("x"):rep(8192))
    local result = client.raw(gw, POST .. "Transfer-Encoding: chunked\r\n\r\n" .. chunk:rep(20) .. "0\r\n\r\n", { quiet = 3 })
    assert.gateway_error(413, result.first)
    assert.not_same("open", result.ended)
  end)

  it("a body just as long as allowed passes", function()
    assert.status(200, client.request({ to = gw, body = ("x"):rep(100000) }))
  end)

  it("a head that trickles ends with 408 at an absolute deadline", function()
    local c = client.connect(gw)
    local from = sched.now()
    c:send("GET / HTTP/1.1\r\nHost: gateway.test\r\n")
    sched.spawn(function()
      for _ = 1, 20 do
        if not c:send("X-A: b\r\n") then
          return
        end
        c:sleep(0.1)
      end
    end)
    local response = c:read_response()
    assert.gateway_error(408, response)
    assert.truthy(sched.now() - from < 1.5 * sched.slow)
    c:close()
  end)

  it("a body that stops coming ends with 408", function()
    local result = client.raw(gw, POST .. "Content-Length: 10\r\n\r\nabc", { quiet = 3 })
    assert.gateway_error(408, result.first)
    assert.not_same("open", result.ended)
  end)

  it("an idle connection is closed without a word", function()
    local c = client.connect(gw)
    c:request({})
    assert.same("", (c:read_all(3 * sched.slow)))
    local silent = client.connect(gw)
    assert.same("", (silent:read_all(3 * sched.slow)))
  end)
end)

describe("a gateway with all the connections it may have", function()
  local gw, up

  setup(function()
    gw, up = site.start({ settings = { connections_max = 2 } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- A connection that the gateway has taken; one that has just been closed may still count for a moment.
  local function taken()
    return sched.wait_until(function()
      local c = client.connect(gw)
      local ok, answer = pcall(c.request, c, {})
      if ok and answer.status == 200 then
        return c
      end
      c:close()
      return nil
    end, nil, "it takes no connection")
  end

  it("refuses the next one in words, serves those it has, and recovers", function()
    local first, second = taken(), taken()
    local third = client.connect(gw)
    local response = third:read_response()
    assert.status(503, response)
    assert.header("1", response, "retry-after")
    assert.header("close", response, "connection")
    assert.same("Too many connections to this gateway", response:json().message)
    third:close()
    assert.status(200, first:request({}))
    second:close()
    taken():close()
    first:close()
  end)
end)

describe("a client behind a trusted proxy", function()
  local gw, up

  setup(function()
    gw, up = site.start({ settings = { trusted_ips = "127.0.0.0/8,10.0.0.0/8" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local CASES = {
    { "is the last address nobody vouches for", { ["X-Forwarded-For"] = "6.6.6.6, 9.9.9.9, 10.1.1.1" }, "9.9.9.9" },
    { "is the first address when all are trusted", { ["X-Forwarded-For"] = "10.2.2.2, 10.1.1.1" }, "10.2.2.2" },
    { "is the address before one that is none", { ["X-Forwarded-For"] = "9.9.9.9, junk, 10.1.1.1" }, "10.1.1.1" },
    { "is in X-Real-IP when that is all there is", { ["X-Real-IP"] = "9.9.9.9" }, "9.9.9.9" },
    { "is the proxy without a word", {}, "127.0.0.1" },
  }
  for _, case in ipairs(CASES) do
    it(case[1], function()
      local seen = client.request({ to = gw, headers = case[2] }):json().headers
      assert.same(case[3], seen["x-real-ip"])
    end)
  end

  it("came by the scheme, host and port the proxy names", function()
    local seen = client.request({
      to = gw,
      headers = { ["X-Forwarded-Proto"] = "https", ["X-Forwarded-Host"] = "out.test", ["X-Forwarded-Port"] = "8443" },
    }):json().headers
    assert.same("https", seen["x-forwarded-proto"])
    assert.same("out.test", seen["x-forwarded-host"])
    assert.same("8443", seen["x-forwarded-port"])
  end)
end)
